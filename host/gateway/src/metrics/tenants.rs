//! The metrics of tenants: of the first so many by name, of all others together ([`Others`]). The counters of a tenant
//! are declared where they are counted ([`sandbar::tenant::counters`]).

use std::borrow::Cow;
use std::collections::BTreeMap;

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use sandbar::origin::shield::ShieldStats;
use sandbar::origin::{AddressReport, OriginReport};
use sandbar::tenant::TenantReport;
use sandbar::tenant::counters::CounterValues;
use sandbar_memory::MemoryStats;
use sandbar_policy::{BindingState, BoundInfo};

use super::family::{Family, Labels, Metric, Value, counter, gauge};
use super::others::{Others, Parted, Sums};

/// The value of the label `tenant` for all that are not named; no tenant can have it as a name.
const OTHERS: &str = "(others)";

/// What is read of each tenant.
struct OfTenant {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    unit: Option<Unit>,
    /// Whether values of several tenants can be added up.
    adds_up: bool,
    read: Box<Read>,
}

/// Reads the samples of a tenant; their labels are without the tenant's own.
type Read = dyn Fn(&TenantReport, &mut dyn FnMut(Labels, Value));

/// Writes that the disk refused; what is not a tenant's own has no label `tenant`.
const REFUSED_WRITES: &str = "disk_writes_refused";

/// The families of tenants, with the samples of the named ones and of all others. `refused_writes` are those of what is no
/// single tenant's.
pub(super) fn families(
    tenants: &[TenantReport],
    others: &mut Others,
    refused_writes: Vec<(Labels, Value)>,
) -> Vec<Family> {
    let all = all();
    let Parted { named, rest, leaving } = others.part(tenants);
    let others = others.settle(sums(&all, &rest), sums(&all, &leaving));
    let family = |(index, of): (usize, OfTenant)| {
        let mut samples = Vec::new();
        for tenant in &named {
            let mut push = |labels, value| samples.push((with_tenant(tenant.name.to_string(), labels), value));
            (of.read)(tenant, &mut push);
        }
        let sums = others.range((index, Labels::new())..(index + 1, Labels::new()));
        samples.extend(sums.map(|((_, labels), sum)| (with_tenant(OTHERS, labels.clone()), sum.clone())));
        if of.name == REFUSED_WRITES {
            samples.extend(refused_writes.iter().cloned());
        }
        Family { name: of.name, help: of.help, kind: of.kind, unit: of.unit, samples }
    };
    all.into_iter().enumerate().map(family).collect()
}

/// The sum over several tenants of each series that adds up.
fn sums(all: &[OfTenant], tenants: &[&TenantReport]) -> Sums {
    let mut sums = Sums::new();
    for (place, tenant) in tenants.iter().enumerate() {
        for (index, of) in all.iter().enumerate().filter(|(_, of)| of.adds_up) {
            (of.read)(tenant, &mut |labels, value| {
                // The first tenant has every series; of thousands of idle ones nothing needs to be looked up.
                if place == 0 || !value.is_zero() {
                    sums.entry((index, labels)).and_modify(|sum| sum.add(&value)).or_insert(value);
                }
            });
        }
    }
    sums
}

fn with_tenant(tenant: impl Into<Cow<'static, str>>, labels: Labels) -> Labels {
    let mut all = vec![("tenant", tenant.into())];
    all.extend(labels);
    all
}

/// Everything that is read of a tenant, in the order in which it is shown.
fn all() -> Vec<OfTenant> {
    let answers = "Answers by what Cache-Status said: hit, or why the origin was asked";
    let reasons = "Responses of the origin that were not stored, by reason";
    let refused = "Requests that were not sent to the origin, to protect it, by reason";
    let mut all = counters();
    all.extend([
        tally("answers", answers, "outcome", |tenant| &tenant.counters.answers),
        tally("responses_not_stored", reasons, "reason", |tenant| &tenant.counters.reasons),
        tally("origin_refused", refused, "reason", |tenant| &tenant.origin.refused),
        durations(),
        refused_by_disk(),
    ]);
    all.extend(of_tenants().into_iter().map(|metric| {
        let adds_up = !metric.name.starts_with("latency");
        OfTenant { adds_up, ..part_of(metric, |tenant| tenant) }
    }));
    all.extend(of_memory().into_iter().map(|metric| part_of(metric, |tenant| &tenant.memory)));
    all.extend(of_shields().into_iter().map(|metric| part_of(metric, |tenant| &tenant.origin)));
    all.extend(of_names().into_iter().map(|metric| part_of(metric, |tenant| &tenant.origin_at)));
    all.extend(of_addresses().into_iter().map(of_each_address));
    all.extend(of_policies().into_iter().map(of_each_policy));
    all
}

/// The counters of a tenant, whose names and help texts come with their values.
fn counters() -> Vec<OfTenant> {
    let counter = |(name, help, read): &(&'static str, &'static str, fn(&CounterValues) -> u64)| {
        part_of(counter(name, help, *read), |tenant| &tenant.counters)
    };
    CounterValues::COUNTERS.iter().map(counter).collect()
}

/// A counter for each word, which is the value of `label`.
fn tally(
    name: &'static str,
    help: &'static str,
    label: &'static str,
    words: fn(&TenantReport) -> &BTreeMap<&'static str, u64>,
) -> OfTenant {
    let read = move |tenant: &TenantReport, push: &mut dyn FnMut(Labels, Value)| {
        for (word, count) in words(tenant) {
            push(vec![(label, Cow::Borrowed(word))], Value::Counter(*count));
        }
    };
    OfTenant { name, help, kind: MetricType::Counter, unit: None, adds_up: true, read: Box::new(read) }
}

fn durations() -> OfTenant {
    let read = |tenant: &TenantReport, push: &mut dyn FnMut(Labels, Value)| {
        let latency = &tenant.counters.latency;
        for (answered, times) in [("hit", &latency.hits), ("other", &latency.others)] {
            push(vec![("answered", Cow::Borrowed(answered))], Value::Histogram(Box::new(times.clone())));
        }
    };
    OfTenant {
        name: "request_duration",
        help: "Time from a request to the head of its response, by whether it was a hit",
        kind: MetricType::Histogram,
        unit: Some(Unit::Seconds),
        adds_up: true,
        read: Box::new(read),
    }
}

/// What the disk refused of a tenant's own data; labels `tenant`, `what`, `reason`.
fn refused_by_disk() -> OfTenant {
    let read = |tenant: &TenantReport, push: &mut dyn FnMut(Labels, Value)| {
        tenant.disk.iter().flat_map(super::node::refused).for_each(|(labels, count)| push(labels, count));
    };
    OfTenant {
        name: REFUSED_WRITES,
        help: "Writes that the disk refused, by what was to be written and why",
        kind: MetricType::Counter,
        unit: None,
        adds_up: true,
        read: Box::new(read),
    }
}

/// A metric of a part of the report.
fn part_of<T: 'static>(metric: Metric<T>, part: for<'a> fn(&'a TenantReport) -> &'a T) -> OfTenant {
    of_each(metric, true, move |tenant, push| push(Labels::new(), part(tenant)))
}

fn of_each_policy(metric: Metric<BoundInfo>) -> OfTenant {
    // The names of the others' policies would be series without a bound.
    of_each(metric, false, |tenant, push| {
        for bound in &tenant.policies {
            let labels =
                vec![("role", Cow::Owned(bound.role.to_string())), ("policy", Cow::Owned(bound.name.to_string()))];
            push(labels, bound);
        }
    })
}

fn of_each_address(metric: Metric<AddressReport>) -> OfTenant {
    // As above: the others' addresses have no bound.
    of_each(metric, false, |tenant, push| {
        for one in &tenant.origin_at.addresses {
            push(vec![("address", Cow::Owned(one.address.clone()))], one);
        }
    })
}

/// A metric of several things of a tenant, which `each` names with their labels.
fn of_each<T: 'static>(
    metric: Metric<T>,
    adds_up: bool,
    each: impl Fn(&TenantReport, &mut dyn FnMut(Labels, &T)) + 'static,
) -> OfTenant {
    let (name, help, kind, unit) = (metric.name, metric.help, metric.kind(), metric.unit.clone());
    let read = move |tenant: &TenantReport, push: &mut dyn FnMut(Labels, Value)| {
        each(tenant, &mut |labels, one| push(labels, metric.read(one)));
    };
    OfTenant { name, help, kind, unit, adds_up, read: Box::new(read) }
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

/// Metrics of the addresses of a tenant's origin; labels `tenant`, `address`.
fn of_addresses() -> [Metric<AddressReport>; 6] {
    let ejected = "1 while an address of the origin is left out because requests failed there";
    [
        gauge("origin_address_healthy", "1 while checks find an address of the origin healthy", None, |one| {
            f64::from(u8::from(one.healthy))
        }),
        gauge("origin_address_ejected", ejected, None, |one| f64::from(u8::from(one.ejected))),
        counter("origin_address_ejections", "Times that an address of the origin was left out", |one| one.ejections),
        gauge("origin_address_running", "Requests that are at an address of the origin", None, |one| {
            one.running as f64
        }),
        counter("origin_address_requests", "Requests that were sent to an address of the origin", |one| one.requests),
        counter("origin_address_failures", "Requests that failed at an address of the origin", |one| one.failures),
    ]
}

/// Metrics of the names that lead to a tenant's origin; label `tenant`.
fn of_names() -> [Metric<OriginReport>; 2] {
    [
        gauge("origin_addresses", "Addresses of the origin", None, |one| one.addresses.len() as f64),
        counter("origin_resolver_failures", "Times that a name of the origin could not be resolved", |one| {
            one.resolver_failures
        }),
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
