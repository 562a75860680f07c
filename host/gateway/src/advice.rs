//! Advice to operators: what they should look at, in plain words, from the same figures that the dashboard shows.

mod ratio;

use serde::Serialize;

use sandbar::fleet::FleetReport;
use sandbar::tenant::TenantReport;
use sandbar::tier::TierHealth;
use sandbar_base::disk_trouble::DiskReport;
use sandbar_base::memory_budget::MemoryBudgetStats;
use sandbar_policy::BindingState;

/// One trouble, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    /// The tenant that is concerned; none where the trouble is the whole node's.
    tenant: Option<String>,
    /// What is the matter, and what to do.
    text: String,
}

/// With fewer requests (or evictions, or bodies) than this, a ratio says nothing.
const REQUESTS_MIN: u64 = 200;

/// A larger difference between the clocks of the L2 and the node is told, though it is corrected.
const SKEW_MS_MAX: i64 = 1000;

/// All advice at the moment: first what concerns the whole node, then each tenant's, in the order of urgency.
pub(super) fn advice(
    tenants: &[TenantReport],
    l2: Option<(&str, &TierHealth)>,
    fleet: Option<&FleetReport>,
    purges_pending: usize,
    memory: &MemoryBudgetStats,
    access: Option<&DiskReport>,
) -> Vec<Advice> {
    let shared = l2.and_then(|(name, health)| l2_advice(name, health)).into_iter();
    let shared = shared
        .chain(refused_by_disk(l2))
        .chain(access.and_then(|report| report.now.clone()))
        .chain(fleet.and_then(fleet_advice))
        .chain(fleet.and_then(unapplied))
        .chain(pending(purges_pending))
        .chain(shortage(memory));
    let shared = shared.map(|text| Advice { tenant: None, text });
    let own = tenants.iter().flat_map(|report| {
        let disk = report.disk.iter().filter_map(|disk| disk.now.clone());
        let said = disk
            .chain(policies(report))
            .chain(origin(report))
            .chain(addresses(report))
            .chain(shield(report))
            .chain(l1(report))
            .chain(ratio::ratio(report).or_else(|| churn(report)))
            .chain(bodies(report));
        said.map(|text| Advice { tenant: Some(report.name.to_string()), text })
    });
    shared.chain(own).collect()
}

fn l2_advice(name: &str, health: &TierHealth) -> Option<String> {
    if !health.available {
        let reason = health.last_error.as_deref().unwrap_or("no reason is known");
        return Some(format!(
            "{name} is not available ({reason}): misses in memory go to the origins; bring it back, the rest heals by itself"
        ));
    }
    let skew_ms = health.clock_skew_ms.unwrap_or(0);
    (skew_ms.abs() > SKEW_MS_MAX).then(|| {
        let side = if skew_ms > 0 { "ahead of" } else { "behind" };
        format!("the clock of {name} is {} ms {side} this node's; keep both in step (NTP)", skew_ms.abs())
    })
}

/// What the disk of the L2 refuses at the moment; the disk's report names the reason and the remedy.
fn refused_by_disk<'a>(l2: Option<(&'a str, &'a TierHealth)>) -> impl Iterator<Item = String> + 'a {
    l2.into_iter().flat_map(|(_, health)| health.disk.iter().filter_map(|report| report.now.clone()))
}

fn fleet_advice(fleet: &FleetReport) -> Option<String> {
    if let Some(policy) = &fleet.evicts_any_key {
        return Some(format!(
            "the Redis of the fleet evicts any key (maxmemory-policy {policy}), purges too: nothing can be promised about \
             other nodes; set volatile-lru there, or name another Redis with fleet.control_url"
        ));
    }
    if fleet.bus.deaf_partitions > 0 {
        let reason = fleet.last_error.as_deref().unwrap_or("no reason is known");
        return Some(format!(
            "node {} does not hear {} of {} partitions of the bus ({reason}): it learns late of other nodes' purges and \
             serves less from memory; bring the Redis of the fleet back, the rest heals by itself",
            fleet.node, fleet.bus.deaf_partitions, fleet.partitions
        ));
    }
    (fleet.bus.refused > 0).then(|| {
        format!(
            "{} purges came faster than fleet.purges_per_second and were held back; purge by surrogate key or prefix \
             instead of one by one, or raise it",
            fleet.bus.refused
        )
    })
}

fn unapplied(fleet: &FleetReport) -> Option<String> {
    let first = fleet.unapplied.first()?;
    Some(format!(
        "{} tenants of the fleet's register can't be applied on this node, which goes on with what it has: {:?} ({}); put here \
         what is missing, or change the tenant; this node tries again every few seconds",
        fleet.unapplied.len(),
        first.tenant,
        first.reason
    ))
}

fn pending(purges: usize) -> Option<String> {
    (purges > 0).then(|| {
        format!("{purges} purges are done here but not delivered yet: other nodes may still serve what they reach")
    })
}

fn shortage(memory: &MemoryBudgetStats) -> Option<String> {
    if memory.l1_kept_percent < 100 {
        return Some(format!(
            "memory runs short ({} % of what the machine or its cgroup allows is used): the tenants' L1 have shrunk to {} % \
             of their shares; give the gateway more, lower memory.total, or see what else runs there",
            memory.machine_used_percent, memory.l1_kept_percent
        ));
    }
    let refused: u64 = memory.uses.iter().map(|one| one.refused).sum();
    let is_near = memory.used_bytes > memory.total_bytes / 10 * 9;
    (refused > 0 && is_near).then(|| {
        format!(
            "{refused} times there was no room under memory.total ({}): responses are passed through unstored; raise it, \
             or lower the tenants' shares so that more is left for bodies under way",
            bytesize::ByteSize(memory.total_bytes)
        )
    })
}

fn policies(report: &TenantReport) -> impl Iterator<Item = String> {
    report.policies.iter().filter_map(|bound| {
        let (role, name) = (bound.role, &bound.name);
        if let BindingState::Quarantined { .. } = bound.state {
            let last = bound.last_faults.first().map(|report| format!(": {}", report.fault)).unwrap_or_default();
            return Some(format!(
                "the {role} policy {name} failed {} times and is in quarantine, the native default answers{last}; mend it, \
                 or bind another",
                bound.faults
            ));
        }
        if bound.no_instance > 0 {
            return Some(format!(
                "there was no instance for the {role} policy {name} {} times, the native default answered; raise \
                 policy.instances_max",
                bound.no_instance
            ));
        }
        None
    })
}

fn origin(report: &TenantReport) -> Option<String> {
    let counters = &report.counters;
    let (asked, failed) = (counters.origin_requests, counters.origin_errors);
    (asked >= REQUESTS_MIN && failed * 20 > asked)
        .then(|| format!("the origin failed {failed} of {asked} requests; look at it first"))
}

fn addresses(report: &TenantReport) -> Option<String> {
    let all = &report.origin_at.addresses;
    let mut out = all.iter().filter(|one| one.ejected || !one.healthy);
    let first = out.next()?;
    let why = first.last_error.as_deref().unwrap_or("no reason is known");
    Some(format!(
        "{} of {} addresses of the origin are left out: {} ({why}); look at what is there, requests go to the others meanwhile",
        1 + out.count(),
        all.len(),
        first.address
    ))
}

fn shield(report: &TenantReport) -> Option<String> {
    let origin = &report.origin;
    if origin.breaker != "closed" && !origin.breaker.is_empty() {
        return Some(format!(
            "the origin failed too often and is {}: the breaker is {}, and has opened {} times; stale responses are \
             served where they may be, else 503",
            if origin.breaker == "open" { "not asked for a while" } else { "being tried" },
            origin.breaker,
            origin.breaker_opened
        ));
    }
    let (refused, asked) = (origin.refused_clients(), report.counters.origin_requests);
    (refused > 0 && refused * 100 > asked).then(|| {
        format!(
            "{refused} requests were answered with 503 or stale to protect the origin ({asked} were sent to it); if it \
             can take more, raise protect.requests_max or queue_deadline"
        )
    })
}

fn l1(report: &TenantReport) -> Option<String> {
    let memory = &report.memory;
    if memory.shards_standing_in > 0 {
        return Some(format!(
            "the eviction policy {} has failed in {} of {} shards, a native one stands in there",
            memory.policy, memory.shards_standing_in, memory.shards
        ));
    }
    let evicted = memory.evicted_by_policy + memory.evicted_by_host;
    if evicted >= REQUESTS_MIN && memory.evicted_by_host * 4 > evicted {
        return Some(format!(
            "the host had to evict {} of {evicted} entries itself: the policy {} is too slow or names too few",
            memory.evicted_by_host, memory.policy
        ));
    }
    None
}

fn churn(report: &TenantReport) -> Option<String> {
    let (counters, memory) = (&report.counters, &report.memory);
    let evicted = memory.evicted_by_policy + memory.evicted_by_host;
    let misses = counters.misses_l1.max(1);
    let churns = memory.resident_bytes * 10 > memory.capacity_bytes * 9 && evicted * 2 > memory.insertions;
    (counters.requests >= REQUESTS_MIN && churns && misses * 2 > counters.requests).then(|| {
        let remedy =
            if report.l1_share_bytes == 0 { "give the tenant a share with l1" } else { "raise the tenant's l1" };
        format!(
            "memory is full and more than half of the requests miss it: {remedy}, or try another eviction policy with \
             `sandbar replay`"
        )
    })
}

fn bodies(report: &TenantReport) -> Option<String> {
    let counters = &report.counters;
    (counters.too_large >= REQUESTS_MIN && counters.too_large * 10 > counters.stored).then(|| {
        format!("{} bodies were larger than body_max and not stored; raise it if memory allows", counters.too_large)
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(super) fn healthy() -> TenantReport {
        TenantReport {
            name: "shop".into(),
            counters: sandbar::tenant::counters::CounterValues {
                requests: 10_000,
                misses_l1: 100,
                ..Default::default()
            },
            classes: Vec::new(),
            l1_share_bytes: 64 << 20,
            memory: sandbar_memory::MemoryStats { shards: 4, capacity_bytes: 1000, ..Default::default() },
            origin: sandbar::origin::shield::ShieldStats { breaker: "closed", ..Default::default() },
            loads: std::collections::BTreeMap::new(),
            origin_at: sandbar::origin::OriginReport::default(),
            tunnels_open: 0,
            policies: Vec::new(),
            disk: None,
        }
    }

    fn roomy() -> MemoryBudgetStats {
        MemoryBudgetStats { used_bytes: 10, ..sandbar_base::memory_budget::MemoryBudget::new(100).stats() }
    }

    fn said(report: TenantReport) -> Vec<String> {
        advice(&[report], None, None, 0, &roomy(), None).into_iter().map(|advice| advice.text).collect()
    }

    #[test]
    fn a_healthy_cache_needs_nothing() {
        let health = TierHealth { available: true, ..TierHealth::default() };
        assert_eq!(advice(&[healthy()], Some(("disk", &health)), None, 0, &roomy(), None), Vec::new());
    }

    #[test]
    fn each_trouble_is_named_with_what_to_do() {
        let mut report = healthy();
        report.counters.origin_requests = 1000;
        report.counters.origin_errors = 60;
        assert!(said(report)[0].contains("failed 60 of 1000"));

        let mut report = healthy();
        report.origin_at.addresses = vec![sandbar::origin::AddressReport::default()];
        assert!(said(report)[0].contains("1 of 1 addresses of the origin"));

        let mut report = healthy();
        report.origin.refused.insert("origin-busy", 30);
        report.counters.origin_requests = 1000;
        assert!(said(report.clone())[0].contains("raise protect.requests_max"));
        report.origin.refused = [("origin-background", 30)].into();
        assert_eq!(said(report.clone()), Vec::<String>::new(), "nobody waited for those");
        (report.origin.breaker, report.origin.breaker_opened) = ("open", 7);
        assert!(said(report)[0].contains("has opened 7 times"));

        let mut report = healthy();
        report.memory.evicted_by_host = 300;
        report.memory.evicted_by_policy = 300;
        assert!(said(report)[0].contains("evict 300 of 600"));

        let mut report = healthy();
        report.counters.misses_l1 = 9000;
        report.memory.resident_bytes = 990;
        (report.memory.insertions, report.memory.evicted_by_policy) = (9000, 8000);
        assert!(said(report)[0].contains("raise the tenant's l1"));

        let late = TierHealth { available: true, clock_skew_ms: Some(-1500), ..TierHealth::default() };
        assert!(advice(&[], Some(("redis", &late)), None, 0, &roomy(), None)[0].text.contains("1500 ms behind"));

        let down = TierHealth { last_error: Some("refused".into()), ..TierHealth::default() };
        let said = advice(&[], Some(("redis", &down)), None, 3, &roomy(), None);
        assert!(said[0].text.contains("redis is not available (refused)"));
        assert!(said[1].text.contains("3 purges"));

        let disk = sandbar_base::disk_trouble::DiskReport {
            what: "stored responses",
            now: Some("stored responses can't be written to /data (no space)".into()),
            ..Default::default()
        };
        let full = TierHealth { available: true, disk: vec![disk], ..TierHealth::default() };
        assert!(
            advice(&[], Some(("disk", &full)), None, 0, &roomy(), None)[0].text.contains("can't be written to /data")
        );

        let shrunk = MemoryBudgetStats { l1_kept_percent: 40, machine_used_percent: 93, ..roomy() };
        assert!(advice(&[], None, None, 0, &shrunk, None)[0].text.contains("shrunk to 40 %"));
        let mut full = MemoryBudgetStats { used_bytes: 99, ..roomy() };
        full.uses[1].refused = 7;
        assert!(advice(&[], None, None, 0, &full, None)[0].text.contains("7 times there was no room"));
    }
}
