//! How much of the cache the keys of the sample have.
//!
//! A part of all hashes is not quite the same part of the keys, and still less of the bytes. A loop that just fits, or just
//! doesn't, is told apart only by a miniature of the size that these keys have in the cache.

use crate::constants::{follow, ratio_max};

/// Follows the share that the cache shows from the one that the hashes promise.
#[derive(Debug)]
pub(super) struct Share {
    /// What the cache holds, and of that what is in the sample, in bytes.
    bytes: u64,
    sampled_bytes: u64,
    /// The share by the hashes alone.
    expected: f64,
    share: f64,
}

impl Share {
    /// Of a cache of which nothing is known; the hashes promise this.
    pub(super) const fn new(expected: f64) -> Self {
        Self { bytes: 0, sampled_bytes: 0, expected, share: expected }
    }

    /// The same, but the share is known.
    pub(super) fn known(expected: f64, share: f64) -> Self {
        let plain = Self::new(expected);
        Self { share: plain.bounded(share), ..plain }
    }

    #[inline]
    pub(super) fn came(&mut self, is_sampled: bool, weight_bytes: u64) {
        self.bytes = self.bytes.saturating_add(weight_bytes);
        self.sampled_bytes = self.sampled_bytes.saturating_add(if is_sampled { weight_bytes } else { 0 });
    }

    #[inline]
    pub(super) fn left(&mut self, is_sampled: bool, weight_bytes: u64) {
        self.bytes = self.bytes.saturating_sub(weight_bytes);
        self.sampled_bytes = self.sampled_bytes.saturating_sub(if is_sampled { weight_bytes } else { 0 });
    }

    /// Comes closer to what the cache shows.
    #[inline]
    pub(super) fn follow(&mut self) {
        if self.bytes > 0 {
            let shown = self.bounded(self.sampled_bytes as f64 / self.bytes as f64);
            self.share += (shown - self.share) * follow();
        }
    }

    /// So much of a capacity.
    #[inline]
    pub(super) fn of(&self, capacity_bytes: u64) -> u64 {
        (capacity_bytes as f64 * self.share) as u64
    }

    /// As a part of the whole.
    pub(super) fn get(&self) -> f64 {
        self.share
    }

    #[inline]
    fn bounded(&self, share: f64) -> f64 {
        share.clamp(self.expected / ratio_max(), (self.expected * ratio_max()).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_the_cache_shows() {
        let mut share = Share::new(0.25);
        assert_eq!(share.of(1_000), 250);
        (0..10).for_each(|number| share.came(number < 3, 100));
        share.follow();
        assert!((250..252).contains(&share.of(1_000)), "not at once");
        (0..1_000).for_each(|_| share.follow());
        assert_eq!(share.of(100_000), 29_999);
        share.left(true, 100);
        share.came(false, 100);
        (0..1_000).for_each(|_| share.follow());
        assert_eq!(share.of(100_000), 20_000);
        (0..10_000).for_each(|_| share.came(false, 100));
        (0..1_000).for_each(|_| share.follow());
        assert_eq!(share.of(100_000), 6_250, "a quarter of a quarter at least");
        assert_eq!(Share::known(1.0, 7.0).of(100), 100);
    }
}
