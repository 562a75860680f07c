//! How long a request waits for a fetch, and what it gets when that was too long.
//!
//! Past the **soft** deadline a request is given a stale response, if there is one that may be served when the origin
//! fails; the fetch goes on behind it. Past the deadline of **waiters** one of them starts another fetch, which the
//! others join. Past the **hard** deadline the answer is 504, or a stale response where there is one by now.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use sandbar_base::clock::{Elapsed, timeout};
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome;

use super::Reader;
use crate::collapse::fetch::{Abandoned, Waiter};
use crate::collapse::outcome::FetchOutcome;
use crate::request::CacheRequest;
use crate::respond::{self, Answer};
use crate::store::found::Found;
use crate::tenant::counters::{Source, count};

/// A deadline of fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deadline {
    /// `fetch_soft_deadline`.
    Soft,
    /// `fetch_hard_deadline`.
    Hard,
}

impl Deadline {
    /// The stable word for it in `Cache-Status`.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Soft => "fetch-soft-deadline",
            Self::Hard => "fetch-hard-deadline",
        }
    }
}

/// The result of waiting for a fetch.
pub(super) enum Waited {
    /// The fetch has an outcome, or was abandoned.
    Fulfilled(Result<FetchOutcome, Abandoned>),
    /// The request is answered without the fetch.
    Answered(Answer),
    /// The waiters' deadline has passed: one of them has to start another fetch.
    InVain,
}

impl Reader {
    /// Waits for a fetch, at most `until` (on the monotonic clock).
    pub(super) async fn await_fetch(
        &self,
        request: &Arc<CacheRequest>,
        basis: Option<&Found>,
        leads: bool,
        waiter: &mut Waiter<FetchOutcome>,
        until: Duration,
    ) -> Waited {
        let clock = &*self.clock;
        let settings = &request.tenant.settings;
        let began = clock.monotonic();
        let hard = until.saturating_sub(began);
        let last = if leads { hard } else { hard.min(settings.waiter_deadline) };
        let soft = settings.fetch_soft_deadline.min(last);
        if let Ok(outcome) = timeout(clock, soft, waiter.outcome()).await {
            return Waited::Fulfilled(outcome);
        }
        if let Some(answer) = self.stale(request, basis, Deadline::Soft.as_str(), clock.now()) {
            return Waited::Answered(answer.counted_as(Source::StaleInTime));
        }
        let spent = clock.monotonic().saturating_sub(began);
        match timeout(clock, last.saturating_sub(spent), waiter.outcome()).await {
            Ok(outcome) => Waited::Fulfilled(outcome),
            Err(Elapsed) if clock.monotonic() < until => {
                count(&request.tenant.counters.waiters_overdue);
                Waited::InVain
            }
            Err(Elapsed) => Waited::Answered(self.overdue(request, basis)),
        }
    }

    fn overdue(&self, request: &CacheRequest, basis: Option<&Found>) -> Answer {
        let (word, now) = (Deadline::Hard.as_str(), self.clock.now());
        let failed =
            || respond::synthesized(request, StatusCode::GATEWAY_TIMEOUT, Outcome::fwd(FwdReason::Miss), word, now);
        self.stale(request, basis, word, now).unwrap_or_else(failed)
    }
}
