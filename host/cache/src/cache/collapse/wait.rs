//! How long a request waits for a fetch, and what it gets when that was too long.
//!
//! Past the **soft** deadline a request that has a stale response, and may be given it when the origin fails, is given it;
//! the fetch goes on behind. Past the deadline of **waiters** one of them starts another fetch, which the others join. Past
//! the **hard** deadline the answer is 504.

use std::sync::Arc;
use std::time::Duration;

use http::{Response, StatusCode};
use sandbar_base::clock::{Elapsed, timeout};
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome as Status;

use super::flight::{Abandoned, Waiter};
use super::landing::Landing;
use crate::body::Body;
use crate::cache::Cache;
use crate::cache::asked::Asked;
use crate::cache::found::Found;
use crate::tenant::counters::count;

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

/// What waiting came to.
pub(crate) enum Waited {
    /// The fetch came to something.
    Landed(Result<Landing, Abandoned>),
    /// The request is answered without it.
    Answered(Response<Body>),
    /// Somebody else should try.
    InVain,
}

impl Cache {
    /// Waits for a flight, at most `until` (on the monotonic clock).
    pub(crate) async fn await_flight(
        &self,
        asked: &Arc<Asked>,
        basis: Option<&Found>,
        leads: bool,
        waiter: &mut Waiter<Landing>,
        until: Duration,
    ) -> Waited {
        let clock = &*self.inner.clock;
        let settings = &asked.tenant.settings;
        let began = clock.monotonic();
        let hard = until.saturating_sub(began);
        let last = if leads { hard } else { hard.min(settings.waiter_deadline) };
        let soft = settings.fetch_soft_deadline.min(last);
        if let Ok(landing) = timeout(clock, soft, waiter.landing()).await {
            return Waited::Landed(landing);
        }
        if let Some(response) = self.serve_stale(asked, basis, Deadline::Soft.as_str()) {
            count(&asked.tenant.counters.stale_soft_deadline);
            return Waited::Answered(response);
        }
        let spent = clock.monotonic().saturating_sub(began);
        match timeout(clock, last.saturating_sub(spent), waiter.landing()).await {
            Ok(landing) => Waited::Landed(landing),
            Err(Elapsed) if clock.monotonic() < until => {
                count(&asked.tenant.counters.waiters_overdue);
                Waited::InVain
            }
            Err(Elapsed) => Waited::Answered(self.overdue(asked, basis)),
        }
    }

    fn overdue(&self, asked: &Asked, basis: Option<&Found>) -> Response<Body> {
        let word = Deadline::Hard.as_str();
        self.serve_stale(asked, basis, word)
            .unwrap_or_else(|| self.synthesized(asked, StatusCode::GATEWAY_TIMEOUT, Status::fwd(FwdReason::Miss), word))
    }
}
