//! Whether an address is left out, because requests failed there. Pure: time and chance are arguments.
//!
//! The breaker of the tenant's protection stands for the origin as a whole; this is about one of several addresses.
//! Where requests can be answered elsewhere, the breaker hears of no failure.

use std::time::Duration;

use super::config::EjectConfig;

/// Doublings of the pause are not counted further than this.
const DOUBLINGS_MAX: u32 = 20;

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// No connection could be made.
    NoConnection,
    /// The address gave no response, one that says that it can't work, or one that broke off.
    BadAnswer,
}

/// A change that is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Ejected { pause: Duration },
    Returned,
}

#[derive(Debug, Default)]
pub(super) struct Ejection {
    state: State,
    failed_in_a_row: u32,
    /// Times in a row that it was left out without having worked in between for as long as it was left out.
    in_a_row: u32,
    last_pause: Duration,
    returned_at: Duration,
    times: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    In,
    Out {
        until: Duration,
    },
    /// One request tries it. Another one may from then on: the first one's client may be slow.
    Tried {
        until: Duration,
    },
}

impl Ejection {
    pub(super) fn is_out(&self) -> bool {
        self.state != State::In
    }

    /// Times that it was left out.
    pub(super) const fn times(&self) -> u64 {
        self.times
    }

    /// Whether nothing failed lately.
    pub(super) fn is_well(&self) -> bool {
        self.state == State::In && self.failed_in_a_row == 0
    }

    /// Whether the pause is over and no other request tries it: then the caller's does, alone for as long as `lasts`.
    pub(super) fn take_trial(&mut self, now: Duration, lasts: Duration) -> bool {
        let takes = matches!(self.state, State::Out { until } | State::Tried { until } if until <= now);
        if takes {
            self.state = State::Tried { until: now + lasts };
        }
        takes
    }

    /// The request that tried it ended without a result: another one may from `again` on.
    pub(super) fn give_back_trial(&mut self, again: Duration) {
        if let State::Tried { .. } = self.state {
            self.state = State::Out { until: again };
        }
    }

    /// A request was answered. One that was sent before the address was left out says nothing.
    pub(super) fn answered(&mut self, is_trial: bool, now: Duration) -> Option<Turn> {
        match self.state {
            State::In => self.failed_in_a_row = 0,
            State::Tried { .. } if is_trial => {
                (self.state, self.failed_in_a_row, self.returned_at) = (State::In, 0, now);
                return Some(Turn::Returned);
            }
            _ => {}
        }
        None
    }

    /// A request failed. `may_eject` says whether the other addresses can do without this one; `random` is uniform in
    /// [0, 1).
    pub(super) fn failed(
        &mut self,
        how: Failure,
        is_trial: bool,
        may_eject: bool,
        config: &EjectConfig,
        (now, random): (Duration, f64),
    ) -> Option<Turn> {
        match self.state {
            State::In => {
                self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
                let is_enough = how == Failure::NoConnection || self.failed_in_a_row >= config.failures.get();
                (is_enough && may_eject && config.enabled).then(|| self.eject(config, now, random))
            }
            State::Tried { .. } if is_trial => Some(self.eject(config, now, random)),
            _ => None,
        }
    }

    fn eject(&mut self, config: &EjectConfig, now: Duration, random: f64) -> Turn {
        if self.state == State::In && now.saturating_sub(self.returned_at) > self.last_pause {
            self.in_a_row = 0;
        }
        let doubled = config.pause.get().saturating_mul(1 << self.in_a_row.min(DOUBLINGS_MAX));
        // At least half of the pause; how much of the other half is random.
        let pause = doubled.min(config.pause_max.get()).mul_f64(1.0 - random / 2.0);
        self.in_a_row += 1;
        self.times += 1;
        (self.last_pause, self.state) = (pause, State::Out { until: now + pause });
        Turn::Ejected { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// How long a request tries an address alone.
    const TRIAL: Duration = Duration::from_secs(35);

    fn fails(ejection: &mut Ejection, how: Failure, is_trial: bool, now: Duration) -> Option<Turn> {
        ejection.failed(how, is_trial, true, &EjectConfig::default(), (now, 0.0))
    }

    #[test]
    fn one_failed_connection_or_five_bad_answers_in_a_row_are_enough() {
        let mut ejection = Ejection::default();
        let out = Some(Turn::Ejected { pause: 5 * SECOND });
        assert_eq!(fails(&mut ejection, Failure::NoConnection, false, SECOND), out);
        let mut ejection = Ejection::default();
        for _ in 0..2 {
            assert!((0..4).all(|_| fails(&mut ejection, Failure::BadAnswer, false, SECOND).is_none()));
            assert_eq!(ejection.answered(false, SECOND), None);
        }
        assert!((0..4).all(|_| fails(&mut ejection, Failure::BadAnswer, false, SECOND).is_none()));
        assert_eq!(fails(&mut ejection, Failure::BadAnswer, false, SECOND), out);
        assert_eq!(fails(&mut ejection, Failure::BadAnswer, false, SECOND), None, "it is out already");
    }

    #[test]
    fn it_is_kept_where_the_others_can_not_do_without_it() {
        let mut ejection = Ejection::default();
        let config = EjectConfig::default();
        assert_eq!(ejection.failed(Failure::NoConnection, false, false, &config, (SECOND, 0.0)), None);
        assert!(!ejection.is_out() && !ejection.is_well());
    }

    #[test]
    fn one_request_tries_it_after_the_pause_and_each_failure_doubles_the_pause() {
        let (mut ejection, mut now) = (Ejection::default(), SECOND);
        fails(&mut ejection, Failure::NoConnection, false, now);
        assert!(!ejection.take_trial(now + 4 * SECOND, TRIAL));
        for pause in [10, 20, 40, 80, 160, 300, 300] {
            now += 300 * SECOND;
            assert!(ejection.take_trial(now, TRIAL) && !ejection.take_trial(now, TRIAL));
            assert_eq!(ejection.answered(false, now), None, "it was sent before");
            let turn = fails(&mut ejection, Failure::BadAnswer, true, now);
            assert_eq!(turn, Some(Turn::Ejected { pause: pause * SECOND }));
        }
        now += 300 * SECOND;
        assert!(ejection.take_trial(now, TRIAL));
        ejection.give_back_trial(now);
        assert!(ejection.take_trial(now, TRIAL) && !ejection.take_trial(now + TRIAL - SECOND, TRIAL));
        assert!(ejection.take_trial(now + TRIAL, TRIAL), "the first one has had no result for too long");
        assert_eq!(ejection.answered(true, now), Some(Turn::Returned));
        assert!(ejection.is_well());
    }

    #[test]
    fn one_that_flaps_is_left_out_for_longer_each_time_until_it_has_worked_for_as_long() {
        let (mut ejection, mut now) = (Ejection::default(), SECOND);
        let mut flap = |now: Duration| {
            let Some(Turn::Ejected { pause }) = fails(&mut ejection, Failure::NoConnection, false, now) else {
                panic!("it is left out")
            };
            assert!(ejection.take_trial(now + pause, TRIAL));
            ejection.answered(true, now + pause);
            pause
        };
        for pause in [5, 10, 20] {
            assert_eq!(flap(now), pause * SECOND);
            now += (pause + 1) * SECOND;
        }
        assert_eq!(flap(now + 21 * SECOND), 5 * SECOND);
    }
}
