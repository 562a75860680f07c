//! The metrics: each is declared once, here, with its meaning and its unit. The counters of a tenant are declared where
//! they are counted ([`sandbar::tenant::counters`]).
//!
//! All names begin with `sandbar_`. OpenMetrics adds `_total` to counters, and the unit is part of the name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use sandbar::cache::Cache;
use sandbar::fleet::FleetReport;
use sandbar::origin::shield::ShieldStats;
use sandbar::tenant::TenantReport;
use sandbar::tier::TierHealth;
use sandbar_base::memory_budget::{MemoryBudgetStats, UseStats};
use sandbar_memory::MemoryStats;
use sandbar_policy::{BindingState, BoundInfo};

use super::opening::{OpeningCounts, OpeningStats};

/// The media type of [`text()`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A metric of a `T`: its name without prefix and unit, its meaning, its unit, and how it is read from the `T`.
struct Metric<T> {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
    value: Value<T>,
}

enum Value<T> {
    Counter(fn(&T) -> u64),
    Gauge(fn(&T) -> f64),
}

const fn counter<T>(name: &'static str, help: &'static str, read: fn(&T) -> u64) -> Metric<T> {
    Metric { name, help, unit: None, value: Value::Counter(read) }
}

const fn gauge<T>(name: &'static str, help: &'static str, unit: Option<Unit>, read: fn(&T) -> f64) -> Metric<T> {
    Metric { name, help, unit, value: Value::Gauge(read) }
}

/// Metrics of a tenant; label `tenant`.
fn of_tenants() -> [Metric<TenantReport>; 3] {
    let p50 = "Median time from a request to the head of its response, since the start";
    let p99 = "99th percentile of the time from a request to the head of its response, since the start";
    [
        gauge("latency_p50", p50, Some(Unit::Seconds), |tenant| tenant.counters.latency_p50_us as f64 / 1e6),
        gauge("latency_p99", p99, Some(Unit::Seconds), |tenant| tenant.counters.latency_p99_us as f64 / 1e6),
        gauge("tunnels_open", "Connections that have switched to another protocol", None, |tenant| {
            tenant.tunnels_open as f64
        }),
    ]
}

/// Metrics of a tenant's L1; label `tenant`.
fn of_memory() -> [Metric<MemoryStats>; 14] {
    let bytes = || Some(Unit::Bytes);
    [
        gauge("l1_resident", "What the entries in memory weigh, overhead included", bytes(), |l1| {
            l1.resident_bytes as f64
        }),
        gauge("l1_capacity", "What they may weigh", bytes(), |l1| l1.capacity_bytes as f64),
        gauge("l1_entries", "Entries in memory", None, |l1| l1.entries as f64),
        gauge("l1_shards_standing_in", "Shards where the bound policy failed and a native one stands in", None, |l1| {
            l1.shards_standing_in as f64
        }),
        counter("l1_insertions", "Entries taken in", |l1| l1.insertions),
        counter("l1_replacements", "Entries that took the place of an older one of their key", |l1| l1.replacements),
        counter("l1_not_admitted", "Entries not taken in: too large, or the policy did not want them", |l1| {
            l1.not_admitted
        }),
        counter("l1_evicted_by_policy", "Entries that the policy named as victims", |l1| l1.evicted_by_policy),
        counter(
            "l1_evicted_by_host",
            "Entries that the host evicted: the policy was busy, failed, or named too few",
            |l1| l1.evicted_by_host,
        ),
        counter("l1_removed", "Entries that expired or were purged", |l1| l1.removed),
        counter("l1_reads_noted", "Reads that the policy was told of", |l1| l1.reads_noted),
        counter("l1_reads_dropped", "Reads that found the read buffer full", |l1| l1.reads_dropped),
        counter("l1_policy_calls", "Calls of the eviction policy", |l1| l1.advances),
        counter("l1_policy_faults", "Faults of the eviction policy: errors, and answers that made no sense", |l1| {
            l1.faults
        }),
    ]
}

/// Metrics of the protection of a tenant's origin; label `tenant`.
fn of_shields() -> [Metric<ShieldStats>; 10] {
    let open = "1 while the origin is left alone, 0.5 while it is tried with a few requests";
    let denied = "Requests that were not sent again because the retry budget was used up";
    let late = "Fetches that took longer than fetch_hard_deadline";
    let lost = "Places at the origin that clients lost because they did not move";
    [
        gauge("origin_limit", "Requests that may be under way at the origin at once", None, |one| one.limit as f64),
        gauge("origin_running", "Requests under way at the origin, bodies included", None, |one| one.running as f64),
        gauge("origin_waiting", "Requests that wait for their turn at the origin", None, |one| one.waiting as f64),
        gauge("origin_breaker_open", open, None, |one| match one.breaker {
            "open" => 1.0,
            "half-open" => 0.5,
            _ => 0.0,
        }),
        counter("origin_breaker_opened", "Times that the origin's breaker opened", |one| one.breaker_opened),
        counter("origin_queued", "Requests that had to wait for their turn", |one| one.queued),
        counter("origin_retries", "Requests that were sent to the origin again", |one| one.retries),
        counter("origin_retries_denied", denied, |one| one.retries_denied),
        counter("origin_fetch_deadlines", late, |one| one.fetch_deadlines),
        counter("origin_places_lost", lost, |one| one.places_lost),
    ]
}

/// Metrics of a bound policy; labels `tenant`, `role`, `policy`.
fn of_policies() -> [Metric<BoundInfo>; 6] {
    [
        counter("policy_calls", "Calls of a policy", |bound| bound.calls),
        counter("policy_faults", "Calls that it failed; the native default answered", |bound| bound.faults),
        counter("policy_clamped", "Answers that the host had to narrow", |bound| bound.clamped),
        counter("policy_no_instance", "Times it was not asked for want of an instance", |bound| bound.no_instance),
        counter("policy_log_dropped", "Lines of its log that were dropped or cut", |bound| bound.log_dropped),
        gauge("policy_quarantined", "1 while it is in quarantine", None, |bound| {
            f64::from(u8::from(matches!(bound.state, BindingState::Quarantined { .. })))
        }),
    ]
}

/// Metrics of the node's memory.
fn of_budget() -> [Metric<MemoryBudgetStats>; 4] {
    let machine = "Memory in use, of what the machine or the cgroup of the process allows";
    let kept = "What the tenants' L1 may weigh now, of their shares: below 1 while the machine runs short";
    [
        gauge("memory_total", "What may be used together", Some(Unit::Bytes), |memory| memory.total_bytes as f64),
        gauge("memory_used", "What is used together", Some(Unit::Bytes), |memory| memory.used_bytes as f64),
        gauge("memory_machine_used", machine, Some(Unit::Ratios), |memory| memory.machine_used_percent as f64 / 100.0),
        gauge("memory_l1_kept", kept, Some(Unit::Ratios), |memory| memory.l1_kept_percent as f64 / 100.0),
    ]
}

/// Metrics of one use of the node's memory; label `use`.
fn of_uses() -> [Metric<UseStats>; 2] {
    [
        gauge("memory_used_by", "Memory by what it is used for", Some(Unit::Bytes), |one| one.bytes as f64),
        counter("memory_refused", "Times that there was no room under memory.total", |one| one.refused),
    ]
}

/// Metrics of the L2; label `tier`.
fn of_l2() -> [Metric<TierHealth>; 6] {
    [
        gauge("l2_available", "1 while the L2 is asked", None, |l2| f64::from(u8::from(l2.available))),
        gauge("l2_stored", "What it holds, where it knows", Some(Unit::Bytes), |l2| {
            l2.stored_bytes.unwrap_or(0) as f64
        }),
        gauge("l2_entries", "Entries it holds, where it knows", None, |l2| l2.entries.unwrap_or(0) as f64),
        gauge("l2_clock_skew", "How far its clock is ahead of this node's", Some(Unit::Seconds), |l2| {
            l2.clock_skew_ms.unwrap_or(0) as f64 / 1000.0
        }),
        counter("l2_calls_failed", "Calls of the L2 that failed", |l2| l2.errors),
        counter("l2_unreadable", "Stored bytes that could not be read and were treated as a miss", |l2| l2.unreadable),
    ]
}

/// Metrics of this node's part in its fleet; label `node`.
fn of_fleet() -> [Metric<FleetReport>; 11] {
    [
        gauge("fleet_available", "1 while the Redis of the fleet is asked", None, |fleet| {
            f64::from(u8::from(fleet.available))
        }),
        gauge("fleet_partitions", "Partitions of the bus", None, |fleet| f64::from(fleet.partitions)),
        gauge(
            "fleet_deaf_partitions",
            "Partitions whose purges this node does not hear at the moment",
            None,
            |fleet| f64::from(fleet.bus.deaf_partitions),
        ),
        gauge("fleet_forgetful", "1 while the Redis of the fleet may evict what nodes rely on", None, |fleet| {
            f64::from(u8::from(fleet.evicts_any_key.is_some()))
        }),
        counter("fleet_published", "Purges told to other nodes", |fleet| fleet.bus.published),
        counter("fleet_heard", "Purges of other nodes heard", |fleet| fleet.bus.heard),
        counter("fleet_lost", "Times purges of a partition may have been missed", |fleet| fleet.bus.lost),
        counter("fleet_refused", "Purges held back because their tenant had too many", |fleet| fleet.bus.refused),
        counter("fleet_leases_acquired", "Leases this node got", |fleet| fleet.leases.acquired),
        counter("fleet_leases_held", "Times another node had the lease", |fleet| fleet.leases.held),
        counter("fleet_leases_alone", "Times nobody could say who has the lease: the node fetched alone", |fleet| {
            fleet.leases.alone
        }),
    ]
}

/// The metrics in OpenMetrics text.
///
/// # Errors
/// When it can't be written.
pub(super) fn text(cache: &Cache, openings: &[(&'static str, Arc<OpeningCounts>)]) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("sandbar");
    registry.register_collector(Box::new(Snapshot {
        tenants: cache.tenants().iter().map(|tenant| tenant.report()).collect(),
        l2: cache.l2_health(),
        fleet: cache.fleet_report(),
        purges_pending: cache.purges_pending() as u64,
        memory: cache.memory_budget().stats(),
        openings: openings.iter().map(|(side, counts)| (*side, counts.stats())).collect(),
    }));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// Everything that is measured, at one moment.
#[derive(Debug)]
struct Snapshot {
    tenants: Vec<TenantReport>,
    l2: Option<(&'static str, TierHealth)>,
    fleet: Option<FleetReport>,
    purges_pending: u64,
    memory: MemoryBudgetStats,
    openings: Vec<(&'static str, OpeningStats)>,
}

/// Labels by name.
type Labels = Vec<(&'static str, String)>;

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let encoder = &mut encoder;
        self.encode_counters(encoder)?;
        let answers = "Answers by what Cache-Status said: hit, or why the origin was asked";
        self.encode_tally(encoder, "answers", answers, "outcome", |tenant| &tenant.counters.answers)?;
        let reasons = "Responses of the origin that were not stored, by reason";
        self.encode_tally(encoder, "responses_not_stored", reasons, "reason", |tenant| &tenant.counters.reasons)?;
        let refused = "Requests that were not sent to the origin, to protect it, by reason";
        self.encode_tally(encoder, "origin_refused", refused, "reason", |tenant| &tenant.origin.refused)?;
        let tenants = || self.tenants.iter().map(|tenant| (vec![("tenant", tenant.name.to_string())], tenant));
        encode_all(encoder, &of_tenants(), tenants)?;
        encode_all(encoder, &of_memory(), || tenants().map(|(labels, tenant)| (labels, &tenant.memory)))?;
        encode_all(encoder, &of_shields(), || tenants().map(|(labels, tenant)| (labels, &tenant.origin)))?;
        encode_all(encoder, &of_policies(), || {
            tenants().flat_map(|(labels, tenant)| {
                tenant.policies.iter().map(move |bound| {
                    let own = [("role", bound.role.to_string()), ("policy", bound.name.to_string())];
                    (labels.iter().cloned().chain(own).collect(), bound)
                })
            })
        })?;
        self.encode_refused_writes(encoder)?;
        self.encode_openings(encoder)?;
        encode_all(encoder, &of_l2(), || {
            self.l2.iter().map(|(name, health)| (vec![("tier", (*name).to_owned())], health))
        })?;
        encode_all(encoder, &of_fleet(), || {
            self.fleet.iter().map(|fleet| (vec![("node", fleet.node.clone())], fleet))
        })?;
        let pending =
            gauge("purges_pending", "Purges that wait to be recorded and told to other nodes", None, |n: &u64| {
                *n as f64
            });
        encode_all(encoder, &of_budget(), || std::iter::once((Vec::new(), &self.memory)))?;
        encode_all(encoder, &of_uses(), || {
            self.memory.uses.iter().map(|one| (vec![("use", one.what.to_owned())], one))
        })?;
        encode_all(encoder, &[pending], || std::iter::once((Vec::new(), &self.purges_pending)))
    }
}

impl Snapshot {
    /// One counter for each word; the labels are `tenant` and `label`.
    fn encode_tally(
        &self,
        encoder: &mut DescriptorEncoder,
        name: &str,
        help: &str,
        label: &'static str,
        tally: impl Fn(&TenantReport) -> &BTreeMap<&'static str, u64>,
    ) -> fmt::Result {
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut family = encoder.encode_descriptor(name, help, None, kind)?;
        for tenant in &self.tenants {
            for (word, count) in tally(tenant) {
                let labels = [("tenant", tenant.name.to_string()), (label, (*word).to_owned())];
                ConstCounter::new(*count).encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
        Ok(())
    }

    /// Writes that the disk refused; the labels are `what` and `reason`, and `tenant` where the data is a tenant's own.
    fn encode_refused_writes(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let help = "Writes that the disk refused, by what was to be written and why";
        let kind = ConstCounter::new(0_u64).metric_type();
        let mut family = encoder.encode_descriptor("disk_writes_refused", help, None, kind)?;
        let shared = self.l2.iter().flat_map(|(_, health)| health.disk.iter().map(|report| (None, report)));
        let own = self.tenants.iter().filter_map(|tenant| Some((Some(&tenant.name), tenant.disk.as_ref()?)));
        for (tenant, report) in shared.chain(own) {
            for (reason, count) in &report.refused {
                let mut labels = vec![("what", report.what.to_owned()), ("reason", (*reason).to_owned())];
                labels.extend(tenant.map(|name| ("tenant", name.to_string())));
                ConstCounter::new(*count).encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
        Ok(())
    }

    /// What came before HTTP on connections; the labels are `listener` and a word.
    fn encode_openings(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let done = "TLS handshakes, by whether a session of before was resumed";
        let failed = "TLS handshakes that failed, by reason";
        let headers = "Connections of trusted proxies closed because of their PROXY header, by reason";
        type Read = fn(&OpeningStats) -> &BTreeMap<&'static str, u64>;
        let metrics: [(_, _, _, Read); 3] = [
            ("tls_handshakes", done, "kind", |one| &one.shaken),
            ("tls_handshakes_failed", failed, "reason", |one| &one.failed),
            ("proxy_headers_refused", headers, "reason", |one| &one.bad_headers),
        ];
        for (name, help, label, read) in metrics {
            let kind = ConstCounter::new(0_u64).metric_type();
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (side, stats) in &self.openings {
                for (word, count) in read(stats) {
                    let labels = [("listener", (*side).to_owned()), (label, (*word).to_owned())];
                    ConstCounter::new(*count).encode(family.encode_family(&labels.as_slice())?)?;
                }
            }
        }
        Ok(())
    }

    /// The counters of each tenant, whose names and help texts come with their values.
    fn encode_counters(&self, encoder: &mut DescriptorEncoder) -> fmt::Result {
        let values: Vec<(Labels, Vec<_>)> = self
            .tenants
            .iter()
            .map(|tenant| (vec![("tenant", tenant.name.to_string())], tenant.counters.each().collect()))
            .collect();
        let Some((_, first)) = values.first() else { return Ok(()) };
        for (index, (name, help, _)) in first.iter().enumerate() {
            let help = help.trim_end_matches('.');
            let metric = ConstCounter::new(0_u64);
            let mut family = encoder.encode_descriptor(name, help, None, metric.metric_type())?;
            for (labels, counters) in &values {
                ConstCounter::new(counters[index].2).encode(family.encode_family(&labels.as_slice())?)?;
            }
        }
        Ok(())
    }
}

fn encode_all<'a, T: 'a, I: Iterator<Item = (Labels, &'a T)>>(
    encoder: &mut DescriptorEncoder,
    metrics: &[Metric<T>],
    of: impl Fn() -> I,
) -> fmt::Result {
    for metric in metrics {
        let kind = match metric.value {
            Value::Counter(_) => ConstCounter::new(0_u64).metric_type(),
            Value::Gauge(_) => ConstGauge::new(0_f64).metric_type(),
        };
        let mut family = encoder.encode_descriptor(metric.name, metric.help, metric.unit.as_ref(), kind)?;
        for (labels, measured) in of() {
            let labels = labels.as_slice();
            let one = family.encode_family(&labels)?;
            match metric.value {
                Value::Counter(read) => ConstCounter::new(read(measured)).encode(one)?,
                Value::Gauge(read) => ConstGauge::new(read(measured)).encode(one)?,
            }
        }
    }
    Ok(())
}
