//! The read path: L1, then one fetch per key that everybody shares, then whatever a stored response may still do when
//! that fails.

use std::sync::Arc;
use std::time::Duration;

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE, RANGE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::fill::{Fill, Purpose};
use super::flight::{Abandoned, Boarding, Flights, Obligation, Waiter};
use super::lookup::Looked;
use super::outcome::{Arriving, Found, Outcome, Unshared};
use super::serve::{Answered, CACHE};
use super::wait::Waited;
use crate::barrier::Verdict;
use crate::body::{self, Body};
use crate::entry::StoredResponse;
use crate::http::key::{NoKey, keyed};
use crate::http::semantics::cache_status::Outcome as Status;
use crate::http::semantics::fields::times_through;
use crate::http::semantics::{
    CacheStatus, FwdReason, Reuse, StaleReason, may_serve_on_error, only_if_cached, part_answers, reuse,
};
use crate::key::CacheKey;
use crate::origin::OriginError;
use crate::tenant::Tenant;
use crate::tenant::counters::{count, not_stored};

/// How often a request may find its flight abandoned, or its response meant for others, before it fetches alone.
const ROUNDS_MAX: usize = 3;

/// How often a request may have come through a cache of this name (tiers in front of each other) before it is taken for
/// one that goes round in circles.
const PASSES_MAX: usize = 8;

/// Why the request could not be answered from L1, and what is there all the same.
pub(crate) struct Miss {
    pub(crate) reason: FwdReason,
    pub(crate) key: CacheKey,
    pub(crate) basis: Option<Found>,
}

/// How a request fetches.
#[derive(Clone, Copy)]
struct How {
    /// Without waiting for anybody.
    alone: bool,
    /// Only the range that was asked for.
    ranged: bool,
    /// Joining no flight that began at an older revision of the barriers.
    not_before: u64,
    /// When it is to be answered at the latest, on the monotonic clock.
    until: Duration,
}

/// What to do where a fetch came to nothing that this request can use.
enum Retry {
    /// Look again: there may be another leader, or another variant.
    Again,
    /// Look again, and wait for nothing that was begun before: it has been purged since.
    Newer,
    /// Fetch without waiting for anybody.
    Alone,
}

impl Cache {
    /// Answers a request of a tenant: from a tier, from another request's fetch, or from the origin. Always answers.
    pub async fn respond(&self, tenant: &Arc<Tenant>, request: Request<Body>) -> Response<Body> {
        let started = self.inner.clock.monotonic();
        count(&tenant.counters.requests);
        let response = self.route(tenant, request).await;
        tenant.counters.latency.note(self.inner.clock.monotonic().saturating_sub(started));
        response
    }

    async fn route(&self, tenant: &Arc<Tenant>, request: Request<Body>) -> Response<Body> {
        let (head, content) = request.into_parts();
        let keyed = match keyed(&tenant.name, &tenant.settings.key, &head.uri, &head.headers, "http") {
            Ok(keyed) => keyed,
            Err(reason) => return self.refuse(tenant, reason),
        };
        let asked = Asked::new(tenant, head, keyed);
        if times_through(&asked.fields, CACHE) > PASSES_MAX {
            return self.synthesized(&asked, StatusCode::LOOP_DETECTED, Status::Refused, "loop");
        }
        // Content of a GET has no meaning that could join the key (RFC 9110 section 9.3.1): it is not answered from the
        // cache, nor does its response get in.
        let plain = http_body::Body::is_end_stream(&content);
        match asked.method {
            Method::GET | Method::HEAD if plain && for_origin(&asked.fields) => self.pass_on(&asked).await,
            Method::GET if plain => self.read(asked).await,
            Method::HEAD if plain => self.read_head(asked).await,
            _ => self.write(&asked, content).await,
        }
    }

    fn refuse(&self, tenant: &Tenant, reason: NoKey) -> Response<Body> {
        count(&tenant.counters.synthesized);
        tenant.counters.answers.count(Status::Refused.as_str());
        let mut response = Response::new(body::full(format!("{reason}\n")));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let status = CacheStatus { detail: Some(reason.as_str()), ..CacheStatus::new(CACHE, Status::Refused) };
        status.append_to(response.headers_mut());
        response
    }

    /// Answers from L1, or says why not.
    pub(crate) fn hit(&self, asked: &Arc<Asked>) -> Result<Response<Body>, Miss> {
        let now = self.inner.clock.now();
        let Looked { key, found, varies } = self.look_in_l1(asked, now);
        let Some(found) = found.map(|found| self.replan(asked, found)) else {
            let reason = if varies { FwdReason::VaryMiss } else { FwdReason::UriMiss };
            return Err(Miss { reason, key, basis: None });
        };
        let Some(stored) = found.cached.response() else {
            return Err(Miss { reason: FwdReason::UriMiss, key, basis: None });
        };
        if stored.status == StatusCode::PARTIAL_CONTENT && part_answers(stored, &asked.head()).is_none() {
            // A request for the whole may get what is lacking, and have it added.
            let basis = (!asked.fields.contains_key(RANGE)).then_some(found);
            return Err(Miss { reason: FwdReason::Partial, key, basis });
        }
        match reuse(stored, &asked.head(), now, found.soft_purged) {
            Reuse::Fresh => self.maybe_refresh_early(asked, &key, &found, now),
            Reuse::Stale(StaleReason::WhileRevalidate) => {
                count(&asked.tenant.counters.hits_stale);
                self.refresh_behind(asked, &key, &found);
            }
            Reuse::Stale(StaleReason::MaxStale) => count(&asked.tenant.counters.hits_stale),
            Reuse::Validate(reason) => return Err(Miss { reason, key, basis: Some(found) }),
        }
        count(&asked.tenant.counters.hits_l1);
        self.record_hit(asked, &found.cached);
        Ok(self.serve_found(asked, &found, Answered::hit(found.tier)))
    }

    async fn read(&self, asked: Arc<Asked>) -> Response<Body> {
        let (mut alone, mut not_before) = (false, 0);
        let until = self.inner.clock.monotonic() + asked.tenant.settings.fetch_hard_deadline;
        for round in 0..ROUNDS_MAX {
            let miss = match self.hit(&asked) {
                Ok(response) => return response,
                Err(miss) => miss,
            };
            if round == 0 {
                count(&asked.tenant.counters.misses_l1);
            }
            if only_if_cached(&asked.fields) {
                return self.only_if_cached(&asked).await;
            }
            let ranged = asked.fields.contains_key(RANGE) && miss.basis.is_none();
            alone |= ranged || self.inner.learned.contains_key(&asked.key.hash()) || self.is_fenced(&asked);
            match self.fetch(&asked, &miss, How { alone, ranged, not_before, until }).await {
                Ok(response) => return response,
                Err(Retry::Alone) => alone = true,
                Err(Retry::Again) => {}
                Err(Retry::Newer) => {
                    not_before = asked.tenant.barriers.revision();
                    // Purged again and again: what this request fetches itself is right for it.
                    alone |= round + 2 == ROUNDS_MAX;
                }
            }
        }
        self.synthesized(&asked, StatusCode::SERVICE_UNAVAILABLE, Status::Refused, "abandoned")
    }

    /// RFC 9111 section 5.2.1.7: from a tier, or 504.
    async fn only_if_cached(&self, asked: &Arc<Asked>) -> Response<Body> {
        match self.hit_in_l2(asked).await {
            Some(response) => response,
            None => self.synthesized(asked, StatusCode::GATEWAY_TIMEOUT, Status::Refused, "only-if-cached"),
        }
    }

    /// Answers from L2, without a fetch.
    pub(crate) async fn hit_in_l2(&self, asked: &Arc<Asked>) -> Option<Response<Body>> {
        self.inner.l2.as_ref()?;
        let found = self.look_in_l2(asked).await.filter(|found| self.is_reusable(asked, found));
        let counters = &asked.tenant.counters;
        count(if found.is_some() { &counters.hits_l2 } else { &counters.misses_l2 });
        let found = found?;
        self.promote(asked, &found);
        self.record_hit(asked, &found.cached);
        Some(self.serve_found(asked, &found, Answered::hit(found.tier)))
    }

    /// Leads the fetch of a key or waits for it, for as long as it may.
    async fn fetch(&self, asked: &Arc<Asked>, miss: &Miss, mut how: How) -> Result<Response<Body>, Retry> {
        let mut boarding = match how.alone {
            true => Boarding::Lead(Flights::alone().0),
            false => self.board(asked, &miss.key, how.not_before),
        };
        loop {
            let (leads, mut waiter) = match boarding {
                Boarding::Lead(obligation) => (true, self.lead(asked, miss, how, obligation)),
                Boarding::Wait(waiter) => (false, waiter),
            };
            match self.await_flight(asked, miss.basis.as_ref(), leads, &mut waiter, how.until).await {
                Waited::Landed(Ok(outcome)) => {
                    let retry = retry_after(asked, &outcome);
                    return self.answer(asked, miss, outcome, leads).ok_or(retry);
                }
                Waited::Landed(Err(Abandoned)) => return Err(Retry::Again),
                Waited::Answered(response) => return Ok(response),
                Waited::InVain => {
                    // The one who is relieved may still hold the fleet's lease: nobody waits for that any more.
                    how.alone = true;
                    boarding = self.relieve(asked, &miss.key, how.not_before, &waiter);
                }
            }
        }
    }

    /// Starts a fill; waits for it like everybody else.
    fn lead(&self, asked: &Arc<Asked>, miss: &Miss, how: How, duty: Obligation<Outcome>) -> Waiter<Outcome> {
        let waiter = duty.waiter();
        let fill = Fill {
            asked: Arc::clone(asked),
            key: miss.key.clone(),
            basis: miss.basis.clone(),
            purpose: if how.ranged { Purpose::Part } else { Purpose::Answer },
            alone: how.alone,
        };
        self.start_fill(fill, duty);
        waiter
    }

    /// Joins the flight of a key, unless what it brings may be older than a purge that is known by now; starts one else.
    pub(crate) fn board(&self, asked: &Asked, key: &CacheKey, not_before: u64) -> Boarding<Outcome> {
        let now = self.begin(asked);
        let joins = |began: &Began| is_new_enough(asked, key, not_before, &now, began);
        self.inner.flights.board(key.hash(), now, joins)
    }

    /// The same after it was waited for in vain: not the same flight again.
    fn relieve(&self, asked: &Asked, key: &CacheKey, not_before: u64, waited: &Waiter<Outcome>) -> Boarding<Outcome> {
        let now = self.begin(asked);
        let joins = |began: &Began| is_new_enough(asked, key, not_before, &now, began);
        self.inner.flights.relieve(key.hash(), waited, now, joins)
    }

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

/// Whether a flight that began then can be waited for now.
fn is_new_enough(asked: &Asked, key: &CacheKey, not_before: u64, now: &Began, began: &Began) -> bool {
    began.revision >= not_before
        && began.losses == now.losses
        && !asked.tenant.barriers.hides(key.text(), began.sequence)
}

/// What to do where a fetch came to something that is not for this request: another variant has its own flight by now;
/// whoever insists on more than what came, or waits for what is not shared, asks for itself.
fn retry_after(asked: &Asked, outcome: &Outcome) -> Retry {
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

/// RFC 9111 section 4.3.2: If-Match and If-Unmodified-Since "only apply to an origin server".
fn for_origin(fields: &HeaderMap) -> bool {
    fields.contains_key(IF_MATCH) || fields.contains_key(IF_UNMODIFIED_SINCE)
}

/// Answered by a fetch whose response is stored; `status` is the origin's where it differs from what is sent.
fn forwarded(reason: FwdReason, status: Option<StatusCode>, collapsed: bool) -> Answered {
    Answered { outcome: Status::Fwd { reason, status, stored: true, collapsed }, detail: None }
}
