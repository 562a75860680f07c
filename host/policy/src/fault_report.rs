//! What an operator is shown of a policy's faults: the last ones, each once, with how often and since when.

use std::collections::VecDeque;

use sandbar_base::clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Fault;

/// A fault that a policy has had, once or several times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// What it was.
    #[serde(flatten)]
    pub fault: Fault,
    /// How often it happened since it was first noted.
    pub times: u64,
    /// When it first happened.
    pub first: Timestamp,
    /// When it last happened.
    pub last: Timestamp,
}

/// The last faults of a policy that differ, the last one first; a bounded number of them.
#[derive(Debug, Default)]
pub(crate) struct LastFaults(VecDeque<FaultReport>);

/// Faults that are kept of a policy.
const FAULTS_KEPT_MAX: usize = 8;

impl LastFaults {
    /// Notes one. Where it is like one that is kept, that one happened again.
    pub(crate) fn note(&mut self, fault: &Fault, now: Timestamp) {
        let again = self.0.iter().position(|known| known.fault == *fault).and_then(|at| self.0.remove(at));
        let report = match again {
            Some(known) => FaultReport { times: known.times + 1, last: now, ..known },
            None => FaultReport { fault: fault.clone(), times: 1, first: now, last: now },
        };
        self.0.truncate(FAULTS_KEPT_MAX - 1);
        self.0.push_front(report);
    }

    /// Those that are kept.
    pub(crate) fn reports(&self) -> Vec<FaultReport> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    #[test]
    fn the_last_ones_are_kept_and_one_that_comes_again_is_counted() {
        let mut last = LastFaults::default();
        for number in 0..20 {
            last.note(&Fault::nonsense(number.to_string()), at(number));
        }
        (20..1_000).for_each(|number| last.note(&Fault::nonsense("15"), at(number)));
        let reports = last.reports();
        assert_eq!(reports.len(), FAULTS_KEPT_MAX);
        assert_eq!((reports[0].times, reports[0].first, reports[0].last), (981, at(15), at(999)));
        assert_eq!(reports[1].fault, Fault::nonsense("19"));
    }
}
