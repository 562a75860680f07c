//! What of the traffic is recorded: requests that a stored response answered, or that stored one.

use std::sync::atomic::Ordering;

use sandbar_http::entry::Entry;
use sandbar_http::key::KeyHash;

use super::Cache;
use super::asked::Asked;
use super::cached::Cached;
use super::collapse::landing::Arriving;
use super::fill::{Fill, Purpose};

impl Cache {
    /// A request that this stored response answered.
    #[inline]
    pub(crate) fn record_hit(&self, asked: &Asked, cached: &Cached) {
        if asked.tenant.tap.is_open() {
            self.record_times(asked, cached, 1);
        }
    }

    /// A fill that has stored a response: the request that caused it, if one did, and those that waited for it.
    pub(crate) fn record_fill(&self, fill: &Fill, cached: &Cached, arriving: &Arriving) {
        if fill.asked.tenant.tap.is_open() {
            let leader = u64::from(fill.purpose != Purpose::Refresh);
            self.record_times(&fill.asked, cached, leader + arriving.recorded_later.swap(0, Ordering::Relaxed));
        }
    }

    /// A request that was answered while what answers it arrives: how large that is will be known when it is stored.
    pub(crate) fn record_later(&self, asked: &Asked, arriving: &Arriving) {
        if asked.tenant.tap.is_open() {
            arriving.recorded_later.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[cold]
    fn record_times(&self, asked: &Asked, cached: &Cached, times: u64) {
        let Entry::Response(response) = &cached.entry else { return };
        if !response.plan.l1 {
            return;
        }
        let cost_us = u64::try_from(response.fetch_time.as_micros()).unwrap_or(u64::MAX);
        let (key, size_bytes, now) = (KeyHash::of(&response.key), cached.entry.weight_bytes(), self.inner.clock.now());
        (0..times).for_each(|_| asked.tenant.tap.note(key, size_bytes, cost_us, now));
    }
}
