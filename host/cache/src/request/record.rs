//! Recording traffic: the requests that a stored response answered, or that stored one.

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::Entry;
use sandbar_http::key::KeyHash;

use super::CacheRequest;
use crate::cached::Cached;

impl CacheRequest {
    /// Records a request that this stored response answered, if somebody records.
    #[inline]
    pub(crate) fn record(&self, cached: &Cached, now: Timestamp) {
        if self.tenant.recording_point.is_open() {
            self.record_times(cached, 1, now);
        }
    }

    /// Records `times` requests that this stored response answered.
    #[cold]
    pub(crate) fn record_times(&self, cached: &Cached, times: u64, now: Timestamp) {
        let Entry::Response(response) = &cached.entry else { return };
        if !response.plan.l1 {
            return;
        }
        let cost_us = u64::try_from(response.fetch_time.as_micros()).unwrap_or(u64::MAX);
        let value_bytes = cached.decoded().map_or(0, |decoded| decoded.weight_bytes);
        let size_bytes = cached.entry.weight_bytes().saturating_add(value_bytes);
        let key = KeyHash::of(&response.key);
        (0..times).for_each(|_| self.tenant.recording_point.note(key, size_bytes, cost_us, now));
    }
}
