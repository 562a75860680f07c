//! How writes are handed out, and when they are tried again.

use std::time::Duration;

/// What makes a batch: it is handed out when it is full, or when the oldest write in it has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Writes in it at most.
    pub len: usize,
    /// Bytes in it at most; one write is always taken, whatever its size.
    pub bytes: u64,
    /// For how long a write waits for others at most.
    pub age: Duration,
}

impl Default for Batch {
    /// Each write at once and alone.
    fn default() -> Self {
        Self { len: 1, bytes: u64::MAX, age: Duration::ZERO }
    }
}

/// For how long to wait before a write is tried again: twice as long each time, up to a bound, and between half of that
/// and all of it, so that those that failed together don't come together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first attempt.
    pub first: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), max: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The pause after so many attempts; `random` is any number, evenly spread.
    pub fn pause(&self, attempts: u32, random: u64) -> Duration {
        let doublings = attempts.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.max);
        let half = whole / 2;
        let half_nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let spread = u128::from(half_nanos) * u128::from(random) / u128::from(u64::MAX);
        half + Duration::from_nanos(u64::try_from(spread).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_bound_and_are_spread() {
        let backoff = Backoff { first: Duration::from_millis(100), max: Duration::from_secs(1) };
        let longest: Vec<u128> = (0..6).map(|attempts| backoff.pause(attempts, u64::MAX).as_millis()).collect();
        assert_eq!(longest, [100, 100, 200, 400, 800, 1000]);
        assert_eq!(backoff.pause(u32::MAX, 0).as_millis(), 500);
        assert_eq!(backoff.pause(1, u64::MAX / 2).as_millis(), 74);
        let endless = Backoff { first: Duration::MAX, max: Duration::MAX };
        assert!(endless.pause(u32::MAX, u64::MAX) >= Duration::MAX / 2);
    }
}
