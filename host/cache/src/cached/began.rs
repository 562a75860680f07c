//! When a fill began, by what its node knew then. Whatever it brings is judged by that: a purge that came later hides it.

use std::time::Duration;

use crate::barrier::Losses;

/// The beginning of a fill, or of a lookup in L2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Began {
    /// The tenant's purge sequence: every purge up to it had been recorded.
    pub(crate) sequence: u64,
    /// What was known of purges altogether.
    pub(crate) revision: u64,
    /// How often the node's memory had been given up.
    pub(crate) losses: Losses,
    /// The monotonic clock.
    pub(crate) at: Duration,
    /// The node's clock, in microseconds,
    pub(crate) clock_us: u64,
    /// and what the tenant's hybrid logical clock showed at least.
    pub(crate) floor_us: u64,
    /// The token of the lease it runs under.
    pub(crate) token: Option<u64>,
}
