//! What a request is answered with once a fetch has come to something: its response if it is one for this request too, a
//! stale one where the fetch failed, or nothing, and then what to do next.

use std::sync::Arc;

use http::header::RETRY_AFTER;
use http::{HeaderValue, Response, StatusCode};

use super::Cache;
use super::asked::Asked;
use super::outcome::{Arriving, Found, Outcome, Unshared};
use super::read::Miss;
use super::serve::Answered;
use crate::barrier::Verdict;
use crate::body::{self, Body};
use crate::entry::StoredResponse;
use crate::http::semantics::cache_status::Outcome as Status;
use crate::http::semantics::{FwdReason, Reuse, StaleReason, may_serve_on_error, reuse};
use crate::origin::OriginError;
use crate::tenant::counters::{count, not_stored};

/// What to do where a fetch came to nothing that this request can use.
pub(super) enum Retry {
    /// Look again: there may be another leader, or another variant.
    Again,
    /// Look again, and wait for nothing that was begun before: it has been purged since.
    Newer,
    /// Fetch without waiting for anybody.
    Alone,
}

impl Cache {
    /// Answers with what a fetch came to; none where that is of no use to this request.
    pub(crate) fn answer(
        &self,
        asked: &Arc<Asked>,
        miss: &Miss,
        outcome: Outcome,
        leads: bool,
    ) -> Option<Response<Body>> {
        let collapsed = !leads;
        match outcome {
            Outcome::Found(found) => {
                if collapsed && !self.found_is_for(asked, &found) {
                    return None;
                }
                if collapsed {
                    count(&asked.tenant.counters.collapsed);
                }
                self.record_hit(asked, &found.cached);
                if !self.still_fresh(asked, &found) {
                    self.refresh_behind(asked, &miss.key, &found);
                }
                Some(self.serve_found(asked, &found, Answered::hit(found.tier)))
            }
            Outcome::Validated(found) => {
                if collapsed && !self.found_is_for(asked, &found) {
                    return None;
                }
                count(if collapsed { &asked.tenant.counters.collapsed } else { &asked.tenant.counters.fetched });
                self.record_hit(asked, &found.cached);
                let answered = forwarded(miss.reason, Some(StatusCode::NOT_MODIFIED), collapsed);
                Some(self.serve_found(asked, &found, answered))
            }
            Outcome::Arriving(arriving) => self.follow(asked, miss, &arriving, collapsed),
            Outcome::Unshared(unshared) if leads => self.serve_unshared(asked, miss, &unshared),
            Outcome::Unshared(_) => None,
            Outcome::ErrorStatus(unshared) => self
                .stale_on_error(asked, miss.basis.as_ref())
                .or_else(|| if leads { self.serve_unshared(asked, miss, &unshared) } else { None }),
            Outcome::Failed(error) => Some(
                self.stale_on_error(asked, miss.basis.as_ref())
                    .unwrap_or_else(|| self.origin_failed(asked, miss.reason, &error)),
            ),
        }
    }

    fn still_fresh(&self, asked: &Asked, found: &Found) -> bool {
        found.cached.response().is_some_and(|stored| {
            reuse(stored, &asked.head(), self.inner.clock.now(), found.soft_purged)
                != Reuse::Stale(StaleReason::WhileRevalidate)
        })
    }

    /// Follows a response that arrives, if it is one for this request too.
    fn follow(&self, asked: &Asked, miss: &Miss, arriving: &Arc<Arriving>, collapsed: bool) -> Option<Response<Body>> {
        if collapsed {
            let verdict = asked.tenant.barriers.judge_response(&arriving.stored);
            let visible = verdict != Verdict::Gone && is_same_variant(asked, arriving);
            if !visible || !self.is_for(asked, &arriving.stored, verdict == Verdict::Stale) {
                return None;
            }
        }
        let content = arriving.tail.read()?;
        if collapsed {
            self.record_later(asked, arriving);
        }
        count(if collapsed { &asked.tenant.counters.collapsed } else { &asked.tenant.counters.fetched });
        let stored = arriving.unstored.is_none();
        let outcome = Status::Fwd { reason: miss.reason, status: None, stored, collapsed };
        let answered = Answered { outcome, detail: arriving.unstored };
        Some(self.serve_arriving(asked, arriving, body::boxed(content.with_length(arriving.body_bytes)), answered))
    }

    /// As [`Self::is_for`], of what was found or validated.
    fn found_is_for(&self, asked: &Asked, found: &Found) -> bool {
        let verdict = found.cached.verdict(&asked.tenant.barriers);
        let soft_purged = found.soft_purged || verdict == Verdict::Stale;
        verdict != Verdict::Gone
            && found.cached.response().is_some_and(|stored| self.is_for(asked, stored, soft_purged))
    }

    /// Whether a response that another request caused may be reused for this one (RFC 9111 section 4).
    fn is_for(&self, asked: &Asked, stored: &StoredResponse, soft_purged: bool) -> bool {
        !matches!(reuse(stored, &asked.head(), self.inner.clock.now(), soft_purged), Reuse::Validate(_))
    }

    fn serve_unshared(&self, asked: &Asked, miss: &Miss, unshared: &Unshared) -> Option<Response<Body>> {
        let response = unshared.take()?;
        count(&asked.tenant.counters.fetched);
        let answered = Answered { detail: Some(unshared.reason), ..Answered::forwarded(miss.reason) };
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
        let stored = found.cached.response()?;
        // It may have been purged since it was found.
        let verdict = found.cached.verdict(&asked.tenant.barriers);
        let soft_purged = found.soft_purged || verdict == Verdict::Stale;
        if verdict == Verdict::Gone || !may_serve_on_error(stored, &asked.head(), now, soft_purged) {
            return None;
        }
        count(&asked.tenant.counters.stale_if_error);
        let answered = Answered { detail: Some(why), ..Answered::forwarded(FwdReason::Stale) };
        Some(self.serve_found(asked, &found, answered))
    }

    pub(crate) fn origin_failed(&self, asked: &Asked, why: FwdReason, error: &OriginError) -> Response<Body> {
        let status = match error {
            OriginError::Deadline { .. } => StatusCode::GATEWAY_TIMEOUT,
            OriginError::Refused { .. } => StatusCode::SERVICE_UNAVAILABLE,
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

/// What to do where a fetch came to something that is not for this request: another variant has its own flight by now;
/// whoever insists on more than what came, or waits for what is not shared, asks for itself.
pub(super) fn retry_after(asked: &Asked, outcome: &Outcome) -> Retry {
    let barriers = &asked.tenant.barriers;
    match outcome {
        Outcome::Arriving(arriving) if barriers.judge_response(&arriving.stored) != Verdict::Visible => Retry::Newer,
        Outcome::Arriving(arriving) if !is_same_variant(asked, arriving) => Retry::Again,
        Outcome::Found(found) | Outcome::Validated(found) if found.cached.verdict(barriers) != Verdict::Visible => {
            Retry::Newer
        }
        _ => Retry::Alone,
    }
}

fn is_same_variant(asked: &Asked, arriving: &Arriving) -> bool {
    super::store::key_for(asked, &arriving.vary).text() == &*arriving.stored.key
}
/// Answered by a fetch whose response is stored; `status` is the origin's where it differs from what is sent.
fn forwarded(reason: FwdReason, status: Option<StatusCode>, collapsed: bool) -> Answered {
    Answered { outcome: Status::Fwd { reason, status, stored: true, collapsed }, detail: None }
}
