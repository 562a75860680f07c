//! The retry budget: each request pays a part of a token in, each retry takes a whole one. So retries stay a small share
//! of the requests, and when the origin fails altogether they do not double its load.
//!
//! Saved tokens are there for all clients: no client takes more of them than it leaves.

use std::collections::VecDeque;

use crate::holdings::Holder;

/// Retries whose clients are remembered.
const TAKEN_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct RetryBudget {
    /// Hundredths of a token.
    saved: u32,
    share_percent: u32,
    saved_max: u32,
    /// The clients that took the missing tokens, the first in front.
    taken: VecDeque<Holder>,
}

impl RetryBudget {
    /// A full budget.
    pub(super) const fn new(share_percent: u32, burst: u32) -> Self {
        let saved_max = burst.saturating_mul(100);
        Self { saved: saved_max, share_percent, saved_max, taken: VecDeque::new() }
    }

    /// Pays in for a request that is sent.
    pub(super) fn pay_in(&mut self) {
        self.saved = self.saved.saturating_add(self.share_percent).min(self.saved_max);
        let missing = (self.saved_max - self.saved).div_ceil(100) as usize;
        while self.taken.len() > missing {
            self.taken.pop_front();
        }
    }

    /// Takes a token for a retry of this client. False if there is none left for it.
    pub(super) fn take(&mut self, client: Holder) -> bool {
        let Some(left) = self.saved.checked_sub(100) else { return false };
        let own = self.taken.iter().filter(|holder| **holder == client).count();
        if client != Holder::Nobody && own >= (self.saved / 100) as usize {
            return false;
        }
        self.saved = left;
        self.taken.push_back(client);
        if self.taken.len() > TAKEN_MAX {
            self.taken.pop_front();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_share_of_the_requests_after_the_savings() {
        let mut budget = RetryBudget::new(10, 5);
        let retries = (0..1000)
            .filter(|_| {
                budget.pay_in();
                budget.take(Holder::Nobody)
            })
            .count();
        assert_eq!(retries, 5 + 99, "the first request found the savings full");
        (0..10_000).for_each(|_| budget.pay_in());
        assert_eq!((0..100).filter(|_| budget.take(Holder::Nobody)).count(), 5, "savings are bounded");
    }

    #[test]
    fn without_a_share_nothing_is_retried_after_the_savings() {
        let mut budget = RetryBudget::new(0, 0);
        budget.pay_in();
        assert!(!budget.take(Holder::Nobody));
    }

    #[test]
    fn one_client_leaves_as_much_as_it_takes_and_has_its_share_in_the_long_run() {
        let [greedy, other] = [1, 2].map(Holder::Connection);
        let mut budget = RetryBudget::new(10, 10);
        assert_eq!((0..100).filter(|_| budget.take(greedy)).count(), 5);
        assert_eq!((0..100).filter(|_| budget.take(other)).count(), 3, "who comes later finds some");
        let mut budget = RetryBudget::new(10, 10);
        let alone = (0..1000).filter(|_| {
            budget.pay_in();
            budget.take(greedy)
        });
        assert!((100..=105).contains(&alone.count()), "a tenth of the requests, and half of the savings");
    }
}
