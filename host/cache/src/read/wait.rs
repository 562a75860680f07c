//! How long a request waits for a fetch, and what it gets when that was too long.
//!
//! Past the **soft** deadline a request that has a stale response, and may be given it when the origin fails, is given it;
//! the fetch goes on behind. Past the deadline of **waiters** one of them starts another fetch, which the others join. Past
//! the **hard** deadline the answer is 504.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use sandbar_base::clock::{Elapsed, timeout};
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::cache_status::Outcome;

use super::Reader;
use crate::collapse::flight::{Abandoned, Waiter};
use crate::collapse::landing::Landing;
use crate::request::Asked;
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

/// What waiting came to.
pub(super) enum Waited {
    /// The fetch came to something.
    Landed(Result<Landing, Abandoned>),
    /// The request is answered without it.
    Answered(Answer),
    /// Somebody else should try.
    InVain,
}

impl Reader {
    /// Waits for a flight, at most `until` (on the monotonic clock).
    pub(super) async fn await_flight(
        &self,
        asked: &Arc<Asked>,
        basis: Option<&Found>,
        leads: bool,
        waiter: &mut Waiter<Landing>,
        until: Duration,
    ) -> Waited {
        let clock = &*self.clock;
        let settings = &asked.tenant.settings;
        let began = clock.monotonic();
        let hard = until.saturating_sub(began);
        let last = if leads { hard } else { hard.min(settings.waiter_deadline) };
        let soft = settings.fetch_soft_deadline.min(last);
        if let Ok(landing) = timeout(clock, soft, waiter.landing()).await {
            return Waited::Landed(landing);
        }
        if let Some(answer) = self.stale(asked, basis, Deadline::Soft.as_str(), clock.now()) {
            return Waited::Answered(answer.counted_as(Source::StaleInTime));
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

    fn overdue(&self, asked: &Asked, basis: Option<&Found>) -> Answer {
        let (word, now) = (Deadline::Hard.as_str(), self.clock.now());
        let failed =
            || respond::synthesized(asked, StatusCode::GATEWAY_TIMEOUT, Outcome::fwd(FwdReason::Miss), word, now);
        self.stale(asked, basis, word, now).unwrap_or_else(failed)
    }
}
