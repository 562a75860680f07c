//! Wakes who follows the register of tenants: when the bus says that a record has changed, and when words of it may have been
//! missed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::position::Lost;

/// What is heard of the register between two looks at it.
#[derive(Debug, Default)]
pub struct News {
    arrival: Notify,
    /// Whether the server may have lost records since the last look.
    is_doubtful: AtomicBool,
}

impl News {
    /// A record has changed, or it is time to look whether one has.
    pub fn came(&self) {
        self.arrival.notify_one();
    }

    /// Words may have been missed. A server that has lost messages may have lost records too.
    pub(super) fn may_be_missed(&self, why: Lost) {
        if matches!(why, Lost::Epoch | Lost::Regressed) {
            self.is_doubtful.store(true, Ordering::Release);
        }
        self.came();
    }

    /// Waits until there is something to look at, at most for `patience`. True where the server may have lost records.
    pub async fn wait(&self, patience: Duration) -> bool {
        let _ = tokio::time::timeout(patience, self.arrival.notified()).await;
        self.is_doubtful.swap(false, Ordering::AcqRel)
    }

    /// What was to be looked at could not be: it is still to be.
    pub fn doubt_again(&self) {
        self.is_doubtful.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_that_come_while_nobody_waits_are_not_lost() {
        let news = News::default();
        news.came();
        assert!(!news.wait(Duration::MAX).await);
        news.may_be_missed(Lost::Gap);
        assert!(!news.wait(Duration::MAX).await, "what was trimmed away is in the register");
        news.may_be_missed(Lost::Epoch);
        assert!(news.wait(Duration::MAX).await && !news.wait(Duration::ZERO).await);
    }
}
