//! What a request is answered with once a fetch has come to something: what it was given leave to, a stale response where
//! the fetch failed, or nothing, and then what to do next.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};
use sandbar_http::semantics::cache_status::Outcome as Status;
use sandbar_http::semantics::leave::{Ground, Leave, on_error};
use sandbar_http::semantics::{FwdReason, StaleReason};

use super::serve::Answered;
use crate::barrier::Verdict as Barred;
use crate::body::{self, Body};
use crate::cache::Cache;
use crate::cache::asked::Asked;
use crate::cache::collapse::landing::{Arriving, Retry, Unshared, Verdict};
use crate::cache::found::Found;
use crate::cache::read::Miss;
use crate::origin::OriginError;
use crate::tenant::counters::{count, not_stored};

impl Cache {
    /// Answers with what a fetch means for this request.
    ///
    /// # Errors
    /// With what to do next, where it is of no use.
    pub(crate) fn answer(&self, asked: &Arc<Asked>, miss: &Miss, verdict: Verdict) -> Result<Response<Body>, Retry> {
        match verdict {
            Verdict::Found(leave) => {
                self.count_collapsed(asked, leave.ground());
                self.record_hit(asked, leave.what().cached());
                if leave.ground() == Ground::Stale(StaleReason::WhileRevalidate) {
                    self.refresh_behind(asked, &miss.key, leave.what());
                }
                let tier = leave.what().tier();
                Ok(self.serve_found(asked, &leave, Answered::hit(tier)))
            }
            Verdict::Validated(leave) => {
                let collapsed = leave.ground() != Ground::Own;
                count(if collapsed { &asked.tenant.counters.collapsed } else { &asked.tenant.counters.fetched });
                self.record_hit(asked, leave.what().cached());
                let answered = forwarded(miss.reason, Some(StatusCode::NOT_MODIFIED), collapsed);
                Ok(self.serve_found(asked, &leave, answered))
            }
            Verdict::Arriving(leave) => self.follow(asked, miss, &leave).ok_or(Retry::Alone),
            Verdict::Unshared(leave) => self.serve_unshared(asked, miss, &leave).ok_or(Retry::Alone),
            Verdict::ErrorStatus(own) => self
                .stale_on_error(asked, miss.basis.as_ref())
                .or_else(|| self.serve_unshared(asked, miss, &own?))
                .ok_or(Retry::Alone),
            Verdict::Failed(error) => Ok(self
                .stale_on_error(asked, miss.basis.as_ref())
                .unwrap_or_else(|| self.origin_failed(asked, miss.reason, &error))),
            Verdict::Retry(retry) => Err(retry),
        }
    }

    fn count_collapsed(&self, asked: &Asked, ground: Ground) {
        if ground != Ground::Own {
            count(&asked.tenant.counters.collapsed);
        }
    }

    /// Follows a response that arrives; none where its first bytes are gone.
    fn follow(&self, asked: &Asked, miss: &Miss, leave: &Leave<Arc<Arriving>>) -> Option<Response<Body>> {
        let (arriving, collapsed) = (leave.what(), leave.ground() != Ground::Own);
        let content = arriving.tail.read()?;
        if collapsed {
            self.record_later(asked, arriving);
        }
        count(if collapsed { &asked.tenant.counters.collapsed } else { &asked.tenant.counters.fetched });
        let stored = arriving.unstored.is_none();
        let outcome = Status::Fwd { reason: miss.reason, status: None, stored, collapsed };
        let answered = Answered { outcome, detail: arriving.unstored };
        let content = body::boxed(content.with_length(arriving.body_bytes));
        Some(self.serve_arriving(asked, leave, content, answered))
    }

    fn serve_unshared(&self, asked: &Asked, miss: &Miss, unshared: &Leave<Unshared>) -> Option<Response<Body>> {
        let response = Unshared::taken_with(unshared)?;
        count(&asked.tenant.counters.fetched);
        let answered = Answered { detail: Some(unshared.what().reason), ..Answered::forwarded(miss.reason) };
        Some(self.serve_forwarded(asked, response, answered))
    }

    /// RFC 5861 section 4: a stale response, if the origin fails and the plan allows it.
    pub(crate) fn stale_on_error(&self, asked: &Asked, basis: Option<&Found>) -> Option<Response<Body>> {
        self.serve_stale(asked, basis, not_stored::STALE_IF_ERROR)
    }

    /// What is stale and may answer although the origin has not. The fill may have brought it from L2 meanwhile.
    pub(crate) fn serve_stale(
        &self,
        asked: &Asked,
        basis: Option<&Found>,
        why: &'static str,
    ) -> Option<Response<Body>> {
        let now = self.inner.clock.now();
        let found = basis.cloned().or_else(|| self.look_in_l1(asked, now).found)?;
        // It may have been purged since it was found.
        let barred = found.cached().verdict(&asked.tenant.barriers);
        let soft_purged = found.soft_purged() || barred == Barred::Stale;
        if found.cached().is_ended() {
            return None;
        }
        let leave = on_error(found, &asked.head(), now, soft_purged).filter(|_| barred != Barred::Gone)?;
        count(&asked.tenant.counters.stale_if_error);
        let answered = Answered { detail: Some(why), ..Answered::forwarded(FwdReason::Stale) };
        Some(self.serve_found(asked, &leave, answered))
    }

    pub(crate) fn origin_failed(&self, asked: &Asked, why: FwdReason, error: &OriginError) -> Response<Body> {
        let status = match error {
            OriginError::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            OriginError::Refused { .. } => StatusCode::SERVICE_UNAVAILABLE,
            OriginError::Client(fault) => fault.status(),
            _ => StatusCode::BAD_GATEWAY,
        };
        let mut response = self.synthesized(asked, status, Status::fwd(why), error.reason());
        if let Some(after) = error.retry_after() {
            // RFC 9110 section 10.2.3: whole seconds, so rounded up.
            let secs = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs.max(1)));
        }
        response
    }
}

/// Answered by a fetch whose response is stored; `status` is the origin's where it differs from what is sent.
fn forwarded(reason: FwdReason, status: Option<StatusCode>, collapsed: bool) -> Answered {
    Answered { outcome: Status::Fwd { reason, status, stored: true, collapsed }, detail: None }
}
