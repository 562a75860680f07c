//! How often a tenant may purge: each has a token bucket, so that one tenant's flood can't push another's messages off
//! the stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use sandbar_base::clock::Clock;

/// A bucket holds so many seconds' worth.
const BURST_SECONDS: u32 = 4;
/// Tenants remembered; with more, the fullest bucket, which says the least, is dropped.
const TENANTS_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct PurgeRates {
    per_second: f64,
    clock: Arc<dyn Clock>,
    buckets: Mutex<HashMap<Box<str>, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Duration,
}

impl PurgeRates {
    pub(super) fn new(per_second: u32, clock: Arc<dyn Clock>) -> Self {
        Self { per_second: f64::from(per_second.max(1)), clock, buckets: Mutex::default() }
    }

    /// Takes a token, if the tenant has one left.
    pub(super) fn allows(&self, tenant: &str) -> bool {
        let now = self.clock.monotonic();
        let full = self.per_second * f64::from(BURST_SECONDS);
        let mut buckets = self.buckets.lock();
        if !buckets.contains_key(tenant) {
            if buckets.len() >= TENANTS_MAX {
                let fullest = buckets.iter().max_by(|a, b| a.1.tokens.total_cmp(&b.1.tokens)).map(|(of, _)| of.clone());
                fullest.and_then(|fullest| buckets.remove(&fullest));
            }
            buckets.insert(tenant.into(), Bucket { tokens: full, filled: now });
        }
        let Some(bucket) = buckets.get_mut(tenant) else { return false };
        let passed = now.saturating_sub(bucket.filled).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * self.per_second).min(full);
        bucket.filled = now;
        let has = bucket.tokens >= 1.0;
        if has {
            bucket.tokens -= 1.0;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use sandbar_base::clock::{ManualClock, Timestamp};

    use super::*;

    #[test]
    fn flood_of_one_tenant_is_stopped_and_ebbs() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(0)));
        let rates = PurgeRates::new(10, Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!((0..100).filter(|_| rates.allows("flood")).count(), 40);
        assert!(rates.allows("calm"), "others are not held up");
        clock.advance(Duration::from_millis(500));
        assert_eq!((0..100).filter(|_| rates.allows("flood")).count(), 5);
        clock.advance(Duration::from_secs(3600));
        assert_eq!((0..100).filter(|_| rates.allows("flood")).count(), 40);
    }
}
