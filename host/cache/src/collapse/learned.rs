//! Keys whose responses turned out to be for one request each: for a while nobody waits for another's fetch of them.

use std::time::Duration;

use sandbar_http::key::KeyHash;

use crate::request::CacheRequest;

/// The keys, so many at most.
pub(crate) struct Learned(mini_moka::sync::Cache<KeyHash, ()>);

impl Learned {
    pub(crate) fn new(keys_max: u64, kept_for: Duration) -> Self {
        Self(mini_moka::sync::Cache::builder().max_capacity(keys_max).time_to_live(kept_for).build())
    }

    /// Whether responses to what is asked for turned out to be for one request each.
    pub(crate) fn has(&self, request: &CacheRequest) -> bool {
        self.0.contains_key(&key(request))
    }

    /// From now on nobody waits for another's fetch.
    pub(crate) fn note(&self, request: &CacheRequest) {
        self.0.insert(key(request), ());
    }

    /// From now on others wait again; false where they did already.
    pub(crate) fn forget(&self, request: &CacheRequest) -> bool {
        let key = key(request);
        let was_known = self.0.contains_key(&key);
        if was_known {
            self.0.invalidate(&key);
        }
        was_known
    }
}

fn key(request: &CacheRequest) -> KeyHash {
    request.collapse_key(request.key.hash())
}
