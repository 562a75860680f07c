//! Whether a node hears the bus: for each partition, when the node last made sure of it, on the kernel's clock. That
//! time is compared whenever it is asked for, never by a ticker: a process that was stopped for a minute knows so with
//! its first instruction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sandbar_base::clock::Clock;

/// A part of the bus. All of a tenant's messages go through the same partition, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Partition {
    /// The partition's number, from 0.
    pub index: u32,
    /// How many partitions there are.
    pub of: u32,
}

impl Partition {
    /// The partition of a tenant, among `of`.
    pub fn of_tenant(tenant: &str, of: u32) -> Self {
        Self { index: crc32fast::hash(tenant.as_bytes()) % of.max(1), of }
    }

    /// Whether a tenant's messages go through this partition.
    pub fn holds(self, tenant: &str) -> bool {
        Self::of_tenant(tenant, self.of) == self
    }
}

/// When a node last heard each partition.
#[derive(Debug)]
pub struct Hearing {
    clock: Arc<dyn Clock>,
    silence_max: Duration,
    /// Per partition: milliseconds of the monotonic clock, plus one; 0 is never.
    heard: Vec<AtomicU64>,
}

impl Hearing {
    pub(super) fn new(partitions: u32, silence_max: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { clock, silence_max, heard: (0..partitions).map(|_| AtomicU64::new(0)).collect() }
    }

    /// For how long purges of a tenant may have been missed, at most. `None` while the node has never heard the
    /// tenant's partition.
    pub fn silent_for(&self, tenant: &str) -> Option<Duration> {
        self.silence(Partition::of_tenant(tenant, self.partitions()))
    }

    /// Whether a tenant's purges were heard of until just now.
    pub fn hears(&self, tenant: &str) -> bool {
        self.silent_for(tenant).is_some_and(|silence| silence <= self.silence_max)
    }

    pub(super) fn partitions(&self) -> u32 {
        u32::try_from(self.heard.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn silence(&self, partition: Partition) -> Option<Duration> {
        let heard = self.heard.get(partition.index as usize)?.load(Ordering::Acquire);
        heard.checked_sub(1).map(|heard_ms| Duration::from_millis(self.now_ms().saturating_sub(heard_ms)))
    }

    pub(super) fn is_deaf(&self, partition: Partition) -> bool {
        self.silence(partition).is_none_or(|silence| silence > self.silence_max)
    }

    /// Notes that everything that was said before `asked_ms` has been heard.
    pub(super) fn heard(&self, partition: Partition, asked_ms: u64) {
        if let Some(heard) = self.heard.get(partition.index as usize) {
            heard.fetch_max(asked_ms.saturating_add(1), Ordering::AcqRel);
        }
    }

    /// Notes that no partition is heard any more.
    pub(super) fn deafen(&self) {
        self.heard.iter().for_each(|heard| heard.store(0, Ordering::Release));
    }
}

#[cfg(test)]
mod tests {
    use sandbar_base::clock::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn node_that_stood_still_knows_that_it_is_deaf() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(5000)));
        let hearing = Hearing::new(4, Duration::from_secs(2), Arc::clone(&clock) as Arc<dyn Clock>);
        let partition = Partition::of_tenant("shop", 4);
        assert!(!hearing.hears("shop") && hearing.silent_for("shop").is_none());
        let asked_ms = hearing.now_ms();
        clock.advance(Duration::from_millis(300));
        hearing.heard(partition, asked_ms);
        assert_eq!(hearing.silent_for("shop"), Some(Duration::from_millis(300)), "counted from the question");
        clock.advance(Duration::from_millis(1700));
        assert!(hearing.hears("shop"));
        clock.advance(Duration::from_millis(1));
        assert!(!hearing.hears("shop") && hearing.is_deaf(partition));
        hearing.heard(partition, 5000);
        assert!(!hearing.hears("shop"), "a late answer to an old question changes nothing");
    }

    #[test]
    fn tenants_spread_over_partitions_and_stay_where_they_are() {
        let partitions: Vec<u32> = (0..64).map(|n| Partition::of_tenant(&format!("tenant-{n}"), 8).index).collect();
        assert!((0..8).all(|index| partitions.contains(&index)));
        assert_eq!(Partition::of_tenant("shop", 16).index, crc32fast::hash(b"shop") % 16);
        assert!(Partition::of_tenant("shop", 16).holds("shop"));
    }
}
