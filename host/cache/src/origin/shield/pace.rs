//! How far a client lags behind in one direction of an exchange. Pure: time is an argument.

use std::time::Duration;

/// How long the client has been waited for since it last moved as many bytes as it must. Time in which the origin is
/// waited for does not count, and a byte now and then is no progress.
#[derive(Debug, Default)]
pub(super) struct Pace {
    since: Option<Duration>,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// From now on the client is waited for.
    pub(super) fn waits(&mut self, now: Duration) {
        self.since.get_or_insert(now);
    }

    /// The client has moved so many bytes; each `bytes_min` of them give it all of its time again.
    pub(super) fn moved(&mut self, bytes: u64, bytes_min: u64, now: Duration) {
        self.rests(now);
        self.bytes += bytes;
        if self.bytes >= bytes_min {
            *self = Self::default();
        }
    }

    /// The client is not waited for now.
    pub(super) fn rests(&mut self, now: Duration) {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_sub(since);
        }
    }

    /// How far the client lags behind; zero while it is not waited for.
    pub(super) fn lag(&self, now: Duration) -> Duration {
        self.since.map_or(Duration::ZERO, |since| self.waited + now.saturating_sub(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_waiting_for_the_client_counts() {
        let mut pace = Pace::default();
        assert_eq!(pace.lag(9 * SECOND), Duration::ZERO);
        pace.waits(10 * SECOND);
        pace.waits(11 * SECOND);
        assert_eq!(pace.lag(13 * SECOND), 3 * SECOND);
        pace.rests(13 * SECOND);
        assert_eq!(pace.lag(100 * SECOND), Duration::ZERO, "the origin is waited for");
        pace.waits(100 * SECOND);
        assert_eq!(pace.lag(101 * SECOND), 4 * SECOND);
    }

    #[test]
    fn a_byte_now_and_then_is_no_progress_and_as_much_as_it_must_is() {
        let mut pace = Pace::default();
        for second in 0..30 {
            pace.waits(second * SECOND);
            pace.moved(1, 100, (second + 1) * SECOND);
        }
        pace.waits(30 * SECOND);
        assert_eq!(pace.lag(30 * SECOND), 30 * SECOND);
        pace.moved(70, 100, 31 * SECOND);
        pace.waits(31 * SECOND);
        assert_eq!(pace.lag(32 * SECOND), SECOND);
    }
}
