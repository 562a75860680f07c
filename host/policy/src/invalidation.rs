//! The role `invalidation`: this was written, or has happened; what must be purged?

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

/// An event of another system, which may come more than once.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What it is about, as its sender named it: `product.changed`.
    pub topic: &'a str,
    /// What it says: often a JSON text.
    pub payload: &'a [u8],
    /// The tenant's rules for cache keys: by them a URL that the policy names becomes a key.
    pub key: &'a KeyRules,
}

/// Why nothing is known of what an event makes invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// No policy is bound to the role.
    #[error("the tenant has no invalidation policy, so nobody says what an event makes invalid")]
    NoPolicy,
    /// The policy is in quarantine, or its tenant's guests have used up their share of the processor.
    #[error("the invalidation policy is not asked at present")]
    NotAsked,
    /// The policy failed.
    #[error("the invalidation policy failed")]
    Failed,
}

/// Purges that a policy may name for one write, or one event.
const PURGES_MAX: usize = 256;
/// Bytes of a target or a prefix that a guest names.
const TARGET_BYTES_MAX: usize = 8 << 10;

/// An invalidation policy of the program that embeds the cache. May still change until the contract with guests is
/// frozen.
pub trait Invalidation: Send + Sync + 'static {
    /// What to purge because of a write, beside what RFC 9111 section 4.4 purges anyway.
    fn purges(&self, now: Timestamp, written: &Written<'_>) -> Vec<Purge>;

    /// What to purge because of an event of another system. By default nothing.
    fn event_purges(&self, _now: Timestamp, _event: &Event<'_>) -> Vec<Purge> {
        Vec::new()
    }
}

/// A policy that answers the role `invalidation`.
pub(crate) trait InvalidationPolicy: Send + Sync {
    /// The purges that the policy asks for, and how many others it named that were dropped: those that make no sense,
    /// and those beyond the limit.
    fn purges(&self, now: Timestamp, written: &Written<'_>) -> Result<(Vec<Purge>, u64), crate::Fault>;

    /// The same for an event.
    fn event_purges(&self, now: Timestamp, event: &Event<'_>) -> Result<(Vec<Purge>, u64), crate::Fault>;
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
