//! The role `invalidation`: this was written, what must be purged?

use http::{HeaderMap, Method, StatusCode};
use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyRules;
use sandbar_http::purge::{Purge, Scope};

use crate::clamp::is_surrogate_key;

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

/// Purges that a policy may name for one write.
const PURGES_MAX: usize = 256;
/// Bytes of a target or a prefix that a guest names.
const TARGET_BYTES_MAX: usize = 8 << 10;

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

/// The purges among what a policy has named, and how many others were dropped: those that name nothing (`None`) or make no
/// sense, and those beyond the limit.
pub(crate) fn sensible(named: Vec<Option<Purge>>) -> (Vec<Purge>, u64) {
    let all = named.len();
    let sensible = named.into_iter().flatten().filter(|purge| makes_sense(&purge.scope));
    let purges: Vec<_> = sensible.take(PURGES_MAX).collect();
    let dropped = (all - purges.len()) as u64;
    (purges, dropped)
}

fn makes_sense(scope: &Scope) -> bool {
    match scope {
        Scope::Target(target) => is_target(target.path_and_query()),
        Scope::Prefix(prefix) => is_target(prefix.as_str()),
        Scope::SurrogateKey(key) => is_surrogate_key(key),
        Scope::Everything => true,
    }
}

/// Whether a text is a path, with or without a query. One that no request target can hold (RFC 9112 section 3.2) would
/// match nothing, and only spoil a log.
fn is_target(target: &str) -> bool {
    target.starts_with('/') && target.len() <= TARGET_BYTES_MAX && target.bytes().all(|byte| byte.is_ascii_graphic())
}
