//! Loads of values under the same protection as requests: limit and queue, breaker, deadline. They are not tried again: only
//! the loader knows whether that is of use.

use sandbar_base::clock::timeout;

use super::breaker::Reply;
use super::{Refusal, Shield};
use crate::holdings::Holder;
use crate::origin::{OriginError, Progress, Urgency};
use crate::tally::count;

impl Shield {
    /// Does `work` once it is its turn, for as long as a fetch may take. An error of the work's own is a failure as one of an
    /// origin is.
    ///
    /// # Errors
    /// When the work was not begun, or was dropped as it took too long.
    pub(crate) async fn load<T, E>(
        &self,
        urgency: Urgency,
        progress: &Progress,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, OriginError> {
        if let Some(left) = self.refused_by_breaker() {
            return Err(self.refuse(Refusal::BreakerOpen, left));
        }
        let clock = &*self.watcher.clock;
        let until = clock.monotonic() + self.fetch_deadline;
        let _permit = self.enter(urgency, None, Some(until)).await?;
        let admitted = self.watcher.admit(Holder::of(None));
        let trial = admitted.map_err(|left| self.refuse(Refusal::BreakerOpen, left))?;
        count(&self.counters.requests);
        progress.is_sent();
        let began = clock.monotonic();
        let done = timeout(clock, until.saturating_sub(began), work).await.map_err(|_| self.missed());
        let is_good = matches!(done, Ok(Ok(_)));
        if !is_good {
            count(&self.counters.errors);
        }
        trial.settle(if is_good { Reply::Good } else { Reply::Bad });
        self.adapt(|adaptive| match &done {
            Ok(Ok(_)) => {
                let now = clock.monotonic();
                adaptive.answered(now.saturating_sub(began), self.gate.load().running, now);
            }
            Err(_) => adaptive.overloaded(),
            Ok(Err(_)) => {}
        });
        done
    }
}
