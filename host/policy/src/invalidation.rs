//! The role `invalidation`: this was written, what must be purged?

use http::{HeaderMap, Method, StatusCode};
use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyRules;
use sandbar_http::purge::Purge;

/// A write that the origin answered with a 2xx or 3xx status.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// Scheme and authority of the request: `https://shop.example`.
    pub site: &'a str,
    /// Path and query of the request: `/a/b?page=2`.
    pub target: &'a str,
    /// The tenant's rules for cache keys: by them a target that the policy names becomes a key.
    pub key: &'a KeyRules,
    /// Status code of the response.
    pub status: StatusCode,
    /// The request's fields.
    pub request: &'a HeaderMap,
    /// The response's fields.
    pub response: &'a HeaderMap,
}

/// An invalidation policy of the program that embeds the cache. May still change until the contract with guests is
/// frozen.
pub trait Invalidation: Send + Sync + 'static {
    /// What to purge because of a write, beside what RFC 9111 section 4.4 purges anyway.
    fn purges(&self, now: Timestamp, written: &Written<'_>) -> Vec<Purge>;
}

/// A policy that answers the role `invalidation`.
pub(crate) trait InvalidationPolicy: Send + Sync {
    /// The purges that the policy asks for, and how many others it named that were dropped: those that make no sense,
    /// and those beyond the limit.
    fn purges(&self, now: Timestamp, written: &Written<'_>) -> Result<(Vec<Purge>, u64), crate::Fault>;
}
