//! The role `warming`: this is what was used, when, and at what cost; what should be fetched before anyone asks?

use crate::clock::Timestamp;

/// One target and how it was used in the last period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// Scheme and authority.
    pub site: String,
    /// Path and query.
    pub target: String,
    /// Requests in the period.
    pub requests: u32,
    /// When it was last asked for.
    pub last: Timestamp,
    /// What its last fetch cost, in microseconds.
    pub fetch_cost_us: u64,
    /// Size of its body in bytes.
    pub body_bytes: u64,
    /// When its freshness ends; none where nothing is stored.
    pub expires: Option<Timestamp>,
}

/// One target to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Scheme and authority.
    pub site: String,
    /// Path and query.
    pub target: String,
}
