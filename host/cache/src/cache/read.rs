//! The read path: L1, then one fetch per key that everybody shares.

use std::sync::Arc;
use std::time::Duration;

use http::header::RANGE;
use http::{Method, Request, Response, StatusCode};
use sandbar_http::key::CacheKey;
use sandbar_http::key::NoKey;
use sandbar_http::semantics::cache_status::Outcome as Status;
use sandbar_http::semantics::leave::{Ground, Holds, Joined, insists, to_reuse};
use sandbar_http::semantics::{CacheStatus, FwdReason, StaleReason, lacking, lacks_what_is_asked};

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::collapse::flight::{Abandoned, Boarding, Flights, Obligation, Waiter};
use super::collapse::landing::{Landing, Retry};
use super::collapse::wait::Waited;
use super::fill::{Fill, Purpose};
use super::found::Found;
use super::lookup::Looked;
use super::respond::serve::{Answered, CACHE};
use crate::barrier::Verdict;
use crate::body::{self, Body};
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// How often a request may find its flight abandoned, or its response meant for others; the last time it fetches alone.
const ROUNDS_MAX: usize = 4;

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
    /// Which flights it joins.
    joins: Joins,
    /// When it is to be answered at the latest, on the monotonic clock.
    until: Duration,
}

/// Which flights a request joins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Joins {
    /// None that began at an older revision of the barriers.
    not_before: u64,
    /// None that has come further.
    latest: Joined,
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
        let is_plain = http_body::Body::is_end_stream(&content);
        let asked = match Asked::new(tenant, head, is_plain) {
            Ok(asked) => asked,
            Err(reason) => return self.refuse(tenant, reason),
        };
        if asked.times_through > PASSES_MAX {
            return self.synthesized(&asked, StatusCode::LOOP_DETECTED, Status::Refused, "loop");
        }
        if is_plain
            && !asked.directives.only_if_cached
            && let Some(protocols) = asked.switches_to()
        {
            return Box::pin(self.switch(&asked, protocols)).await;
        }
        match asked.method {
            Method::HEAD if asked.is_answerable => self.read_head(asked).await,
            _ if asked.is_answerable => self.read(asked).await,
            Method::GET | Method::HEAD if is_plain && asked.is_safe() => self.pass_on(&asked).await,
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
        let Some(found) = found else {
            let reason = if varies { FwdReason::VaryMiss } else { FwdReason::UriMiss };
            return Err(Miss { reason, key, basis: None });
        };
        if found.cached().is_doubtful() {
            return Err(Miss { reason: FwdReason::Stale, key, basis: Some(found) });
        }
        let found = self.replan(asked, found);
        let stored = found.stored();
        if lacks_what_is_asked(stored, &asked.head()) {
            // A request for the whole may get what is lacking, and have it added; so may one for a range.
            let adds = !asked.fields.contains_key(RANGE) || lacking(stored, Some(&asked.head())).is_some();
            let basis = adds.then_some(found);
            return Err(Miss { reason: FwdReason::Partial, key, basis });
        }
        let soft_purged = found.soft_purged();
        let leave = match to_reuse(found, &asked.head(), now, soft_purged) {
            Ok(leave) => leave,
            Err((found, reason)) => return Err(Miss { reason, key, basis: Some(found) }),
        };
        let found = leave.what();
        match leave.ground() {
            Ground::Stale(reason) => {
                count(&asked.tenant.counters.hits_stale);
                if reason == StaleReason::WhileRevalidate {
                    self.refresh_behind(asked, &key, found);
                }
            }
            _ => self.maybe_refresh_early(asked, &key, found, now),
        }
        count(&asked.tenant.counters.hits_l1);
        self.record_hit(asked, found.cached());
        Ok(self.serve_found(asked, &leave, Answered::hit(found.tier())))
    }

    async fn read(&self, asked: Arc<Asked>) -> Response<Body> {
        let (mut alone, mut joins, mut room) = (false, Joins::default(), None);
        if insists(&asked.head()) {
            joins.latest = Joined::BeforeSent;
        }
        let until = self.inner.clock.monotonic() + asked.tenant.settings.fetch_hard_deadline;
        let mut known: Option<Found> = None;
        for round in 1..=ROUNDS_MAX {
            let mut miss = match self.hit(&asked) {
                Ok(response) => return response,
                Err(miss) => miss,
            };
            // What was there in the round before can still be confirmed by the origin, though nobody else may have it.
            known = miss.basis.take().or(known).filter(|found| Self::is_visible(&asked, found));
            miss.basis.clone_from(&known);
            if round == 1 {
                count(&asked.tenant.counters.misses_l1);
            }
            if asked.directives.only_if_cached {
                return self.only_if_cached(&asked, miss.basis.as_ref()).await;
            }
            if room.is_none() {
                match self.room_to_wait(&asked) {
                    Ok(reserved) => room = Some(reserved),
                    Err(error) => {
                        let stale = self.stale_on_error(&asked, miss.basis.as_ref());
                        return stale.unwrap_or_else(|| self.origin_failed(&asked, miss.reason, &error));
                    }
                }
            }
            let of_parts = |found: &Found| found.stored().status == StatusCode::PARTIAL_CONTENT;
            let ranged = asked.fields.contains_key(RANGE) && miss.basis.as_ref().is_none_or(of_parts);
            // RFC 9111 section 5.2.2.4: what is marked no-cache answers no request that was not forwarded for validation.
            if miss.basis.as_ref().is_some_and(|found| found.stored().directives.no_cache) {
                joins.latest = Joined::BeforeSent;
            }
            alone |= ranged || round == ROUNDS_MAX || self.is_learned(&asked) || self.is_fenced(&asked);
            // On the heap: the state of a request that is answered from memory stays small, on whatever connection.
            match Box::pin(self.fetch(&asked, &miss, How { alone, ranged, joins, until })).await {
                Ok(response) => return response,
                Err(Retry::Alone) => alone = true,
                Err(Retry::Again) => {}
                Err(Retry::Unsent) => joins.latest = Joined::BeforeSent,
                Err(Retry::Unanswered) => joins.latest = joins.latest.min(Joined::WhileAsked),
                Err(Retry::Newer) => joins.not_before = asked.tenant.barriers.revision(),
            }
        }
        self.synthesized(&asked, StatusCode::SERVICE_UNAVAILABLE, Status::Refused, "abandoned")
    }

    fn is_visible(asked: &Asked, found: &Found) -> bool {
        found.cached().verdict(&asked.tenant.barriers) != Verdict::Gone
    }

    /// Whether responses to the key turned out to be for one request each.
    fn is_learned(&self, asked: &Asked) -> bool {
        self.inner.learned.contains_key(&asked.flight_key(asked.key.hash()))
    }

    /// RFC 9111 section 5.2.1.7: from a tier, or 504.
    async fn only_if_cached(&self, asked: &Arc<Asked>, basis: Option<&Found>) -> Response<Body> {
        self.hit_or_found_in_l2(asked, basis).await.unwrap_or_else(|_| self.not_cached(asked))
    }

    /// The answer to a client that accepts nothing but a stored response where there is none for it.
    pub(crate) fn not_cached(&self, asked: &Asked) -> Response<Body> {
        self.synthesized(asked, StatusCode::GATEWAY_TIMEOUT, Status::Refused, "only-if-cached")
    }

    /// Answers from L2, without a fetch, or says what is there all the same. `basis` is what L1 has, and may not serve as it
    /// is.
    pub(crate) async fn hit_or_found_in_l2(
        &self,
        asked: &Arc<Asked>,
        basis: Option<&Found>,
    ) -> Result<Response<Body>, Option<Found>> {
        if self.inner.l2.is_none() {
            return Err(None);
        }
        let found = self.look_in_l2(asked).await.filter(|found| found.is_not_in_doubt_with(basis));
        let now = self.inner.clock.now();
        let leave = found.ok_or(None).and_then(|found| {
            let soft_purged = found.soft_purged();
            to_reuse(found, &asked.head(), now, soft_purged).map_err(|(found, _)| Some(found))
        });
        let counters = &asked.tenant.counters;
        count(if leave.is_ok() { &counters.hits_l2 } else { &counters.misses_l2 });
        let leave = leave?;
        self.promote(asked, leave.what());
        self.record_hit(asked, leave.what().cached());
        Ok(self.serve_found(asked, &leave, Answered::hit(leave.what().tier())))
    }

    /// Leads the fetch of a key or waits for it, for as long as it may.
    async fn fetch(&self, asked: &Arc<Asked>, miss: &Miss, mut how: How) -> Result<Response<Body>, Retry> {
        let mut boarding = match how.alone {
            true => Boarding::Lead(Flights::alone().0),
            false => self.board(asked, &miss.key, how.joins),
        };
        loop {
            let (leads, mut waiter) = match boarding {
                Boarding::Lead(obligation) => (true, self.lead(asked, miss, how, obligation)),
                Boarding::Wait(waiter) => (false, waiter),
            };
            match self.await_flight(asked, miss.basis.as_ref(), leads, &mut waiter, how.until).await {
                Waited::Landed(Ok(landing)) => {
                    let verdict = landing.for_request(asked, waiter.joined(), self.inner.clock.now());
                    return self.answer(asked, miss, verdict);
                }
                Waited::Landed(Err(Abandoned)) => return Err(Retry::Again),
                Waited::Answered(response) => return Ok(response),
                Waited::InVain => {
                    // The one who is relieved may still hold the fleet's lease: nobody waits for that any more.
                    how.alone = true;
                    boarding = self.relieve(asked, &miss.key, how.joins, &waiter);
                }
            }
        }
    }

    /// Starts a fill; waits for it like everybody else.
    fn lead(&self, asked: &Arc<Asked>, miss: &Miss, how: How, duty: Obligation<Landing>) -> Waiter<Landing> {
        let waiter = duty.waiter();
        let fill = Fill {
            asked: Arc::clone(asked),
            key: miss.key.clone(),
            basis: miss.basis.clone(),
            validates: true,
            purpose: if how.ranged { Purpose::Part } else { Purpose::Answer },
            alone: how.alone || how.joins.latest == Joined::BeforeSent,
        };
        self.start_fill(fill, duty);
        waiter
    }

    /// Joins the flight of a key, unless what it brings may be older than a purge that is known by now; starts one else.
    pub(crate) fn board(&self, asked: &Asked, key: &CacheKey, joins: Joins) -> Boarding<Landing> {
        let now = self.begin(asked);
        let joins = |began: &Began, joined: Joined| joins.takes(asked, key, &now, began, joined);
        self.inner.flights.board(asked.flight_key(key.hash()), now, joins)
    }

    /// The same after it was waited for in vain: not the same flight again.
    fn relieve(&self, asked: &Asked, key: &CacheKey, joins: Joins, waited: &Waiter<Landing>) -> Boarding<Landing> {
        let now = self.begin(asked);
        let joins = |began: &Began, joined: Joined| joins.takes(asked, key, &now, began, joined);
        self.inner.flights.relieve(asked.flight_key(key.hash()), waited, now, joins)
    }
}

impl Joins {
    /// Whether a flight that began then, and that is joined like this, can be waited for now.
    fn takes(self, asked: &Asked, key: &CacheKey, now: &Began, began: &Began, joined: Joined) -> bool {
        began.revision >= self.not_before
            && began.losses == now.losses
            && joined <= self.latest
            && !asked.tenant.barriers.hides(key.text(), began.sequence)
    }
}
