//! When a server is asked, when it is left alone, and when it is tried again: a state machine without clock or I/O.
//!
//! Closed: it is asked. After some failures in a row, or when the connection is lost, it opens: nobody asks, callers
//! learn so at once. Now and then, ever more rarely, one probe is made; if that succeeds it is closed again.

use std::time::Duration;

/// A breaker's settings.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// Failures in a row after which it opens; 5 by default.
    pub failures_max: u32,
    /// Time until the first probe; 100 ms by default. It doubles with each that fails,
    pub backoff_min: Duration,
    /// up to this; 5 s by default.
    pub backoff_max: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures_max: 5, backoff_min: Duration::from_millis(100), backoff_max: Duration::from_secs(5) }
    }
}

/// A circuit breaker. Times are on any clock that never goes back.
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
    /// One that is open and whose first probe is due at once: nothing is known of the server yet.
    pub const fn unconnected(config: BreakerConfig) -> Self {
        Self { config, state: State::Open { backoff: config.backoff_min, probe_at: Duration::ZERO } }
    }

    /// Whether the server is asked.
    pub const fn allows(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// A call went well.
    pub const fn succeeded(&mut self) {
        if let State::Closed { failures } = &mut self.state {
            *failures = 0;
        }
    }

    /// A call failed or was too slow. True if the breaker opened over it.
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

    /// The connection is gone: the breaker opens, and a new connection is tried at once. True if it opened.
    pub const fn lost(&mut self, now: Duration) -> bool {
        let opens = self.allows();
        if opens {
            self.state = State::Open { backoff: self.config.backoff_min, probe_at: now };
        }
        opens
    }

    /// How long until the next probe; none where none is wanted.
    pub const fn probe_in(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at.saturating_sub(now)),
            State::Closed { .. } | State::Probing { .. } => None,
        }
    }

    /// Takes the duty to probe, if a probe is due: whoever is told true says how it went.
    pub fn begin_probe(&mut self, now: Duration) -> bool {
        match self.state {
            State::Open { backoff, probe_at } if probe_at <= now => {
                self.state = State::Probing { backoff };
                true
            }
            _ => false,
        }
    }

    /// The probe went well.
    pub const fn probe_succeeded(&mut self) {
        if let State::Probing { .. } = self.state {
            self.state = State::Closed { failures: 0 };
        }
    }

    /// The probe failed.
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
