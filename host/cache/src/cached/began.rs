//! The beginning of a fill, with what its node knew of purges then. Barriers judge what the fill brings as of its
//! beginning, so that a purge that came later hides it.

use std::time::Duration;

use crate::barrier::Losses;

/// The beginning of a fill, or of a lookup in L2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Began {
    /// The tenant's purge sequence: every purge up to it had been recorded.
    pub(crate) sequence: u64,
    /// The number of the tenant's edition: of the settings that it goes by.
    pub(crate) edition: u64,
    /// The revision of the barriers, which changes with all that becomes known of purges.
    pub(crate) revision: u64,
    /// How often the node's memory had been given up because purges may have been missed.
    pub(crate) losses: Losses,
    /// When it was, on the monotonic clock.
    pub(crate) at: Duration,
    /// When it was, on the node's clock, in microseconds.
    pub(crate) clock_us: u64,
    /// The least that the tenant's hybrid logical clock showed, in microseconds.
    pub(crate) floor_us: u64,
    /// The token of the lease that the fill runs under; `None` without a lease.
    pub(crate) token: Option<u64>,
}
