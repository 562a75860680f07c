//! The last faults of a policy, as an operator is shown them: each once, with how often and since when it happened.

use std::collections::VecDeque;

use sandbar_base::clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Fault;

/// A fault that a policy has had, once or several times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The fault: its kind, where it happened, and what the guest said.
    #[serde(flatten)]
    pub fault: Fault,
    /// How often the fault happened since `first`.
    pub times: u64,
    /// When the fault happened first, as far back as the report was kept.
    pub first: Timestamp,
    /// When the fault happened last.
    pub last: Timestamp,
}

/// The last faults of a policy that differ, the last one first; a bounded number of them.
#[derive(Debug, Default)]
pub(crate) struct LastFaults(VecDeque<FaultReport>);

/// Distinct faults that are kept of a policy.
const FAULTS_KEPT_MAX: usize = 8;

impl LastFaults {
    /// Notes a fault. Where an equal one is kept, that one is counted once more.
    pub(crate) fn note(&mut self, fault: &Fault, now: Timestamp) {
        let again = self.0.iter().position(|known| known.fault == *fault).and_then(|at| self.0.remove(at));
        let report = match again {
            Some(known) => FaultReport { times: known.times + 1, last: now, ..known },
            None => FaultReport { fault: fault.clone(), times: 1, first: now, last: now },
        };
        self.0.truncate(FAULTS_KEPT_MAX - 1);
        self.0.push_front(report);
    }

    /// The faults that are kept, the last one first.
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
