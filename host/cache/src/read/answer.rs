//! What a request is answered with once a fetch has come to an end: what it was given leave to, a stale response where
//! the fetch failed, or nothing, and then what to do next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::leave::{Ground, Leave, on_error};
use sandbar_http::semantics::{FwdReason, StaleReason};

use super::{Miss, Reader};
use crate::barrier::Verdict as Barred;
use crate::body;
use crate::collapse::outcome::{Retry, Unshared, Verdict};
use crate::ingest::Arriving;
use crate::not_stored::NotStored;
use crate::origin::OriginError;
use crate::request::CacheRequest;
use crate::respond::{self, Answer, Answered};
use crate::store::found::Found;
use crate::tenant::counters::Source;

impl Reader {
    /// Answers with what a fetch means for this request.
    ///
    /// # Errors
    /// With what to do next, where it is of no use.
    pub(crate) fn answer(
        &self,
        request: &Arc<CacheRequest>,
        miss: &Miss,
        verdict: Verdict,
        now: Timestamp,
    ) -> Result<Answer, Retry> {
        match verdict {
            Verdict::Found(leave) => {
                let source = if leave.ground() == Ground::Own { Source::L2 } else { Source::Collapsed };
                request.record(leave.what().cached(), now);
                if leave.ground() == Ground::Stale(StaleReason::WhileRevalidate) {
                    self.fills.refresh_behind(request, &miss.key, leave.what());
                }
                let tier = leave.what().tier();
                Ok(respond::found(request, &leave, Answered::hit(tier), source, now))
            }
            Verdict::Validated(leave) => {
                let collapsed = leave.ground() != Ground::Own;
                request.record(leave.what().cached(), now);
                let status = Some(StatusCode::NOT_MODIFIED);
                let outcome = Outcome::Fwd { reason: miss.reason, status, stored: true, collapsed };
                let answered = Answered { outcome, detail: None };
                Ok(respond::found(request, &leave, answered, of_a_fetch(collapsed), now))
            }
            Verdict::Arriving(leave) => follow(request, miss, &leave, now).ok_or(Retry::Alone),
            Verdict::Unshared(leave) => unshared(request, miss, &leave, now).ok_or(Retry::Alone),
            Verdict::ErrorStatus(own) => self
                .stale_on_error(request, miss.basis.as_ref(), now)
                .or_else(|| unshared(request, miss, &own?, now))
                .ok_or(Retry::Alone),
            Verdict::Failed(error) => Ok(self.without_origin(request, miss, &error)),
            Verdict::Retry(retry) => Err(retry),
        }
    }

    /// The answer where the origin gives none: stale where that may be, else an error.
    pub(super) fn without_origin(&self, request: &CacheRequest, miss: &Miss, error: &OriginError) -> Answer {
        let now = self.clock.now();
        let stale = self.stale_on_error(request, miss.basis.as_ref(), now);
        stale.unwrap_or_else(|| respond::origin_failed(request, miss.reason, error, now))
    }

    /// RFC 5861 section 4: a stale response, if the origin fails and the plan allows it.
    fn stale_on_error(&self, request: &CacheRequest, basis: Option<&Found>, now: Timestamp) -> Option<Answer> {
        self.stale(request, basis, NotStored::StaleIfError.as_str(), now)
    }

    /// What is stale and may answer although the origin has not, with the word for `why`. The fill may have brought it from
    /// L2 meanwhile.
    pub(super) fn stale(
        &self,
        request: &CacheRequest,
        basis: Option<&Found>,
        why: &'static str,
        now: Timestamp,
    ) -> Option<Answer> {
        let found = basis.cloned().or_else(|| self.store.look_in_l1(request, now).found)?;
        // It may have been purged since it was found.
        let barred = found.cached().verdict(&request.tenant.barriers);
        let soft_purged = found.soft_purged() || barred == Barred::Stale;
        if found.cached().is_ended() {
            return None;
        }
        let leave = on_error(found, &request.head(), now, soft_purged).filter(|_| barred != Barred::Gone)?;
        let answered = Answered { detail: Some(why), ..Answered::forwarded(FwdReason::Stale) };
        Some(respond::found(request, &leave, answered, Source::StaleIfError, now))
    }
}

/// Follows a response that arrives; none where its first bytes are gone.
fn follow(request: &CacheRequest, miss: &Miss, leave: &Leave<Arc<Arriving>>, now: Timestamp) -> Option<Answer> {
    let (arriving, collapsed) = (leave.what(), leave.ground() != Ground::Own);
    let content = arriving.tail.read()?;
    if collapsed && request.tenant.tap.is_open() {
        // How large it is will be known when it is stored.
        arriving.recorded_later.fetch_add(1, Ordering::Relaxed);
    }
    let outcome = Outcome::Fwd { reason: miss.reason, status: None, stored: arriving.unstored.is_none(), collapsed };
    let answered = Answered { outcome, detail: arriving.unstored.map(NotStored::as_str) };
    let content = body::boxed(content.with_length(arriving.body_bytes));
    Some(respond::arriving(request, leave, content, answered, of_a_fetch(collapsed), now))
}

/// Answers with the origin's response that is for this request alone, once.
fn unshared(request: &CacheRequest, miss: &Miss, unshared: &Leave<Unshared>, now: Timestamp) -> Option<Answer> {
    let response = Unshared::taken_with(unshared)?;
    let detail = Some(unshared.what().reason.as_str());
    let answered = Answered { detail, ..Answered::forwarded(miss.reason) };
    Some(respond::forwarded(request, response, answered, Source::Fetched, now))
}

const fn of_a_fetch(collapsed: bool) -> Source {
    if collapsed { Source::Collapsed } else { Source::Fetched }
}
