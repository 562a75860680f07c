//! A response is taken in: judged, handed to those who wait, and stored while it streams to them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::{HeaderMap, Response, StatusCode};
use http_body::Body as _;

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::fill::{Fetched, Fill, Purpose};
use super::flight::Obligation;
use super::judge::{Judged, Received};
use super::lease::Came;
use super::outcome::{Arriving, Found, Outcome, Unshared};
use super::spool::spool;
use super::tail::Passing;
use crate::consistency::Consistency;
use crate::entry::StoredResponse;
use crate::http::semantics::{Combined, Times, combine};
use crate::key::KeyHash;
use crate::policy::freshness::Obstacle;
use crate::tenant::counters::{count, not_stored};

impl Cache {
    /// Has a response judged, hands it to those who wait and stores it if it may be.
    pub(crate) async fn take_in(
        &self,
        fill: Fill,
        fetched: Fetched,
        began: Began,
        mut obligation: Obligation<Outcome>,
    ) -> Came {
        let asked = &fill.asked;
        let Fetched { response, times, fetch_time } = fetched;
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
