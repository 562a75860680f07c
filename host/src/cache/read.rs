//! The read path: L1, then one fetch per key that everybody shares.

use std::sync::Arc;
use std::time::Duration;

use http::header::{IF_MATCH, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode};

use super::Cache;
use super::answer::{Retry, retry_after};
use super::asked::Asked;
use super::began::Began;
use super::fill::{Fill, Purpose};
use super::flight::{Abandoned, Boarding, Flights, Obligation, Waiter};
use super::lookup::Looked;
use super::outcome::{Found, Outcome};
use super::serve::{Answered, CACHE};
use super::wait::Waited;
use crate::body::{self, Body};
use crate::http::key::{NoKey, keyed};
use crate::http::semantics::cache_status::Outcome as Status;
use crate::http::semantics::fields::times_through;
use crate::http::semantics::{CacheStatus, FwdReason, Reuse, StaleReason, part_answers, reuse};
use crate::key::CacheKey;
use crate::tenant::Tenant;
use crate::tenant::counters::count;

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
            if asked.directives.only_if_cached {
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
            None => self.not_cached(asked),
        }
    }

    /// The answer to a client that accepts nothing but a stored response where there is none for it.
    pub(crate) fn not_cached(&self, asked: &Asked) -> Response<Body> {
        self.synthesized(asked, StatusCode::GATEWAY_TIMEOUT, Status::Refused, "only-if-cached")
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
}

/// Whether a flight that began then can be waited for now.
fn is_new_enough(asked: &Asked, key: &CacheKey, not_before: u64, now: &Began, began: &Began) -> bool {
    began.revision >= not_before
        && began.losses == now.losses
        && !asked.tenant.barriers.hides(key.text(), began.sequence)
}

/// RFC 9111 section 4.3.2: If-Match and If-Unmodified-Since "only apply to an origin server".
fn for_origin(fields: &HeaderMap) -> bool {
    fields.contains_key(IF_MATCH) || fields.contains_key(IF_UNMODIFIED_SINCE)
}
