//! The answer to a request whose fetch has ended: the response that it may be given, a stale one where the fetch
//! failed, or none, and then what the request does next.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::leave::{Ground, Leave, on_error};
use sandbar_http::semantics::{FwdReason, StaleReason};

use super::{Miss, Reader};
use crate::body;
use crate::collapse::outcome::{ForRequest, Retry, Unshared};
use crate::ingest::Arriving;
use crate::not_stored::NotStored;
use crate::origin::OriginError;
use crate::request::CacheRequest;
use crate::respond::{self, Answer, Answered};
use crate::store::found::Found;
use crate::tenant::counters::Source;

impl Reader {
    /// Answers a request with what the outcome of a fetch means for it.
    ///
    /// # Errors
    /// With what to do next, where the outcome is of no use to the request.
    pub(crate) fn answer(
        &self,
        request: &Arc<CacheRequest>,
        miss: &Miss,
        outcome: ForRequest,
        now: Timestamp,
    ) -> Result<Answer, Retry> {
        match outcome {
            ForRequest::Found(leave) => {
                let source = if leave.ground() == Ground::Own { Source::L2 } else { Source::Collapsed };
                request.record(leave.what().cached(), now);
                if leave.ground() == Ground::Stale(StaleReason::WhileRevalidate) {
                    self.fills.refresh_behind(request, &miss.key, leave.what());
                }
                let tier = leave.what().tier();
                Ok(respond::found(request, &leave, Answered::hit(tier), source, now))
            }
            ForRequest::Validated(leave) => {
                let collapsed = leave.ground() != Ground::Own;
                request.record(leave.what().cached(), now);
                let status = Some(StatusCode::NOT_MODIFIED);
                let outcome = Outcome::Fwd { reason: miss.reason, status, stored: true, collapsed };
                let answered = Answered { outcome, detail: None };
                Ok(respond::found(request, &leave, answered, of_a_fetch(collapsed), now))
            }
            ForRequest::Arriving(leave) => follow(request, miss, &leave, now).ok_or(Retry::Alone),
            ForRequest::Unshared(leave) => unshared(request, miss, &leave, now).ok_or(Retry::Alone),
            ForRequest::ErrorStatus(own) => self
                .stale_on_error(request, miss.basis.as_ref(), now)
                .or_else(|| unshared(request, miss, &own?, now))
                .ok_or(Retry::Alone),
            ForRequest::Failed(error) => Ok(self.without_origin(request, miss, &error)),
            ForRequest::Retry(retry) => Err(retry),
        }
    }

    /// The answer where the origin gives none: a stale response if that may be served, else an error.
    pub(super) fn without_origin(&self, request: &CacheRequest, miss: &Miss, error: &OriginError) -> Answer {
        let now = self.clock.now();
        let stale = self.stale_on_error(request, miss.basis.as_ref(), now);
        stale.unwrap_or_else(|| respond::origin_failed(request, miss.reason, error, now))
    }

    /// RFC 5861 section 4: a stale response, if the origin fails and the plan allows it.
    fn stale_on_error(&self, request: &CacheRequest, basis: Option<&Found>, now: Timestamp) -> Option<Answer> {
        self.stale(request, basis, NotStored::StaleIfError.as_str(), now)
    }

    /// A stale response that may be served although the origin has not answered, with `why` as its detail: the basis,
    /// or what the fill has promoted from L2 meanwhile.
    pub(super) fn stale(
        &self,
        request: &CacheRequest,
        basis: Option<&Found>,
        why: &'static str,
        now: Timestamp,
    ) -> Option<Answer> {
        let found = basis.cloned().or_else(|| self.store.look_in_l1(request, now).found)?;
        // It may have been purged since it was found.
        let soft_purged = found.soft_purged_by_now(&request.tenant.barriers)?;
        if found.cached().is_ended() {
            return None;
        }
        let leave = on_error(found, &request.head(), now, soft_purged)?;
        let answered = Answered { detail: Some(why), ..Answered::forwarded(FwdReason::Stale) };
        Some(respond::found(request, &leave, answered, Source::StaleIfError, now))
    }
}

/// Answers with a response while it arrives; `None` where its first bytes are gone.
fn follow(request: &CacheRequest, miss: &Miss, leave: &Leave<Arc<Arriving>>, now: Timestamp) -> Option<Answer> {
    let (arriving, collapsed) = (leave.what(), leave.ground() != Ground::Own);
    let content = arriving.tail.read()?;
    if collapsed && request.tenant.recording_point.is_open() {
        // Its size is known only when it is stored: it is recorded then.
        arriving.recorded_later.fetch_add(1, Ordering::Relaxed);
    }
    let outcome = Outcome::Fwd { reason: miss.reason, status: None, stored: arriving.unstored.is_none(), collapsed };
    let answered = Answered { outcome, detail: arriving.unstored.map(NotStored::as_str) };
    let content = body::boxed(content.with_length(arriving.body_bytes));
    Some(respond::arriving(request, leave, content, answered, of_a_fetch(collapsed), now))
}

/// Answers with the origin's response that is for this request alone; `None` where it was taken before.
fn unshared(request: &CacheRequest, miss: &Miss, unshared: &Leave<Unshared>, now: Timestamp) -> Option<Answer> {
    let response = Unshared::taken_with(unshared)?;
    let detail = Some(unshared.what().reason.as_str());
    let answered = Answered { detail, ..Answered::forwarded(miss.reason) };
    Some(respond::forwarded(request, response, answered, Source::Fetched, now))
}

const fn of_a_fetch(collapsed: bool) -> Source {
    if collapsed { Source::Collapsed } else { Source::Fetched }
}
