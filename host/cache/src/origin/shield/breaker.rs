//! The circuit breaker: after too many failures the origin is left alone for a while, then tried with a few requests.
//! Pure: time and chance are arguments.

use std::time::Duration;

use super::config::BreakerConfig;
use super::failures_by_client::FailuresByClient;
use super::window::Window;
use crate::holdings::Holder;

/// Doublings of the pause are not counted further than this.
const DOUBLINGS_MAX: u32 = 20;

#[derive(Debug)]
pub(super) struct Breaker {
    config: BreakerConfig,
    window: Window,
    failures: FailuresByClient,
    state: State,
    /// Times in a row that the breaker opened without having closed in between.
    in_a_row: u32,
    /// Times that the breaker opened, after a probe's failure too.
    opened: u64,
    /// When the last pause ended, or the present one will.
    paused_until: Duration,
    /// The client whose probe failed last.
    failed_probe_of: Option<Holder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Duration,
    },
    /// Probes under way, and probes that succeeded.
    HalfOpen {
        probing: u32,
        passed: u32,
    },
}

/// Whether a request that is let through is a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Ordinary,
    /// A probe, and the number of the opening that it is to end.
    Probe(u64),
}

/// What the result of a request says of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Good,
    Bad,
    /// Nothing: the request ended before the origin could answer, or its client was at fault.
    Unknown,
}

/// A change of the breaker's state, which is worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Opened { failed: u64, of: u64, pause: Duration },
    Closed,
}

impl Breaker {
    pub(super) fn new(config: BreakerConfig) -> Self {
        let (window, failures) = (Window::new(config.window.get()), FailuresByClient::new(config.window.get()));
        Self {
            config,
            window,
            failures,
            state: State::Closed,
            in_a_row: 0,
            opened: 0,
            paused_until: Duration::ZERO,
            failed_probe_of: None,
        }
    }

    /// For how long every request is still refused; `None` where requests may be let through.
    pub(super) fn refuses_for(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { until } => until.checked_sub(now).filter(|left| !left.is_zero()),
            _ => None,
        }
    }

    /// Lets a request of this client through, or says after how long it is worth asking again. The client whose probe
    /// failed last has to leave others the time of a pause to try: otherwise one client whose requests fail could keep
    /// the breaker open for all.
    pub(super) fn admit(&mut self, from: Holder, now: Duration) -> Result<Admission, Duration> {
        if let Some(left) = self.refuses_for(now) {
            return Err(left);
        }
        let others_until = self.paused_until + self.config.pause.get();
        if self.state != State::Closed && self.failed_probe_of == Some(from) && now < others_until {
            return Err(others_until - now);
        }
        match &mut self.state {
            State::Closed => return Ok(Admission::Ordinary),
            State::Open { .. } => self.state = State::HalfOpen { probing: 1, passed: 0 },
            State::HalfOpen { probing, passed } if *probing + *passed < self.config.probes.get() => *probing += 1,
            State::HalfOpen { .. } => return Err(self.config.pause.get()),
        }
        Ok(Admission::Probe(self.opened))
    }

    /// Notes the result of a request of the client `from`. `random` is uniform in [0, 1).
    pub(super) fn settle(
        &mut self,
        admission: Admission,
        from: Holder,
        verdict: Reply,
        now: Duration,
        random: f64,
    ) -> Option<Turn> {
        match admission {
            Admission::Ordinary => self.settle_ordinary(from, verdict, now, random),
            Admission::Probe(opening) if opening == self.opened => self.settle_probe(from, verdict, now, random),
            // The probe belongs to an opening that another probe has prolonged already.
            Admission::Probe(_) => None,
        }
    }

    /// Notes that a response whose head was good broke off.
    pub(super) fn broke_off(&mut self, from: Holder, now: Duration, random: f64) -> Option<Turn> {
        self.settle_ordinary(from, Reply::Bad, now, random)
    }

    fn settle_ordinary(&mut self, from: Holder, verdict: Reply, now: Duration, random: f64) -> Option<Turn> {
        // Requests that were sent before the breaker opened say nothing about how the origin is now.
        if self.state != State::Closed || verdict == Reply::Unknown || !self.config.enabled {
            return None;
        }
        self.window.note(now, verdict == Reply::Bad);
        self.failures.note(from, now, verdict == Reply::Bad);
        let (all, failed) = self.window.totals(now);
        let is_enough = all >= u64::from(self.config.requests_min.get());
        let opens = is_enough && failed * 100 >= all * u64::from(self.config.failed_percent.get());
        (opens && !self.is_one_clients(all, failed, now)).then(|| self.open(failed, all, now, random))
    }

    /// Whether only one client's requests fail, while enough others show that the origin answers everybody else.
    fn is_one_clients(&self, all: u64, failed: u64, now: Duration) -> bool {
        let (own, own_failed) = self.failures.loudest(now);
        let (others, others_failed) = (all.saturating_sub(own), failed.saturating_sub(own_failed));
        let is_enough = others >= u64::from((self.config.requests_min.get() / 4).max(1));
        is_enough && others_failed * 100 < others * u64::from(self.config.failed_percent.get())
    }

    fn settle_probe(&mut self, from: Holder, verdict: Reply, now: Duration, random: f64) -> Option<Turn> {
        let State::HalfOpen { probing, passed } = &mut self.state else { return None };
        *probing -= 1;
        match verdict {
            Reply::Unknown => None,
            Reply::Bad => {
                self.failed_probe_of = (from != Holder::Nobody).then_some(from);
                Some(self.open(1, 1, now, random))
            }
            Reply::Good => {
                *passed += 1;
                if *passed < self.config.probes.get() {
                    return None;
                }
                self.state = State::Closed;
                self.in_a_row = 0;
                self.failed_probe_of = None;
                self.window = Window::new(self.config.window.get());
                self.failures = FailuresByClient::new(self.config.window.get());
                Some(Turn::Closed)
            }
        }
    }

    fn open(&mut self, failed: u64, of: u64, now: Duration, random: f64) -> Turn {
        let doubled = self.config.pause.get().saturating_mul(1 << self.in_a_row.min(DOUBLINGS_MAX));
        // At least half of the pause; how much of the other half is random.
        let pause = doubled.min(self.config.pause_max.get()).mul_f64(1.0 - random / 2.0);
        self.paused_until = now + pause;
        self.state = State::Open { until: self.paused_until };
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.opened += 1;
        Turn::Opened { failed, of, pause }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// `closed`, `open` or `half-open`.
    pub(super) fn state(&self, now: Duration) -> &'static str {
        match self.state {
            State::Closed => "closed",
            State::Open { .. } if self.refuses_for(now).is_some() => "open",
            State::Open { .. } | State::HalfOpen { .. } => "half-open",
        }
    }

    pub(super) const fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setting::{Count, Span};

    const SECOND: Duration = Duration::from_secs(1);

    /// Opens at half of 4 requests, for a second (two, four, at most five), with two probes.
    fn breaker() -> Breaker {
        let (requests_min, pause_max, probes) = (Count::of(4), Span::of(5 * SECOND), Count::of(2));
        Breaker::new(BreakerConfig { requests_min, pause_max, probes, ..BreakerConfig::default() })
    }

    fn settle(breaker: &mut Breaker, verdict: Reply, now: Duration) -> Option<Turn> {
        let admission = breaker.admit(Holder::Nobody, now).expect("it is let through");
        breaker.settle(admission, Holder::Nobody, verdict, now, 0.0)
    }

    fn opened(now: Duration) -> Breaker {
        let mut breaker = breaker();
        for verdict in [Reply::Bad, Reply::Good, Reply::Good] {
            assert_eq!(settle(&mut breaker, verdict, now), None);
        }
        let turn = settle(&mut breaker, Reply::Bad, now);
        assert_eq!(turn, Some(Turn::Opened { failed: 2, of: 4, pause: SECOND }));
        breaker
    }

    #[test]
    fn few_requests_and_few_failures_leave_it_closed() {
        let mut breaker = breaker();
        for second in 0..100 {
            // Three within any ten seconds, all bad.
            assert_eq!(settle(&mut breaker, Reply::Bad, 4 * second * SECOND), None);
        }
        let mut breaker = self::breaker();
        for round in 0..300 {
            let verdict = if round % 3 == 2 { Reply::Bad } else { Reply::Good };
            assert_eq!(settle(&mut breaker, verdict, SECOND * round / 100), None, "a third is less than half");
        }
        assert_eq!(breaker.state(SECOND), "closed");
    }

    #[test]
    fn open_it_refuses_and_says_for_how_long() {
        let mut breaker = opened(SECOND);
        assert_eq!((breaker.state(SECOND), breaker.admit(Holder::Nobody, SECOND * 3 / 2)), ("open", Err(SECOND / 2)));
        assert_eq!(
            (breaker.state(2 * SECOND), breaker.admit(Holder::Nobody, 2 * SECOND)),
            ("half-open", Ok(Admission::Probe(1)))
        );
    }

    #[test]
    fn a_bounded_number_of_probes_decides() {
        let mut breaker = opened(Duration::ZERO);
        let probes = [breaker.admit(Holder::Nobody, SECOND), breaker.admit(Holder::Nobody, SECOND)]
            .map(|probe| probe.expect("a probe"));
        assert_eq!(breaker.admit(Holder::Nobody, SECOND), Err(SECOND), "two are under way");
        assert_eq!(breaker.settle(probes[0], Holder::Nobody, Reply::Unknown, SECOND, 0.0), None);
        let third = breaker.admit(Holder::Nobody, SECOND).expect("one was given up, so another may try");
        assert_eq!(breaker.settle(probes[1], Holder::Nobody, Reply::Good, SECOND, 0.0), None);
        assert_eq!(breaker.settle(third, Holder::Nobody, Reply::Good, SECOND, 0.0), Some(Turn::Closed));
        assert_eq!(settle(&mut breaker, Reply::Bad, SECOND), None, "what was before is forgotten");
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_a_bound_and_success_starts_over() {
        let mut breaker = opened(Duration::ZERO);
        let mut now = SECOND;
        for pause in [2, 4, 5, 5] {
            let late = breaker.admit(Holder::Nobody, now).expect("a probe");
            let turn = settle(&mut breaker, Reply::Bad, now);
            assert_eq!(turn, Some(Turn::Opened { failed: 1, of: 1, pause: pause * SECOND }));
            assert_eq!(
                breaker.settle(late, Holder::Nobody, Reply::Good, now, 0.0),
                None,
                "it was for the opening before"
            );
            now += pause * SECOND;
        }
        settle(&mut breaker, Reply::Good, now);
        assert_eq!(settle(&mut breaker, Reply::Good, now), Some(Turn::Closed));
        for _ in 0..3 {
            settle(&mut breaker, Reply::Bad, now);
        }
        assert!(matches!(settle(&mut breaker, Reply::Bad, now), Some(Turn::Opened { pause: SECOND, .. })));
    }

    #[test]
    fn chance_shortens_the_pause_by_up_to_half() {
        for (random, expected) in [(0.0, SECOND), (0.5, SECOND * 3 / 4), (0.999_999_9, SECOND / 2)] {
            let mut breaker = breaker();
            for _ in 0..3 {
                settle(&mut breaker, Reply::Bad, SECOND);
            }
            let Some(Turn::Opened { pause, .. }) =
                breaker.settle(Admission::Ordinary, Holder::Nobody, Reply::Bad, SECOND, random)
            else {
                panic!("it opens")
            };
            assert!(pause.abs_diff(expected) < Duration::from_micros(1), "{pause:?} for {random}");
        }
    }

    #[test]
    fn what_was_sent_before_it_opened_changes_nothing() {
        let mut breaker = opened(Duration::ZERO);
        assert_eq!(breaker.settle(Admission::Ordinary, Holder::Nobody, Reply::Bad, SECOND / 2, 0.0), None);
        assert_eq!(breaker.opened(), 1);
        assert_eq!(breaker.refuses_for(SECOND / 2), Some(SECOND / 2));
    }

    #[test]
    fn switched_off_it_never_opens() {
        let mut breaker = Breaker::new(BreakerConfig { enabled: false, ..BreakerConfig::default() });
        assert!((0..1000).all(|_| settle(&mut breaker, Reply::Bad, SECOND).is_none()));
    }

    #[test]
    fn one_client_does_not_open_it_for_all_others() {
        let [one, two, three] = [1, 2, 3].map(Holder::Connection);
        let settle = |breaker: &mut Breaker, from, verdict| {
            let admission = breaker.admit(from, SECOND).expect("it is let through");
            breaker.settle(admission, from, verdict, SECOND, 0.0)
        };
        let mut breaker = breaker();
        assert_eq!(settle(&mut breaker, two, Reply::Good), None);
        for _ in 0..100 {
            assert_eq!(settle(&mut breaker, one, Reply::Bad), None, "whoever else asks is answered");
        }
        let turn = settle(&mut breaker, two, Reply::Bad).or_else(|| settle(&mut breaker, three, Reply::Bad));
        assert!(matches!(turn, Some(Turn::Opened { .. })), "others fail too");

        let mut breaker = self::breaker();
        let alone = (0..4).find_map(|_| settle(&mut breaker, one, Reply::Bad));
        assert!(matches!(alone, Some(Turn::Opened { failed: 4, .. })), "nobody else says anything");
    }

    #[test]
    fn one_client_whose_probes_fail_does_not_keep_it_open_for_all_others() {
        let [one, two] = [1, 2].map(Holder::Connection);
        let mut breaker = opened(Duration::ZERO);
        let probe = breaker.admit(one, SECOND).expect("a probe");
        let turn = breaker.settle(probe, one, Reply::Bad, SECOND, 0.0);
        assert_eq!(turn, Some(Turn::Opened { failed: 1, of: 1, pause: 2 * SECOND }));
        assert_eq!(breaker.admit(one, 3 * SECOND), Err(SECOND), "others come first");
        for expected in [None, Some(Turn::Closed)] {
            let probe = breaker.admit(two, 3 * SECOND).expect("a probe");
            assert_eq!(breaker.settle(probe, two, Reply::Good, 3 * SECOND, 0.0), expected);
        }
        let mut breaker = opened(Duration::ZERO);
        let probe = breaker.admit(one, SECOND).expect("a probe");
        breaker.settle(probe, one, Reply::Bad, SECOND, 0.0);
        assert!(breaker.admit(one, 4 * SECOND).is_ok(), "where nobody else came, it tries again");
    }
}
