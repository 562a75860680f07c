//! What a memory tier says of itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a memory tier holds and has done since its start. Sums over its shards, read one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MemoryStats {
    /// Name of the eviction policy that is bound.
    pub policy: String,
    /// Digest of its component; none where it is native.
    pub policy_digest: Option<String>,
    /// Shards.
    pub shards: u64,
    /// Shards where the bound policy failed and a native one stands in.
    pub shards_standing_in: u64,
    /// Resident entries.
    pub entries: u64,
    /// Bytes they weigh, overhead included.
    pub resident_bytes: u64,
    /// Bytes that they may weigh.
    pub capacity_bytes: u64,
    /// Bytes by which they may exceed that until the policy has answered.
    pub slack_bytes: u64,
    /// Entries taken in.
    pub insertions: u64,
    /// Entries that took the place of an older one of their key.
    pub replacements: u64,
    /// Entries not taken in: too large, or the policy named the arrival itself as victim.
    pub not_admitted: u64,
    /// Entries that the policy named as victims.
    pub evicted_by_policy: u64,
    /// Entries that the host evicted in the order of insertion: the policy was busy, failed, or named too few.
    pub evicted_by_host: u64,
    /// Entries removed or swept.
    pub removed: u64,
    /// Reads that the policy was told of.
    pub reads_noted: u64,
    /// Reads that found the read buffer full. Reads that overwrote each other in it are not counted.
    pub reads_dropped: u64,
    /// Calls of the policy.
    pub advances: u64,
    /// Faults of the policy: errors, and answers that made no sense.
    pub faults: u64,
    /// Times the queue of events was full.
    pub event_overflows: u64,
}

/// Counted under the table's exclusive lock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TableCounts {
    pub(super) insertions: u64,
    pub(super) replacements: u64,
    pub(super) not_admitted: u64,
    pub(super) evicted_by_policy: u64,
    pub(super) evicted_by_host: u64,
    pub(super) removed: u64,
    pub(super) reads_noted: u64,
    pub(super) reads_dropped: u64,
    pub(super) event_overflows: u64,
}

/// Counted by whoever holds the policy's lock, read by anyone.
#[derive(Debug, Default)]
pub(super) struct SeatCounts {
    pub(super) reads_noted: AtomicU64,
    pub(super) reads_dropped: AtomicU64,
    pub(super) advances: AtomicU64,
    pub(super) faults: AtomicU64,
    /// 1 while a native policy stands in.
    pub(super) standing_in: AtomicU64,
}

impl SeatCounts {
    /// Adds to a counter that only the holder of the policy's lock writes.
    pub(super) fn add(counter: &AtomicU64, more: u64) {
        counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
    }
}

impl MemoryStats {
    pub(super) fn add_table(&mut self, counts: &TableCounts) {
        self.insertions += counts.insertions;
        self.replacements += counts.replacements;
        self.not_admitted += counts.not_admitted;
        self.evicted_by_policy += counts.evicted_by_policy;
        self.evicted_by_host += counts.evicted_by_host;
        self.removed += counts.removed;
        self.reads_noted += counts.reads_noted;
        self.reads_dropped += counts.reads_dropped;
        self.event_overflows += counts.event_overflows;
    }

    pub(super) fn add_seat(&mut self, counts: &SeatCounts) {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.reads_noted += value(&counts.reads_noted);
        self.reads_dropped += value(&counts.reads_dropped);
        self.advances += value(&counts.advances);
        self.faults += value(&counts.faults);
        self.shards_standing_in += value(&counts.standing_in);
    }
}
