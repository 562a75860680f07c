//! Keys whose responses turned out to be for one request each: for a while no request for them waits for another one.

use std::time::Duration;

use sandbar_http::key::KeyHash;

use crate::request::CacheRequest;

/// These keys: a bounded number of them, each for a limited time.
pub(crate) struct Learned(mini_moka::sync::Cache<KeyHash, ()>);

impl Learned {
    pub(crate) fn new(keys_max: u64, kept_for: Duration) -> Self {
        Self(mini_moka::sync::Cache::builder().max_capacity(keys_max).time_to_live(kept_for).build())
    }

    /// Whether the request's key is one of them.
    pub(crate) fn has(&self, request: &CacheRequest) -> bool {
        self.0.contains_key(&key(request))
    }

    /// Adds the request's key: from now on its requests do not wait for each other.
    pub(crate) fn note(&self, request: &CacheRequest) {
        self.0.insert(key(request), ());
    }

    /// Removes the request's key: its requests wait for each other again. False where the key was not known.
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
