//! The retry budget: each request pays a part of a token in, each retry takes a whole one. So retries stay a small share
//! of the requests, and when the origin fails altogether they do not double its load.

#[derive(Debug)]
pub(super) struct RetryBudget {
    /// Hundredths of a token.
    saved: u32,
    share_percent: u32,
    saved_max: u32,
}

impl RetryBudget {
    /// A full one.
    pub(super) const fn new(share_percent: u32, burst: u32) -> Self {
        let saved_max = burst.saturating_mul(100);
        Self { saved: saved_max, share_percent, saved_max }
    }

    /// A request was sent.
    pub(super) fn pay_in(&mut self) {
        self.saved = self.saved.saturating_add(self.share_percent).min(self.saved_max);
    }

    /// Whether there is a retry left; it is taken then.
    pub(super) fn take(&mut self) -> bool {
        let left = self.saved.checked_sub(100);
        self.saved = left.unwrap_or(self.saved);
        left.is_some()
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
                budget.take()
            })
            .count();
        assert_eq!(retries, 5 + 99, "the first request found the savings full");
        (0..10_000).for_each(|_| budget.pay_in());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 5, "savings are bounded");
    }

    #[test]
    fn without_a_share_nothing_is_retried_after_the_savings() {
        let mut budget = RetryBudget::new(0, 0);
        budget.pay_in();
        assert!(!budget.take());
    }
}
