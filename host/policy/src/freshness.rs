//! The role `freshness`: may this response be stored, in which tiers, how long is it fresh, when may it be refreshed
//! early, how long may it be served stale, and which surrogate keys does it have?

use std::time::Duration;

use sandbar_base::clock::Timestamp;
pub use sandbar_http::plan::{EarlyRefresh, Grant, LifetimeSource, Obstacle, Plan, Standard};

/// A response that was just received, and the request that it answers: what a policy is shown.
#[derive(Clone, Copy, Debug)]
pub struct Fill<'a> {
    /// The request's method.
    pub method: &'a http::Method,
    /// Scheme and authority.
    pub site: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Name of the class of the target; empty where there is none.
    pub class: &'a str,
    /// The request's fields.
    pub request: &'a http::HeaderMap,
    /// The response's status code.
    pub status: http::StatusCode,
    /// The response's fields.
    pub response: &'a http::HeaderMap,
    /// Length of the body in bytes where it was announced.
    pub body_bytes: Option<u64>,
    /// The time the origin took to its first byte.
    pub fetch_time: Duration,
}

/// The plan that the host will execute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The checked plan.
    pub plan: Plan,
    /// Digest of the policy that made it; none where it is the native default's (or the fallback after a fault).
    pub policy: Option<crate::Digest>,
}

/// Who is asked for a plan.
pub(crate) trait FreshnessPolicy: Send + Sync {
    /// The plan for a response that was just received, given what RFC 9111 says of it.
    fn plan(&self, now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Result<Plan, crate::Fault>;
}
