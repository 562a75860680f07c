//! The metrics of the journal of held writes (write-behind). They are the node's; each tenant's counters are among its own.

use std::borrow::Cow;
use std::time::Duration;

use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use sandbar::cache::Cache;
use sandbar::owed::JournalStats;

use super::family::{Family, Labels, Metric, Value, counter, gauge};

/// A journal at one instant.
struct Now {
    stats: JournalStats,
    oldest: Duration,
    capacity_bytes: u64,
}

/// The families; without samples where there is no journal.
pub(super) fn families(cache: &Cache) -> Vec<Family> {
    let now = cache.journal_stats().map(|stats| {
        let oldest = stats.tenants.values().filter_map(|of| of.oldest).min();
        let oldest = oldest.map_or(Duration::ZERO, |oldest| cache.clock().now().saturating_since(oldest));
        Now { stats, oldest, capacity_bytes: cache.journal_capacity_bytes().unwrap_or(0) }
    });
    let mut all: Vec<Family> =
        of_journal().into_iter().map(|metric| metric.family(now.iter().map(|now| (Labels::new(), now)))).collect();
    let refused = now.iter().flat_map(|now| {
        now.stats
            .refused
            .iter()
            .map(|(bound, count)| (vec![("bound", Cow::Borrowed(bound.as_str()))], Value::Counter(*count)))
    });
    all.push(Family {
        name: "journal_refused",
        help: "Writes that a bound of the journal refused, by the bound",
        kind: MetricType::Counter,
        unit: None,
        samples: refused.collect(),
    });
    all
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floating point numbers")]
fn of_journal() -> [Metric<Now>; 13] {
    [
        gauge("journal_writes", "Writes that are held and not at their origin yet", None, |now| {
            now.stats.tenants.values().map(|of| of.pending).sum::<u64>() as f64
        }),
        gauge("journal_dead_letters", "Held writes that an origin refused, or did not take in time", None, |now| {
            now.stats.tenants.values().map(|of| of.dead).sum::<u64>() as f64
        }),
        gauge("journal_oldest_age", "For how long the oldest of them is held", Some(Unit::Seconds), |now| {
            now.oldest.as_secs_f64()
        }),
        gauge("journal_held", "Of all writes, dead letters included", Some(Unit::Bytes), |now| now.stats.bytes as f64),
        gauge("journal_capacity", "What they may take", Some(Unit::Bytes), |now| now.capacity_bytes as f64),
        gauge("journal_disk", "Of the journal's files", Some(Unit::Bytes), |now| now.stats.disk_bytes as f64),
        counter("journal_acknowledged", "Writes that were held", |now| now.stats.acknowledged),
        counter("journal_absorbed", "Held writes whose place a later one has taken", |now| now.stats.absorbed),
        counter("journal_delivered", "Held writes that were delivered", |now| now.stats.done),
        counter("journal_attempts_failed", "Attempts to deliver that failed", |now| now.stats.failed),
        counter("journal_commits", "Group commits that are on the disk: one fsync each", |now| now.stats.commits),
        counter("journal_commits_failed", "Group commits that the disk refused", |now| now.stats.commits_failed),
        counter("journal_damaged", "Ranges of damage in what had been acknowledged", |now| now.stats.damaged),
    ]
}
