//! The role `freshness`: may this response be stored, in which tiers, how long is it fresh, when may it be refreshed
//! early, how long may it be served stale, and which surrogate keys does it have?

use std::time::Duration;

use sandbar_base::clock::Timestamp;
pub use sandbar_http::plan::{EarlyRefresh, Grant, Obstacle, Plan};
#[doc(hidden)]
pub use sandbar_http::plan::{LifetimeSource, Standard};

/// A response that was just received, and the request that it answers, as a freshness policy sees them.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    /// The request's method.
    pub method: &'a http::Method,
    /// Scheme and authority of the request: `https://shop.example`.
    pub site: &'a str,
    /// Path and query of the request: `/a/b?page=2`.
    pub target: &'a str,
    /// Name of the class that the configuration puts the target in; empty where there is none.
    pub class: &'a str,
    /// The request's fields.
    pub request: &'a http::HeaderMap,
    /// The response's status code.
    pub status: http::StatusCode,
    /// The response's fields.
    pub response: &'a http::HeaderMap,
    /// Length of the response's body in bytes, where the origin announced it.
    pub body_bytes: Option<u64>,
    /// The time the origin took to its first byte.
    pub fetch_time: Duration,
}

#[cfg(test)]
impl<'a> Fill<'a> {
    /// A response of 100 bytes with this status and these fields to a GET for `/a` on `https://shop.example`, in no class.
    pub(crate) fn of_a(status: http::StatusCode, fields: &'a http::HeaderMap) -> Self {
        Self {
            method: &http::Method::GET,
            site: "https://shop.example",
            target: "/a",
            class: "",
            request: fields,
            status,
            response: fields,
            body_bytes: Some(100),
            fetch_time: Duration::from_millis(80),
        }
    }
}

/// The plan that the host will execute.
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Planned {
    /// The plan, after it was clamped.
    pub plan: Plan,
    /// Digest of the policy that made the plan; none where the native default did, after a fault of the policy too.
    pub policy: Option<crate::Digest>,
}

/// A freshness policy of the program that embeds the cache. May still change until the contract with guests is frozen.
///
/// ```
/// use sandbar_base::clock::Timestamp;
/// use sandbar_policy::freshness::{Fill, Freshness, Plan};
///
/// /// Search results are fresh for ten seconds at most.
/// struct ShortSearches;
///
/// impl Freshness for ShortSearches {
///     fn amend(&self, _now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Plan {
///         let mut plan = standard.clone();
///         if fill.target.starts_with("/search") {
///             plan.freshness_lifetime_ms = plan.freshness_lifetime_ms.min(10_000);
///         }
///         plan
///     }
/// }
/// ```
pub trait Freshness: Send + Sync + 'static {
    /// Amends `standard`, the plan of RFC 9111 for a response that may be stored. Called once per fill, never on a hit.
    /// What the answer widens beyond the tenant's grants is clamped and counted.
    fn amend(&self, now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Plan;
}

/// A policy that answers the role `freshness`.
pub(crate) trait FreshnessPolicy: Send + Sync {
    /// The plan for a response that was just received, not clamped yet. `standard` is the plan of RFC 9111.
    fn plan(&self, now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Result<Plan, crate::Fault>;
}
