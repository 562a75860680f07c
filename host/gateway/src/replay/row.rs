//! The result of a replay.

use serde::Serialize;

use super::capacity::Unit;

/// The result of one policy at one capacity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// The policy, as it was written on the command line.
    pub policy: String,
    /// What the capacity is counted in.
    pub unit: Unit,
    /// The capacity, in that unit.
    pub capacity: u64,
    /// The part of the keys that was replayed, by their hash; 1 for all of them.
    pub sample_rate: f64,
    /// Number of requests that were replayed.
    pub requests: u64,
    /// Requests that missed.
    pub misses: u64,
    /// The part of the requests that missed; with a sample, an estimate of that of the whole trace.
    pub object_miss_ratio: f64,
    /// The part of the requested bytes that missed; with a sample, an estimate too.
    pub byte_miss_ratio: f64,
    /// Entries evicted to make room.
    pub evictions: u64,
    /// Processor time per request in nanoseconds, the look-up included.
    pub ns_per_request: f64,
}
