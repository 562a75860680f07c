//! The role `invalidation`: this was written, what must be purged?

use http::{HeaderMap, Method, StatusCode};
use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyRules;
use sandbar_http::purge::Purge;

/// A write that the origin accepted.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The method of the request.
    pub method: &'a Method,
    /// Scheme and authority.
    pub site: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// What of the site's targets joins their keys.
    pub key: &'a KeyRules,
    /// Status code of the response.
    pub status: StatusCode,
    /// The request's fields.
    pub request: &'a HeaderMap,
    /// The response's fields.
    pub response: &'a HeaderMap,
}

/// Who is asked what a write makes invalid.
pub(crate) trait InvalidationPolicy: Send + Sync {
    /// What is to be purged, and how many of the purges that were named make no sense.
    fn purges(&self, now: Timestamp, written: &Written<'_>) -> Result<(Vec<Purge>, u64), crate::Fault>;
}
