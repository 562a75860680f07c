//! The metrics of the node: its memory, its L2, its part in the fleet, its disks, its access log,
//! its connections.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use sandbar::cache::Cache;
use sandbar::commons::CommonsStats;
use sandbar::fleet::FleetReport;
use sandbar::tier::TierHealth;
use sandbar_base::disk_trouble::DiskReport;
use sandbar_base::memory_budget::{MemoryBudgetStats, UseStats};

use super::family::{Family, Labels, Metric, Value, counter, gauge};
use crate::access::{AccessLog, AccessStats};
use crate::opening::{OpeningStats, Openings};

/// The L2, as [`Cache::l2_health`] has it.
type L2 = (&'static str, TierHealth);

/// The families of the node.
pub(super) fn families(cache: &Cache, l2: Option<&L2>, access: Option<&AccessLog>) -> Vec<Family> {
    let (fleet, memory) = (cache.fleet_report(), cache.memory_budget().stats());
    let mut all = vec![build_info()];
    let of_l2 = of_l2()
        .into_iter()
        .map(|metric| metric.family(l2.iter().map(|(name, health)| (vec![("tier", Cow::Borrowed(*name))], health))));
    all.extend(of_l2);
    all.push(of_servers(l2));
    let of_fleet = of_fleet()
        .into_iter()
        .map(|metric| metric.family(fleet.iter().map(|fleet| (vec![("node", Cow::Owned(fleet.node.clone()))], fleet))));
    all.extend(of_fleet);
    all.extend(of_budget().into_iter().map(|metric| metric.family(one(&memory))));
    let commons = cache.commons_stats();
    all.extend(of_commons().into_iter().map(|metric| metric.family(one(&commons))));
    let of_uses = of_uses()
        .into_iter()
        .map(|metric| metric.family(memory.uses.iter().map(|of| (vec![("use", Cow::Borrowed(of.what))], of))));
    all.extend(of_uses);
    let undelivered = "Purges that wait to be recorded and told to other nodes";
    let pending = cache.purges_pending() as u64;
    all.push(gauge("purges_undelivered", undelivered, None, |pending: &u64| *pending as f64).family(one(&pending)));
    all.extend(super::journal::families(cache));
    all.extend(access.into_iter().flat_map(|access| of_access(&access.stats())));
    all
}

/// The thing itself, without labels.
fn one<T>(of: &T) -> impl Iterator<Item = (Labels, &T)> {
    std::iter::once((Labels::new(), of))
}

fn build_info() -> Family {
    let labels = vec![
        ("version", Cow::Borrowed(env!("CARGO_PKG_VERSION"))),
        ("os", Cow::Borrowed(std::env::consts::OS)),
        ("arch", Cow::Borrowed(std::env::consts::ARCH)),
    ];
    let help = "1; the labels say which build of the program runs";
    let samples = vec![(labels, Value::Gauge(1.0))];
    Family { name: "build_info", help, kind: MetricType::Gauge, unit: None, samples }
}

/// Writes that the disk refused of what is no single tenant's; the labels are `what` and `reason`.
pub(super) fn refused_writes(l2: Option<&L2>, access: Option<&AccessLog>) -> Vec<(Labels, Value)> {
    let access = access.map(AccessLog::report);
    let reports = l2.iter().flat_map(|(_, health)| &health.disk).chain(&access);
    reports.flat_map(refused).collect()
}

/// The samples of one kind of writes.
pub(super) fn refused(report: &DiskReport) -> impl Iterator<Item = (Labels, Value)> {
    let sample = |(reason, count): (&&'static str, &u64)| {
        (vec![("what", Cow::Borrowed(report.what)), ("reason", Cow::Borrowed(*reason))], Value::Counter(*count))
    };
    report.refused.iter().map(sample)
}

/// The access log: lines written, and lines lost by reason.
fn of_access(stats: &AccessStats) -> [Family; 2] {
    let lost = stats.lost.iter().map(|(why, lines)| (vec![("reason", Cow::Borrowed(*why))], Value::Counter(*lines)));
    let family = |name, help, samples| Family { name, help, kind: MetricType::Counter, unit: None, samples };
    [
        family(
            "access_log_lines",
            "Lines of the access log that were written",
            vec![(Labels::new(), Value::Counter(stats.written))],
        ),
        family("access_log_lines_lost", "Lines of the access log that were lost, by reason", lost.collect()),
    ]
}

/// What came before HTTP on connections; the labels are `listener` and a word.
pub(super) fn of_openings(openings: &Openings) -> [Family; 3] {
    let sides = [("clients", openings.clients.stats()), ("operators", openings.operators.stats())];
    let family = |name, help, label, words: fn(&OpeningStats) -> &BTreeMap<&'static str, u64>| {
        let samples = sides.iter().flat_map(|(side, stats)| {
            words(stats).iter().map(|(word, count)| {
                let labels = vec![("listener", Cow::Borrowed(*side)), (label, Cow::Borrowed(*word))];
                (labels, Value::Counter(*count))
            })
        });
        Family { name, help, kind: MetricType::Counter, unit: None, samples: samples.collect() }
    };
    let done = "TLS handshakes, by whether a session of before was resumed";
    let failed = "TLS handshakes that failed, by reason";
    let headers = "Connections of trusted proxies closed because of their PROXY header, by reason";
    [
        family("tls_handshakes", done, "kind", |stats| &stats.shaken),
        family("tls_handshakes_failed", failed, "reason", |stats| &stats.failed),
        family("proxy_headers_refused", headers, "reason", |stats| &stats.bad_headers),
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

/// Metrics of what tenants without a share of L1 have together.
pub(super) fn of_commons() -> [Metric<CommonsStats>; 4] {
    [
        gauge(
            "l1_commons_total",
            "What tenants without a share of L1 may have together",
            Some(Unit::Bytes),
            |commons| commons.total_bytes as f64,
        ),
        gauge("l1_commons_given", "What is given to them now", Some(Unit::Bytes), |commons| commons.given_bytes as f64),
        gauge("l1_commons_tenants", "Tenants without a share of L1", None, |commons| commons.tenants as f64),
        gauge("l1_commons_holders", "Those of them that have something in memory now, or had", None, |commons| {
            commons.holders as f64
        }),
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
fn of_l2() -> [Metric<TierHealth>; 7] {
    [
        gauge("l2_available", "1 while the L2 is asked", None, |l2| f64::from(u8::from(l2.available))),
        gauge("l2_stored", "What it holds, where it knows", Some(Unit::Bytes), |l2| {
            l2.stored_bytes.unwrap_or(0) as f64
        }),
        gauge("l2_entries", "Entries it holds, where it knows", None, |l2| l2.entries.unwrap_or(0) as f64),
        gauge("l2_clock_skew", "How far its clock is ahead of this node's", Some(Unit::Seconds), |l2| {
            l2.clock_skew_ms.unwrap_or(0) as f64 / 1000.0
        }),
        counter("l2_left_out", "Entries that were too large for it, or too many on their way to it", |l2| l2.left_out),
        counter("l2_calls_failed", "Calls of the L2 that failed", |l2| l2.errors),
        counter("l2_unreadable", "Stored bytes that could not be read and were treated as a miss", |l2| l2.unreadable),
    ]
}

/// Which of the servers of the L2 are asked; labels `tier` and `server`. None where the L2 is one.
fn of_servers(l2: Option<&L2>) -> Family {
    let samples = l2.into_iter().flat_map(|(name, health)| {
        health.servers.iter().map(|server| {
            let labels = vec![("tier", Cow::Borrowed(*name)), ("server", Cow::Owned(server.name.clone()))];
            (labels, Value::Gauge(f64::from(u8::from(server.available))))
        })
    });
    let help = "1 while the server is asked that has its part of the L2's entries";
    Family { name: "l2_server_available", help, kind: MetricType::Gauge, unit: None, samples: samples.collect() }
}

/// Metrics of this node's part in its fleet; label `node`.
fn of_fleet() -> [Metric<FleetReport>; 12] {
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
        gauge("fleet_tenants_unapplied", "Tenants of the fleet's register that this node can't apply", None, |fleet| {
            fleet.unapplied.len() as f64
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
