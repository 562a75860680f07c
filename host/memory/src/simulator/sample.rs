//! A sample of the keys that stands for all of them: a small cache that is asked for the sampled keys alone misses about as
//! often as the whole cache does.
//!
//! The method is that of C. A. Waldspurger and others: Efficient MRC construction with SHARDS (FAST 2015). Keys are chosen
//! by their hash, so that all requests of a key are in the sample or none is, and the capacity is scaled by the rate. A few
//! keys have most of the requests, so that by chance the sample has more or fewer requests than its rate says. SHARDS-adj
//! takes the difference for hits of those few keys: the misses are divided by the number of requests that were to be
//! expected, not by that of those that came.

use sandbar_base::KeyHash;

/// The fewest entries that a sampled cache holds: with fewer, chance decides what is missed.
pub const SAMPLED_RESIDENTS_MIN: u64 = 2048;

/// Which keys are in the sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The number of the [`PARTS`] of all keys that are in the sample.
    parts: u32,
}

/// The number of parts into which all keys are divided by their hash.
const PARTS: u32 = 1 << 24;

impl Sample {
    /// All keys.
    pub const ALL: Self = Self { parts: PARTS };

    /// A sample of this rate (above 0, at most 1) of a cache that holds about `residents` entries: of a higher rate, up to
    /// all keys, where the sample of the cache would hold fewer than [`SAMPLED_RESIDENTS_MIN`].
    pub fn of(rate: f64, residents: u64) -> Self {
        let least = SAMPLED_RESIDENTS_MIN as f64 / residents.max(1) as f64;
        let rate = rate.max(least).clamp(0.0, 1.0);
        Self { parts: ((rate * f64::from(PARTS)).ceil() as u32).clamp(1, PARTS) }
    }

    /// The part of the keys that is in the sample.
    pub fn rate(self) -> f64 {
        f64::from(self.parts) / f64::from(PARTS)
    }

    /// Whether a key is in the sample. The bits of its hash are others than those that choose a shard or a bucket.
    #[inline]
    pub const fn contains(self, key: KeyHash) -> bool {
        ((key.0 >> 88) as u32 & (PARTS - 1)) < self.parts
    }

    /// The capacity of the cache that the sample is asked of.
    pub fn capacity(self, capacity: u64) -> u64 {
        (u128::from(capacity) * u128::from(self.parts)).div_ceil(u128::from(PARTS)) as u64
    }

    /// The part of all requests (or bytes) that the whole cache would have missed, as `missed` of the sample and the number
    /// of `all` of them say; 0 where there are none.
    pub fn miss_ratio(self, missed: u64, all: u64) -> f64 {
        let expected = all as f64 * self.rate();
        if expected > 0.0 { (missed as f64 / expected).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_until_the_sample_is_large_enough() {
        assert_eq!(Sample::of(0.01, 2048), Sample::ALL);
        assert_eq!(Sample::of(0.01, 0), Sample::ALL);
        assert_eq!(Sample::of(0.01, 4096).rate(), 0.5);
        assert!((Sample::of(0.01, 1 << 30).rate() - 0.01).abs() < 1e-6);
        assert_eq!(Sample::of(2.0, 1 << 30), Sample::ALL);
        assert!(Sample::of(f64::NAN, 1 << 62).rate() > 0.0);
        assert_eq!(Sample::of(0.5, 1 << 30).capacity(u64::MAX), 1 << 63);
    }

    #[test]
    fn so_many_keys_are_sampled_as_the_rate_says() {
        let sample = Sample::of(0.1, 1 << 30);
        let sampled = (0..20_000).filter(|key| sample.contains(KeyHash::of(&key.to_string()))).count();
        // Three standard deviations of a binomial distribution.
        assert!((1873..=2127).contains(&sampled), "{sampled}");
        assert!((0..1000).all(|key: u32| Sample::ALL.contains(KeyHash::of(&key.to_string()))));
    }

    #[test]
    fn misses_count_against_the_requests_that_were_to_be_expected() {
        let sample = Sample::of(0.5, 1 << 30);
        assert_eq!(sample.miss_ratio(10, 100), 0.2);
        assert_eq!(sample.miss_ratio(80, 100), 1.0);
        assert_eq!(sample.miss_ratio(0, 0), 0.0);
    }
}
