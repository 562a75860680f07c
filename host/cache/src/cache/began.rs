//! When a fill began, by what its node knew then. Whatever it brings is judged by that: a purge that came later hides it.

use std::time::Duration;

use super::Cache;
use super::asked::Asked;
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

impl Cache {
    /// Notes what is known now, before L2 or the origin is asked.
    pub(crate) fn begin(&self, asked: &Asked) -> Began {
        let barriers = &asked.tenant.barriers;
        // Losses and revision first: what comes in between makes this beginning too old rather than too young.
        let (losses, revision) = (barriers.losses(), barriers.revision());
        let (at, clock_us) = (self.inner.clock.monotonic(), self.inner.clock.now().as_millis().saturating_mul(1000));
        let floor_us = asked.tenant.versions.floor_us();
        Began { sequence: barriers.current(), revision, losses, at, clock_us, floor_us, token: None }
    }
}
