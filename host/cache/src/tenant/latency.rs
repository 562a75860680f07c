//! How long requests take, as histograms that cost two atomic additions a request.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::tally::count;

/// Times from a request to the head of its response: of hits, and of all other requests.
#[derive(Debug, Default)]
pub struct Latency {
    hits: Buckets,
    others: Buckets,
}

impl Latency {
    /// Notes the time that one request took.
    pub fn note(&self, is_hit: bool, time: Duration) {
        if is_hit { &self.hits } else { &self.others }.note(time);
    }

    /// Quantile `q` (0 to 1) of all requests in microseconds, at most 19 % too high; 0 where nothing was noted.
    pub fn quantile_us(&self, q: f64) -> u64 {
        let (hits, others) = (self.hits.counts(), self.others.counts());
        let counts = || hits.iter().zip(&others).map(|(hits, others)| hits + others);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "q is between 0 and 1")]
        let rank = (counts().sum::<u64>() as f64 * q).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in counts().enumerate() {
            seen += count;
            if count > 0 && seen >= rank {
                return Buckets::upper_us(bucket);
            }
        }
        0
    }

    /// The times that were noted so far.
    pub fn histograms(&self) -> LatencyHistograms {
        LatencyHistograms { hits: self.hits.histogram(), others: self.others.histogram() }
    }
}

/// The times of hits, and of all other requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LatencyHistograms {
    /// Of requests that a stored response answered.
    pub hits: Histogram,
    /// Of all other requests.
    pub others: Histogram,
}

/// Times by size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many times were below each of [`Self::BOUNDS_US`] and not below the one before, and then those above the
    /// last.
    pub counts: [u64; Self::BOUNDS_US.len() + 1],
    /// The sum of all times, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// The bounds in microseconds: powers of four from 16 µs to 67 s, which bounds of the finer buckets are too.
    pub const BOUNDS_US: [u64; 12] = {
        let mut bounds = [0; 12];
        let mut place = 0;
        while place < bounds.len() {
            bounds[place] = 16 << (2 * place);
            place += 1;
        }
        bounds
    };

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds the times of another one.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(own, other)| *own += other);
        self.sum_us += other.sum_us;
    }

    /// What `now` lacks of this one.
    #[must_use]
    pub fn missing_in(&self, now: &Self) -> Self {
        let mut missing = self.clone();
        missing.counts.iter_mut().zip(now.counts).for_each(|(last, now)| *last = last.saturating_sub(now));
        missing.sum_us = missing.sum_us.saturating_sub(now.sum_us);
        missing
    }
}

/// Four buckets per power of two of microseconds.
#[derive(Debug)]
struct Buckets {
    counts: [AtomicU64; Self::LEN],
    sum_us: AtomicU64,
}

impl Buckets {
    const LEN: usize = 128;

    fn note(&self, time: Duration) {
        let us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        count(&self.counts[Self::bucket(us)]);
        self.sum_us.fetch_add(us, Relaxed);
    }

    fn counts(&self) -> [u64; Self::LEN] {
        self.counts.each_ref().map(|bucket| bucket.load(Relaxed))
    }

    fn histogram(&self) -> Histogram {
        let mut histogram = Histogram { sum_us: self.sum_us.load(Relaxed), ..Histogram::default() };
        for (bucket, count) in self.counts().into_iter().enumerate() {
            let place = Histogram::BOUNDS_US.partition_point(|bound| *bound < Self::upper_us(bucket));
            histogram.counts[place] += count;
        }
        histogram
    }

    fn bucket(us: u64) -> usize {
        let power = us.ilog2();
        let quarter = if power < 2 { 0 } else { (us >> (power - 2)) & 3 };
        ((power as usize) * 4 + quarter as usize).min(Self::LEN - 1)
    }

    fn upper_us(bucket: usize) -> u64 {
        let (power, quarter) = (bucket / 4, (bucket % 4) as u64);
        ((4 + quarter + 1) << power) / 4
    }
}

impl Default for Buckets {
    fn default() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; Self::LEN], sum_us: AtomicU64::new(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close() {
        let latency = Latency::default();
        assert_eq!(latency.quantile_us(0.5), 0);
        (1..=1000).for_each(|us| latency.note(us % 3 == 0, Duration::from_micros(us)));
        for (q, exact) in [(0.5, 500), (0.99, 990), (0.001, 1)] {
            let got = latency.quantile_us(q);
            assert!(got >= exact && got <= exact + exact / 4 + 2, "{q}: {got} for {exact}");
        }
    }

    #[test]
    fn a_histogram_has_every_time_below_the_bound_that_it_names() {
        let latency = Latency::default();
        let times = [0, 1, 15, 16, 17, 63, 64, 1_000_000, 67_108_863, 67_108_864, u64::MAX >> 20];
        times.iter().for_each(|us| latency.note(true, Duration::from_micros(*us)));
        let hits = latency.histograms().hits;
        let mut below = 0;
        for (bound, count) in Histogram::BOUNDS_US.iter().zip(hits.counts) {
            below += count;
            assert_eq!(below, times.iter().filter(|us| *us < bound).count() as u64, "{bound}");
        }
        assert_eq!((hits.count(), latency.histograms().others.count()), (times.len() as u64, 0));
        assert_eq!(hits.sum_us, times.iter().sum::<u64>() + 1, "what takes no time is counted as a microsecond");
    }
}
