//! Statistics of a memory tier.

use std::sync::atomic::{AtomicU64, Ordering};

/// The figures of a memory tier; counts are since its start. Sums over its shards, which are read one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MemoryStats {
    /// Name of the eviction policy that is bound; empty while a swap or a change of capacity is going on.
    pub policy: String,
    /// Digest of the policy's component; none where the policy is native, or the name is empty.
    pub policy_digest: Option<String>,
    /// Number of shards.
    pub shards: u64,
    /// Number of shards where the bound policy failed and a native one stands in, or none.
    pub shards_standing_in: u64,
    /// Number of resident entries.
    pub entries: u64,
    /// Weight of the resident entries in bytes, overhead included.
    pub resident_bytes: u64,
    /// Bytes that the resident entries may weigh.
    pub capacity_bytes: u64,
    /// Bytes by which the entries may exceed the capacity until the policy has answered.
    pub slack_bytes: u64,
    /// Entries taken in.
    pub insertions: u64,
    /// Entries that took the place of an older one of their key.
    pub replacements: u64,
    /// Entries not admitted: too large, or the policy named the arrival itself as victim.
    pub not_admitted: u64,
    /// Entries that the policy named as victims.
    pub evicted_by_policy: u64,
    /// Entries that the host evicted in the order of insertion: the policy was busy, failed, or named too few.
    pub evicted_by_host: u64,
    /// Entries removed or swept.
    pub removed: u64,
    /// Reads that the policy was told of.
    pub reads_noted: u64,
    /// Reads for which the read buffer or the event queue was full. Reads that overwrote each other are not counted.
    pub reads_dropped: u64,
    /// Calls of the policy.
    pub advances: u64,
    /// Faults of the policy: errors, and answers that made no sense.
    pub faults: u64,
    /// How often the event queue overflowed.
    pub event_overflows: u64,
}

/// The counters that are written under the table's exclusive lock.
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

/// The counters that the holder of the policy's lock writes and any thread reads; readers add to `reads_dropped` as
/// well.
#[derive(Debug, Default)]
pub(super) struct SeatCounts {
    pub(super) reads_noted: AtomicU64,
    pub(super) reads_dropped: AtomicU64,
    pub(super) advances: AtomicU64,
    pub(super) faults: AtomicU64,
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
    }
}
