//! What operators see of an origin that has addresses.

use serde::Serialize;

/// The addresses of an origin at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OriginReport {
    /// Its addresses; none before names that lead to it were resolved for the first time.
    pub addresses: Vec<AddressReport>,
    /// Times that a name could not be resolved, since the start.
    pub resolver_failures: u64,
    /// Why names could not be resolved the last time; `None` where they could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolver_error: Option<String>,
}

/// One address of an origin; counts are since it became one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AddressReport {
    /// The address.
    pub address: String,
    /// Whether the checks find it healthy; true where there are none.
    pub healthy: bool,
    /// Whether it is left out for a while, because requests failed there.
    pub ejected: bool,
    /// Times that it was left out.
    pub ejections: u64,
    /// Requests that are there now, bodies of responses included.
    pub running: u64,
    /// Requests that were sent there.
    pub requests: u64,
    /// Those of them that failed: no connection, no response, one of 502, 503 and 504, or one that broke off.
    pub failures: u64,
    /// Why a request or a check failed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}
