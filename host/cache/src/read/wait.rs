//! What a request gets that has waited for a fetch ([`patience`](crate::collapse::patience)): past the soft deadline a stale
//! response, if there is one that may be served when the origin fails; past the hard one 504, or a stale response where there is
//! one by now.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome;

use super::Reader;
use crate::collapse::fetch::{Abandoned, Waiter};
use crate::collapse::outcome::FetchOutcome;
use crate::collapse::patience::{Awaited, awaited};
use crate::request::CacheRequest;
use crate::respond::{self, Answer};
use crate::store::found::Found;
use crate::tenant::counters::Source;

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
        let stale = || self.stale(request, basis, Deadline::Soft.as_str(), self.clock.now());
        match awaited(&*self.clock, &request.tenant, (leads, until), waiter, stale).await {
            Awaited::Outcome(outcome) => Waited::Fulfilled(outcome),
            Awaited::Stale(answer) => Waited::Answered(answer.counted_as(Source::StaleInTime)),
            Awaited::InVain => Waited::InVain,
            Awaited::Overdue => Waited::Answered(self.overdue(request, basis)),
        }
    }

    fn overdue(&self, request: &CacheRequest, basis: Option<&Found>) -> Answer {
        let (word, now) = (Deadline::Hard.as_str(), self.clock.now());
        let failed =
            || respond::synthesized(request, StatusCode::GATEWAY_TIMEOUT, Outcome::fwd(FwdReason::Miss), word, now);
        self.stale(request, basis, word, now).unwrap_or_else(failed)
    }
}
