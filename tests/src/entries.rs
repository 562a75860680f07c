//! Entries to store in tiers.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use sandbar::clock::Timestamp;
use sandbar::http::entry::{Directives, Entry, StoredResponse};
use sandbar::http::key::CacheKey;
use sandbar::policy::freshness::Plan;

/// Key `n` of a tenant.
pub fn key(tenant: &str, n: u64) -> CacheKey {
    CacheKey::new(tenant, "https://example.org", &format!("/products/{n}"))
}

/// A body of `bytes` bytes that follows from `seed` and can't be compressed.
pub fn body(seed: u64, bytes: usize) -> Vec<u8> {
    let mut body = vec![0; bytes];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut body);
    body
}

/// A response fresh for an hour, under `key`, with the given body.
pub fn entry(key: &CacheKey, body: Vec<u8>, sequence: u64, now: Timestamp) -> Arc<Entry> {
    let mut fields = HeaderMap::new();
    fields.insert("content-type", HeaderValue::from_static("application/json"));
    fields.insert("etag", HeaderValue::from_static("\"v1\""));
    Arc::new(Entry::Response(StoredResponse {
        key: key.shared_text(),
        status: StatusCode::OK,
        fields,
        body: body.into(),
        parts: None,
        requested: now,
        received: now,
        initial_age: Duration::ZERO,
        fetch_time: Duration::from_millis(20),
        plan: Plan { l1: true, l2: true, freshness_lifetime_ms: 3_600_000, ..Plan::default() },
        directives: Directives::default(),
        sequence,
        policy: None,
        version: None,
    }))
}

/// The body of an entry, where there is one.
pub fn body_of(entry: Option<&Entry>) -> Option<&[u8]> {
    match entry {
        Some(Entry::Response(response)) => Some(&response.body),
        _ => None,
    }
}
