//! The circuit breaker in front of a server of a shared tier, a state machine without clock or I/O.
//!
//! While it is closed, the server is asked. After some failures in a row, or when the connection is lost, it opens:
//! calls fail at once. From then on one probe at a time is made, ever more rarely; a probe that succeeds closes it
//! again.

use std::time::Duration;

/// A breaker's settings.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// Failures in a row after which the breaker opens; 5 by default.
    pub failures_max: u32,
    /// The shortest wait for a probe after a failure; 100 ms by default. The wait doubles as probes fail, up to
    /// `backoff_max`.
    pub backoff_min: Duration,
    /// The longest wait for a probe; 5 s by default.
    pub backoff_max: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures_max: 5, backoff_min: Duration::from_millis(100), backoff_max: Duration::from_secs(5) }
    }
}

/// A circuit breaker. Its times are readings of any clock that never goes back.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { backoff: Duration, probe_at: Duration },
    Probing { backoff: Duration },
}

impl Breaker {
    /// A breaker that is open and whose first probe is due at once: nothing is known of the server yet.
    pub const fn unconnected(config: BreakerConfig) -> Self {
        Self { config, state: State::Open { backoff: config.backoff_min, probe_at: Duration::ZERO } }
    }

    /// Whether the server may be asked: only while the breaker is closed.
    pub const fn allows(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Notes that a call succeeded.
    pub const fn succeeded(&mut self) {
        if let State::Closed { failures } = &mut self.state {
            *failures = 0;
        }
    }

    /// Notes that a call failed or was too slow. True if that opened the breaker.
    pub fn failed(&mut self, now: Duration) -> bool {
        let State::Closed { failures } = &mut self.state else { return false };
        *failures += 1;
        let opens = *failures >= self.config.failures_max;
        if opens {
            let backoff = self.config.backoff_min;
            self.state = State::Open { backoff, probe_at: now + backoff };
        }
        opens
    }

    /// Notes that the connection is lost: opens the breaker, with a probe due at once. True if it was closed before.
    pub const fn lost(&mut self, now: Duration) -> bool {
        let opens = self.allows();
        if opens {
            self.state = State::Open { backoff: self.config.backoff_min, probe_at: now };
        }
        opens
    }

    /// How long until the next probe is due; `None` while the breaker is closed or a probe is under way.
    pub const fn probe_in(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at.saturating_sub(now)),
            State::Closed { .. } | State::Probing { .. } => None,
        }
    }

    /// Begins a probe, if one is due: a caller that is told true has to report how the probe went.
    pub fn begin_probe(&mut self, now: Duration) -> bool {
        match self.state {
            State::Open { backoff, probe_at } if probe_at <= now => {
                self.state = State::Probing { backoff };
                true
            }
            _ => false,
        }
    }

    /// Notes that the probe succeeded, which closes the breaker.
    pub const fn probe_succeeded(&mut self) {
        if let State::Probing { .. } = self.state {
            self.state = State::Closed { failures: 0 };
        }
    }

    /// Notes that the probe failed.
    pub fn probe_failed(&mut self, now: Duration) {
        if let State::Probing { backoff } = self.state {
            let next = (backoff * 2).min(self.config.backoff_max);
            self.state = State::Open { backoff: next, probe_at: now + backoff };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn closed() -> Breaker {
        let config = BreakerConfig { failures_max: 3, backoff_min: ms(100), backoff_max: ms(350) };
        let mut breaker = Breaker::unconnected(config);
        assert!(!breaker.allows() && breaker.begin_probe(ms(0)));
        breaker.probe_succeeded();
        assert!(breaker.allows());
        breaker
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        let mut breaker = closed();
        assert!(!breaker.failed(ms(1)) && !breaker.failed(ms(2)));
        breaker.succeeded();
        assert!(!breaker.failed(ms(3)) && !breaker.failed(ms(4)) && breaker.allows());
        assert!(breaker.failed(ms(5)) && !breaker.allows());
        assert!(!breaker.failed(ms(6)), "it opens once");
    }

    #[test]
    fn probes_are_made_ever_more_rarely_and_one_at_a_time() {
        let mut breaker = closed();
        (0..3).for_each(|_| {
            breaker.failed(ms(1000));
        });
        let mut waits = Vec::new();
        let mut now = ms(1000);
        for _ in 0..5 {
            let wait = breaker.probe_in(now).expect("open");
            waits.push(wait);
            assert!(!breaker.begin_probe(now + wait - ms(1)), "not before its time");
            now += wait;
            assert!(breaker.begin_probe(now));
            assert!(!breaker.begin_probe(now) && breaker.probe_in(now).is_none(), "one at a time");
            assert!(!breaker.allows(), "a probe lets nobody else through");
            breaker.probe_failed(now);
        }
        assert_eq!(waits, [ms(100), ms(100), ms(200), ms(350), ms(350)]);
    }

    #[test]
    fn successful_probe_closes_it_and_forgets() {
        let mut breaker = closed();
        (0..3).for_each(|_| {
            breaker.failed(ms(0));
        });
        assert!(breaker.begin_probe(ms(100)));
        breaker.probe_succeeded();
        assert!(breaker.allows());
        assert!(!breaker.failed(ms(101)) && !breaker.failed(ms(102)) && breaker.failed(ms(103)));
        assert_eq!(breaker.probe_in(ms(103)), Some(ms(100)), "the backoff begins again");
    }

    #[test]
    fn lost_connection_is_replaced_at_once() {
        let mut breaker = closed();
        assert!(breaker.lost(ms(50)) && !breaker.allows());
        assert!(!breaker.lost(ms(51)));
        assert!(breaker.begin_probe(ms(50)));
        breaker.probe_failed(ms(60));
        assert_eq!(breaker.probe_in(ms(60)), Some(ms(100)));
    }

    #[test]
    fn late_answers_change_nothing_while_it_is_open() {
        let mut breaker = closed();
        breaker.lost(ms(0));
        breaker.succeeded();
        breaker.probe_succeeded();
        assert!(!breaker.allows());
    }
}
