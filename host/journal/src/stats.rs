//! The figures of a journal.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbar_base::Timestamp;
use sandbar_base::disk_trouble::DiskReport;

use crate::error::Bound;

/// The figures of a journal at one instant; counts are since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Bytes of all writes that are held, dead letters and what is on its way to the disk included.
    pub bytes: u64,
    /// Bytes of them that are in memory as well.
    pub held_bytes: u64,
    /// Bytes that wait in memory for the disk.
    pub queued_bytes: u64,
    /// Bytes of all files.
    pub disk_bytes: u64,
    /// Number of files.
    pub segments: u64,
    /// Each tenant's share, for those that have something or bounds of their own.
    pub tenants: BTreeMap<String, TenantStats>,
    /// Writes that were acknowledged.
    pub acknowledged: u64,
    /// Writes that a bound refused, by the bound.
    pub refused: BTreeMap<Bound, u64>,
    /// Writes that a later one has absorbed.
    pub absorbed: u64,
    /// Writes that were delivered.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Writes that became dead letters.
    pub buried: u64,
    /// Dead letters that were dropped.
    pub dropped: u64,
    /// Group commits that are on the disk.
    pub commits: u64,
    /// Records in them: with `commits`, how many share one `fsync`.
    pub records: u64,
    /// Time that the disk took for these commits, in all.
    pub sync_time: Duration,
    /// The longest that one of them took.
    pub sync_time_max: Duration,
    /// Group commits that the disk refused.
    pub commits_failed: u64,
    /// Bytes that were written a second time, so that old files could go.
    pub carried_bytes: u64,
    /// Bytes of a write that a crash had torn, which was cut off when the journal was opened.
    pub torn_bytes: u64,
    /// Ranges of damage to what had been acknowledged: found when the journal was opened, and since.
    pub damaged: u64,
    /// What the disk refuses, with what to do about it.
    pub disk: DiskReport,
}

/// One tenant's share of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantStats {
    /// Writes that are not done.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// Bytes of both, and of what is on its way to the disk.
    pub bytes: u64,
    /// Bytes of the dead letters.
    pub dead_bytes: u64,
    /// When the oldest write that is not done was made.
    pub oldest: Option<Timestamp>,
}
