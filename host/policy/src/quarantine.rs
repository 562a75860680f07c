//! When a failing policy is no longer asked, and when it is tried again.

use std::collections::VecDeque;
use std::time::Duration;

use sandbar_base::clock::Timestamp;

/// When a policy is quarantined, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Faults within the window after which a policy is quarantined.
    pub(crate) faults_max: u32,
    /// How long a fault counts.
    pub(crate) window: Duration,
    /// Length of the first quarantine.
    pub(crate) first: Duration,
    /// Upper bound of a quarantine's length.
    pub(crate) longest: Duration,
}

/// The faults of one policy. After a quarantine the policy is on probation: at one more fault within the window, it is
/// quarantined again, for twice as long. Once it has gone without a fault for the length of its last quarantine plus
/// the window, that quarantine is forgotten.
#[derive(Debug)]
pub(crate) struct Quarantine {
    rules: Rules,
    /// The faults within the window since the last quarantine; at most `faults_max`.
    faults: VecDeque<Timestamp>,
    last: Option<Served>,
}

/// A quarantine that has begun.
#[derive(Clone, Copy, Debug)]
struct Served {
    until: Timestamp,
    length: Duration,
}

impl Quarantine {
    pub(crate) fn new(rules: Rules) -> Self {
        Self { rules, faults: VecDeque::new(), last: None }
    }

    /// Notes a fault. Answers with the end of the quarantine that begins with it; none where none begins.
    pub(crate) fn fault(&mut self, now: Timestamp) -> Option<Timestamp> {
        let Rules { faults_max, window, first, longest } = self.rules;
        if let Some(last) = self.last {
            if now < last.until {
                return None; // A call that was under way when the quarantine began.
            }
            if now.saturating_since(last.until) > last.length.saturating_add(window) {
                self.last = None;
            }
        }
        self.faults.retain(|fault| now.saturating_since(*fault) < window);
        self.faults.push_back(now);
        let on_probation = self.last.is_some_and(|last| now.saturating_since(last.until) < window);
        if !on_probation && self.faults.len() < faults_max as usize {
            return None;
        }
        let length = self.last.map_or(first, |last| last.length.saturating_mul(2)).min(longest);
        let until = now.saturating_add(length);
        self.faults.clear();
        self.last = Some(Served { until, length });
        Some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + secs * 1_000)
    }

    fn quarantine() -> Quarantine {
        let secs = Duration::from_secs;
        Quarantine::new(Rules { faults_max: 3, window: secs(10), first: secs(10), longest: secs(60) })
    }

    fn faults(quarantine: &mut Quarantine, times: &[u64]) -> Option<Timestamp> {
        times.iter().map(|secs| quarantine.fault(at(*secs))).last().flatten()
    }

    #[test]
    fn three_faults_in_the_window_bring_it() {
        assert_eq!(faults(&mut quarantine(), &[0, 5, 9]), Some(at(19)));
    }

    #[test]
    fn faults_far_apart_do_not() {
        assert_eq!(faults(&mut quarantine(), &[0, 9, 18, 27, 36]), None);
    }

    #[test]
    fn a_fault_on_probation_doubles_it_up_to_the_longest() {
        let mut quarantine = quarantine();
        assert_eq!(faults(&mut quarantine, &[0, 0, 0]), Some(at(10)));
        assert_eq!(quarantine.fault(at(11)), Some(at(31)));
        assert_eq!(quarantine.fault(at(32)), Some(at(72)));
        assert_eq!(quarantine.fault(at(73)), Some(at(133)));
        assert_eq!(quarantine.fault(at(134)), Some(at(194)));
    }

    #[test]
    fn faults_of_calls_under_way_do_not_prolong_it() {
        let mut quarantine = quarantine();
        assert_eq!(faults(&mut quarantine, &[0, 0, 0]), Some(at(10)));
        assert_eq!(faults(&mut quarantine, &[1, 2, 3]), None);
    }

    #[test]
    fn a_policy_that_behaves_starts_afresh() {
        let mut quarantine = quarantine();
        assert_eq!(faults(&mut quarantine, &[0, 0, 0]), Some(at(10)));
        assert_eq!(faults(&mut quarantine, &[40, 41]), None);
        assert_eq!(quarantine.fault(at(42)), Some(at(52)));
    }
}
