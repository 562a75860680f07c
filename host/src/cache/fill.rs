//! A fill: one task that looks into L2, asks the origin, has the response planned, and stores it while it streams to
//! whoever waits. It belongs to no client and goes on when all of them are gone.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::flight::Obligation;
use super::judge::{Judged, Received};
use super::lease::{Came, Turn};
use super::outcome::{Arriving, Found, Outcome, Unshared};
use super::serve::CACHE;
use super::spool::spool;
use super::tail::Passing;
use crate::body::{self, Body};
use crate::consistency::Consistency;
use crate::entry::StoredResponse;
use crate::http::key::strip_unkeyed;
use crate::http::semantics::fields::append_via;
use crate::http::semantics::{
    Combined, Reuse, Times, combine, completion_fields, freshen, may_serve_on_error, origin_fields, reuse,
    selected_by_304, validation_fields,
};
use crate::key::{CacheKey, KeyHash};
use crate::origin::{Origin, OriginError, Urgency};
use crate::policy::freshness::Obstacle;
use crate::tenant::counters::{count, not_stored};

/// What is to be fetched.
pub(crate) struct Fill {
    pub(crate) asked: Arc<Asked>,
    /// The key that is fetched, as far as is known: the primary one, or a variant's.
    pub(crate) key: CacheKey,
    /// What L1 has, and may not serve as it is.
    pub(crate) basis: Option<Found>,
    pub(crate) purpose: Purpose,
    /// Nobody waits for it, here or on other nodes.
    pub(crate) alone: bool,
}

/// What a fill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A client waits.
    Answer,
    /// A client waits for a range of something of which nothing is stored: the range goes to the origin as it is.
    Part,
    /// A client was served; this is for the next ones.
    Refresh,
}

impl Cache {
    /// Runs a fill in a task of its own.
    pub(crate) fn start_fill(&self, fill: Fill, obligation: Obligation<Outcome>) {
        let cache = self.clone();
        self.inner.tasks.spawn(async move { cache.run_fill(fill, obligation).await });
    }

    async fn run_fill(&self, mut fill: Fill, obligation: Obligation<Outcome>) {
        // A refresh looks when it has its turn: what L2 has is hardly better than what L1 had.
        if fill.purpose != Purpose::Refresh
            && let Some(found) = self.first_look(&mut fill).await
        {
            return obligation.land(Outcome::Found(found));
        }
        self.keep_for_errors(&fill);
        let lease = match self.turn(&mut fill).await {
            Turn::Found(found) => return obligation.land(Outcome::Found(found)),
            Turn::Left => return,
            Turn::Mine(lease) => lease,
            Turn::Alone => {
                let began = self.begin(&fill.asked);
                self.ask_origin(fill, began, obligation).await;
                return;
            }
        };
        // After L2 was asked, which told of the purges there were before, and before the origin is: a purge from here on
        // makes invisible what comes.
        let began = Began { token: Some(lease.token()), ..self.begin(&fill.asked) };
        let came = lease.during(self.ask_origin(fill, began, obligation)).await;
        self.give_back(lease, came).await;
    }

    async fn first_look(&self, fill: &mut Fill) -> Option<Found> {
        self.inner.l2.as_ref()?;
        let found = self.look(fill).await;
        let counters = &fill.asked.tenant.counters;
        count(if found.is_some() { &counters.hits_l2 } else { &counters.misses_l2 });
        found
    }

    /// What L2 has and may not be served as it is may still be, when the origin fails or takes long: by all who wait.
    fn keep_for_errors(&self, fill: &Fill) {
        let now = self.inner.clock.now();
        if let Some(basis) = &fill.basis
            && basis.tier != super::outcome::L1
            && basis.cached.response().is_some_and(|stored| stored.useless_after(Duration::ZERO) > now)
        {
            self.promote(&fill.asked, basis);
        }
    }

    /// Whether what L2 has can be served as it is.
    pub(crate) fn is_reusable(&self, asked: &Asked, found: &Found) -> bool {
        let now = self.inner.clock.now();
        found.cached.response().is_some_and(|stored| {
            matches!(reuse(stored, &asked.head(), now, found.soft_purged), Reuse::Fresh | Reuse::Stale(_))
        })
    }

    pub(super) async fn ask_origin(&self, fill: Fill, began: Began, obligation: Obligation<Outcome>) -> Came {
        let asked = &fill.asked;
        let basis = fill.basis.as_ref().and_then(|found| found.cached.response());
        let (requested, started) = (self.inner.clock.now(), self.inner.clock.monotonic());
        let answer = asked.tenant.origin.fetch(asked.origin_request(basis, fill.purpose)).await;
        let refused = answer.as_ref().err().is_some_and(OriginError::is_refusal);
        if fill.purpose == Purpose::Refresh && !refused {
            count(&asked.tenant.counters.origin_refreshes);
        }
        let response = match answer {
            Ok(response) => response,
            Err(error) => {
                asked.tell_of(&error);
                // A refresh that was not even sent is no failure of those who have come to wait for it: the obligation,
                // dropped, goes to one of them.
                if fill.purpose != Purpose::Refresh || !refused {
                    obligation.land(Outcome::Failed(Arc::new(error)));
                }
                return Came::ToAnEnd;
            }
        };
        let times = Times { requested, received: self.inner.clock.now() };
        let fetch_time = self.inner.clock.monotonic().saturating_sub(started);
        let now = times.received;
        match (response.status(), fill.basis.as_ref().zip(basis)) {
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some((_, basis)))
                if fill.purpose != Purpose::Part && basis.status == StatusCode::PARTIAL_CONTENT =>
            {
                self.complete(fill, response, times, fetch_time, began, obligation).await
            }
            // Section 4.3.4: a 304 that names other content "MUST NOT" freshen what is stored; all of it is fetched.
            (StatusCode::NOT_MODIFIED, Some((_, basis)))
                if selected_by_304(&[basis], response.headers()).is_empty() =>
            {
                let whole = Fill { basis: None, ..fill };
                Box::pin(self.ask_origin(whole, began, obligation)).await
            }
            (StatusCode::NOT_MODIFIED, Some((_, basis))) => {
                count(&asked.tenant.counters.origin_validated);
                let freshened =
                    self.freshened(asked, basis, &freshen(basis, response.headers(), times), times, began.sequence);
                let found = self.store_or_keep(asked, freshened, began).await;
                obligation.land(Outcome::Validated(found));
                Came::ToAnEnd
            }
            (status, Some((found, basis)))
                if is_error(status) && may_serve_on_error(basis, &asked.head(), now, found.soft_purged) =>
            {
                obligation.land(Outcome::ErrorStatus(Unshared::new(response, not_stored::STALE_IF_ERROR)));
                Came::ToAnEnd
            }
            _ => self.take_in(fill, response, times, fetch_time, began, obligation).await,
        }
    }

    /// Has a response judged, hands it to those who wait and stores it if it may be.
    pub(crate) async fn take_in(
        &self,
        fill: Fill,
        response: Response<Body>,
        times: Times,
        fetch_time: Duration,
        began: Began,
        mut obligation: Obligation<Outcome>,
    ) -> Came {
        let asked = &fill.asked;
        let (head, content) = response.into_parts();
        let body_bytes = content.size_hint().exact();
        let received = Received { status: head.status, fields: &head.headers, body_bytes, times, fetch_time };
        let mut judged = self.judge(asked, &received, began.sequence);
        judged.stored.version = self.version_of(asked, &judged.stored, &began);
        let outdated = judged.obstacle.is_none() && self.is_outdated(&asked.tenant, &judged.stored);
        if outdated && let Some(newer) = self.look_in_l2(asked).await.filter(|found| self.is_reusable(asked, found)) {
            self.promote(asked, &newer);
            obligation.land(Outcome::Found(newer));
            return Came::ToAnEnd;
        }
        if outdated {
            judged.obstacle = Some(not_stored::OLDER_VERSION);
            asked.tenant.counters.reasons.count(not_stored::OLDER_VERSION);
        }
        let unasked_part = head.status == StatusCode::PARTIAL_CONTENT && fill.purpose != Purpose::Part;
        if let Some(reason) = judged.obstacle.or(unasked_part.then_some(not_stored::UNASKED_PART)) {
            if reason != not_stored::OLDER_VERSION {
                self.learn_unshared(asked, reason);
            }
            obligation.land(Outcome::Unshared(Unshared::new(Response::from_parts(head, content), reason)));
            let passing = is_of_the_request(reason) || reason == not_stored::OLDER_VERSION;
            return if passing { Came::ToAnEnd } else { Came::Unshared };
        }
        self.learn_shared(&fill);
        let tail = self.room_for(asked, body_bytes);
        let arriving = Arc::new(Arriving {
            stored: judged.stored,
            received: head.headers,
            vary: judged.vary,
            body_bytes,
            unstored: tail.passes().map(Passing::as_str),
            tail: Arc::clone(&tail),
            recorded_later: AtomicU64::new(0),
        });
        if !arriving.vary.is_empty() {
            // From here on others know by what the response was selected, and come to this flight by it.
            self.announce_variants(asked, &arriving.vary, began);
            obligation.rekey(KeyHash::of(&arriving.stored.key));
        }
        obligation.land(Outcome::Arriving(Arc::clone(&arriving)));
        let whole = spool(content, &tail, &mut obligation, asked).await.then(|| tail.complete()).flatten();
        let came = if whole.is_none() && tail.passes().is_some() { Came::Unshared } else { Came::ToAnEnd };
        if let Some(content) = whole {
            let stored = StoredResponse { body: content, ..arriving.stored.clone() };
            let found = self.store(asked, &arriving.vary, self.with_stored_part(asked, stored), began).await;
            self.record_fill(&fill, &found.cached, &arriving);
        }
        asked.tenant.counters.waiters_cut.fetch_add(tail.cut(), std::sync::atomic::Ordering::Relaxed);
        came
    }

    /// A part together with what is stored already (RFC 9111 section 3.4); anything else as it is.
    fn with_stored_part(&self, asked: &Asked, new: StoredResponse) -> StoredResponse {
        if new.status != StatusCode::PARTIAL_CONTENT {
            return new;
        }
        let old = asked.tenant.memory.peek(KeyHash::of(&new.key));
        match old.as_deref().and_then(super::Cached::response).map(|old| combine(old, &new)) {
            Some(Combined::Complete(whole)) | Some(Combined::Part(whole)) => whole,
            Some(Combined::Apart) | None => new,
        }
    }

    /// The stored response with the fields that a 304 or a HEAD has freshened (RFC 9111 section 4.3.4 and 4.3.5), planned
    /// anew. What it took to fetch it whole is still what it would cost to lose it.
    pub(crate) fn freshened(
        &self,
        asked: &Asked,
        basis: &StoredResponse,
        fields: &HeaderMap,
        times: Times,
        sequence: u64,
    ) -> Judged {
        let (status, fetch_time) = (basis.status, basis.fetch_time);
        let received = Received { status, fields, body_bytes: Some(basis.body.len() as u64), times, fetch_time };
        let mut judged = self.judge(asked, &received, sequence);
        judged.stored.body = basis.body.clone();
        judged
    }

    /// Stores a freshened response; one that may not be stored any more serves those who wait and is forgotten. What only
    /// this request forbids to store stays as it was: no client can empty the cache so.
    pub(crate) async fn store_or_keep(&self, asked: &Asked, judged: Judged, began: Began) -> Found {
        let Some(reason) = judged.obstacle else {
            return self.store(asked, &judged.vary, judged.stored, began).await;
        };
        if is_of_the_request(reason) {
            return self.unstored(judged.stored, began);
        }
        let key = super::store::key_for(asked, &judged.vary);
        asked.tenant.memory.remove(key.hash(), crate::tier::memory::Departure::Purged, self.inner.clock.now());
        if let Some(l2) = &self.inner.l2
            && l2.remove(&key).await.is_err()
        {
            count(&asked.tenant.counters.l2_errors);
        }
        self.unstored(judged.stored, began)
    }

    /// A response that is served as if it were stored.
    fn unstored(&self, response: StoredResponse, began: Began) -> Found {
        let entry = crate::entry::Entry::Response(response);
        let cached = super::Cached::new(entry, 0, began, Consistency::default(), &self.inner.budget);
        Found { cached: Arc::new(cached), soft_purged: false, tier: super::outcome::L1 }
    }

    /// Nobody waits for another's fetch of this key for a while: the response is for one request only.
    fn learn_unshared(&self, asked: &Asked, reason: &'static str) {
        tracing::debug!(tenant = &*asked.tenant.name, target = asked.target, reason, "not stored");
        self.inner.learned.insert(asked.key.hash(), ());
    }

    /// From now on others wait for the fetch of this key again.
    fn learn_shared(&self, fill: &Fill) {
        if self.inner.learned.contains_key(&fill.asked.key.hash()) {
            self.inner.learned.invalidate(&fill.asked.key.hash());
            let (cache, key) = (self.clone(), fill.key.clone());
            self.inner.tasks.spawn(async move {
                if let Some(fleet) = cache.fleet() {
                    fleet.leases().share(&key).await;
                }
            });
        }
    }
}

/// Whether it is not the response that forbids to store it, but what was asked for.
fn is_of_the_request(reason: &str) -> bool {
    [Obstacle::RequestNoStore, Obstacle::Authorization].map(Obstacle::as_str).contains(&reason)
}

impl Asked {
    /// The request that gets a whole response that may be stored: without the client's own conditions and ranges, with
    /// those that validate what is stored (RFC 9111 section 4.3.1).
    fn origin_request(&self, basis: Option<&StoredResponse>, purpose: Purpose) -> Request<Body> {
        let mut fields = origin_fields(&self.fields);
        for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE] {
            fields.remove(name);
        }
        if purpose != Purpose::Part {
            fields.remove(IF_RANGE);
            fields.remove(RANGE);
        }
        append_via(&mut fields, Version::HTTP_11, CACHE);
        strip_unkeyed(&self.tenant.settings.key, &mut fields);
        match basis {
            Some(part) if part.status == StatusCode::PARTIAL_CONTENT && purpose == Purpose::Part => {}
            Some(part) if part.status == StatusCode::PARTIAL_CONTENT => drop(completion_fields(part, &mut fields)),
            Some(basis) => validation_fields(&[basis], &mut fields),
            None => {}
        }
        let mut request = Request::new(body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.origin_uri();
        *request.headers_mut() = fields;
        match purpose {
            Purpose::Refresh => drop(request.extensions_mut().insert(Urgency::Background)),
            Purpose::Answer | Purpose::Part => self.takes_interim(&mut request),
        }
        request
    }

    /// The target as the key holds it, on the site of the request.
    pub(crate) fn origin_uri(&self) -> http::Uri {
        let absolute = format!("{}{}", self.site, self.target);
        absolute.parse().unwrap_or_else(|_| self.uri.clone())
    }
}

/// RFC 5861 section 4: these four, and no response at all, are errors.
fn is_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 500 | 502 | 503 | 504)
}
