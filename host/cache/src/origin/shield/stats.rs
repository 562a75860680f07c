//! Figures of an origin's protection.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use serde::Serialize;

use super::Refusal;
use crate::tally::Tally;

/// Counters since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) refused: Tally<Refusal>,
    pub(super) queued: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) retries_denied: AtomicU64,
    pub(super) fetch_deadlines: AtomicU64,
}

/// Requests to an origin and their failures since the start.
#[derive(Debug, Default)]
pub struct OriginCounters {
    /// Requests sent to the origin, refreshes and validations included.
    pub requests: AtomicU64,
    /// Requests to the origin that got no response, or one that can't be trusted.
    pub errors: AtomicU64,
    /// Requests to the origin that their client spoilt, or did not go on with in time: no failures of the origin.
    pub client_faults: AtomicU64,
}

/// An origin's protection at one instant; counts are since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ShieldStats {
    /// Requests that may be under way at once.
    pub limit: u64,
    /// Requests under way, bodies included.
    pub running: u64,
    /// Requests that wait for their turn.
    pub waiting: u64,
    /// Requests that had to wait for their turn.
    pub queued: u64,
    /// Places that clients lost because they did not move: past the deadline for progress, or while others waited.
    pub places_lost: u64,
    /// Requests that were refused, by the word that `Cache-Status` gave.
    pub refused: BTreeMap<&'static str, u64>,
    /// Requests that were sent again.
    pub retries: u64,
    /// Requests that were not sent again, because the retry budget was used up or the breaker was not closed.
    pub retries_denied: u64,
    /// Fetches that took longer than `fetch_hard_deadline` from queue to head.
    pub fetch_deadlines: u64,
    /// `closed`, `open` or `half-open`.
    pub breaker: &'static str,
    /// Times that the breaker opened.
    pub breaker_opened: u64,
}

impl ShieldStats {
    /// Requests that were refused although a client waited.
    pub fn refused_clients(&self) -> u64 {
        let background = Refusal::Background.as_str();
        self.refused.iter().filter(|(word, _)| **word != background).map(|(_, count)| count).sum()
    }
}
