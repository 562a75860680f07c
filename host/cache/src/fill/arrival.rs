//! A response is taken in: judged, handed to those who wait, and stored while it streams to them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::StatusCode;
use http_body::Body as _;
use sandbar_base::memory_budget::Content;
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::KeyHash;
use sandbar_http::semantics::standing::is_particular;
use sandbar_http::semantics::{outgrows, taken_in};

use crate::barrier::Verdict;
use crate::body::Body;
use crate::cached::{Began, Cached};
use crate::collapse::fetch::Obligation;
use crate::collapse::outcome::{Outcome, Unshared};
use crate::fill::lease::Came;
use crate::fill::{Fetched, Fill, Fills};
use crate::ingest::Arriving;
use crate::not_stored::NotStored;
use crate::origin::Sound;
use crate::request::{CacheRequest, Purpose};
use crate::storability::{Received, Shareable, Storability, Withheld};

impl Fills {
    /// Has a response judged, hands it to those who wait and stores it if it may be.
    pub(crate) async fn take_in(
        &self,
        fill: Fill,
        fetched: Fetched,
        began: Began,
        obligation: Obligation<Outcome>,
    ) -> Came {
        let request = &fill.request;
        let Fetched { response, times, fetch_time } = fetched;
        let body_bytes = response.body().size_hint().exact();
        let (status, fields) = (response.status(), response.headers());
        let received = Received { status, fields, body_bytes, times, fetch_time };
        let judged = request.storability(&received, began.sequence);
        if self.outgrows(&fill, &judged) {
            withhold(request, response, NotStored::TooLarge, obligation);
            return Came::ToAnEnd;
        }
        let shareable = match judged.and_then(|shareable| self.accepted(&fill, shareable, &began)) {
            Ok(shareable) => shareable,
            Err(withheld) if withheld.why == NotStored::OlderVersion => {
                return self.give_newer(request, response, obligation).await;
            }
            Err(withheld) => {
                let standing = self.settle(&fill, status, withheld.why).await;
                let parts_others = self.learn_if_unshared(request, withheld.why, standing);
                withhold(request, response, withheld.why, obligation);
                let unshared = parts_others && !withheld.why.is_of_the_request();
                return if unshared { Came::Unshared } else { Came::ToAnEnd };
            }
        };
        self.learn_shared(request, &fill.key);
        self.arrive(fill, shareable, response, began, obligation).await
    }

    /// What stands against a response beside the standard: a newer one is known, or it is about more than what it would
    /// answer.
    fn accepted(&self, fill: &Fill, shareable: Shareable, began: &Began) -> Storability {
        let request = &fill.request;
        let version = self.store.version_of(request, shareable.stored(), began);
        let shareable = shareable.with(|stored| StoredResponse { version, ..stored });
        let status = shareable.stored().status;
        let conditional = fill.validates && fill.basis.is_some();
        let why = if self.store.is_outdated(&request.tenant, shareable.stored()) {
            NotStored::OlderVersion
        } else if status == StatusCode::PARTIAL_CONTENT && fill.purpose != Purpose::Part {
            NotStored::UnaskedPart
        } else if is_particular(status, fill.purpose == Purpose::Part, conditional) {
            NotStored::ParticularError
        } else {
            return Ok(shareable);
        };
        let (stored, _vary) = shareable.into_parts();
        Err(Withheld { stored: Box::new(stored), why })
    }

    /// An answer that is older than what is known: those who wait get the newer one, if L2 has it.
    async fn give_newer(&self, request: &Arc<CacheRequest>, response: Sound, obligation: Obligation<Outcome>) -> Came {
        let newer = self.store.look_in_l2(request).await.filter(|found| self.store.is_reusable(request, found));
        match newer {
            Some(newer) => {
                request.tenant.counters.withheld(NotStored::OlderVersion);
                self.store.promote(request, &newer);
                obligation.fulfil(Outcome::found(request, newer));
            }
            None => withhold(request, response, NotStored::OlderVersion, obligation),
        }
        Came::ToAnEnd
    }

    /// Has a response arrive: announced to those who wait, streamed to them, and stored once it is whole.
    async fn arrive(
        &self,
        fill: Fill,
        shareable: Shareable,
        response: Sound,
        began: Began,
        mut obligation: Obligation<Outcome>,
    ) -> Came {
        let request = &fill.request;
        let (head, content) = response.into_response().into_parts();
        let arriving = self.ingest.arriving(request, shareable, head.headers, content.size_hint().exact());
        if !arriving.shareable().vary().is_empty() {
            // From here on others know by what the response was selected, and come to this fetch by it.
            self.store.announce_variants(request, arriving.shareable().vary(), began);
            obligation.rekey(request.collapse_key(KeyHash::of(&arriving.shareable().stored().key)));
        }
        if self.stream(&fill, &arriving, content, began, obligation).await {
            return Came::ToAnEnd;
        }
        let Some(passing) = arriving.tail.passes() else { return Came::ToAnEnd };
        if head.status != StatusCode::PARTIAL_CONTENT {
            self.settle(&fill, head.status, passing.into()).await;
        }
        Came::Unshared
    }

    /// Streams what arrives to those who wait, and stores it; true where all of it came and was kept.
    pub(super) async fn stream(
        &self,
        fill: &Fill,
        arriving: &Arc<Arriving>,
        content: Body,
        began: Began,
        mut obligation: Obligation<Outcome>,
    ) -> bool {
        obligation.fulfil(Outcome::arriving(&fill.request, arriving));
        let Some(body) = self.ingest.stream(&fill.request, arriving, content, || obligation.close()).await else {
            return false;
        };
        self.store_arrived(fill, arriving, body, began).await;
        true
    }

    /// Stores what has arrived; a part together with what is stored already (RFC 9111 section 3.4), or not.
    async fn store_arrived(&self, fill: &Fill, arriving: &Arriving, body: Content, began: Began) {
        let shareable = arriving.shareable().clone().with(|stored| StoredResponse { body, ..stored });
        if let Some(shareable) = shareable.with_if(|stored| self.with_stored_parts(fill, stored)) {
            let found = self.store.put(&fill.request, shareable, began).await;
            self.record(fill, found.cached(), arriving);
        }
    }

    /// Has a fill recorded that has stored a response: for the request that caused it, if one did, and for those that
    /// waited for it.
    fn record(&self, fill: &Fill, cached: &Cached, arriving: &Arriving) {
        if fill.request.tenant.tap.is_open() {
            let leader = u64::from(fill.purpose != Purpose::Refresh);
            let times = leader + arriving.recorded_later.swap(0, Ordering::Relaxed);
            fill.request.record_times(cached, times, self.clock.now());
        }
    }

    fn with_stored_parts(&self, fill: &Fill, new: StoredResponse) -> Option<StoredResponse> {
        if new.status != StatusCode::PARTIAL_CONTENT {
            return Some(new);
        }
        let old = self.stored_parts(fill, &new.key);
        taken_in(old.as_deref().and_then(Cached::response), new, fill.request.tenant.settings.body_bytes_max)
    }

    /// Whether what is stored would be more than may be with a part of the same representation. Then the part is passed on,
    /// and what is stored stays.
    fn outgrows(&self, fill: &Fill, judged: &Storability) -> bool {
        let part = match judged {
            Ok(shareable) => shareable.stored(),
            Err(withheld) if withheld.why == NotStored::TooLarge => &*withheld.stored,
            Err(_) => return false,
        };
        let bytes_max = fill.request.tenant.settings.body_bytes_max;
        fill.purpose == Purpose::Part
            && part.status == StatusCode::PARTIAL_CONTENT
            && self
                .stored_parts(fill, &part.key)
                .is_some_and(|old| old.response().is_some_and(|old| outgrows(old, part, bytes_max)))
    }

    /// What is stored under a key, in L1 or else where the fill has found it, and has not been purged since.
    fn stored_parts(&self, fill: &Fill, key: &Arc<str>) -> Option<Arc<Cached>> {
        let tenant = &fill.request.tenant;
        let usable = |cached: &Arc<Cached>| {
            cached.entry.key() == key
                && !cached.is_ended()
                && cached.verdict(&tenant.barriers) != Verdict::Gone
                && self.peers.vouches_for(tenant, cached)
        };
        let below = || fill.basis.as_ref().map(|found| Arc::clone(found.cached()));
        tenant.memory.peek(KeyHash::of(key)).filter(usable).or_else(|| below().filter(usable))
    }
}

/// Gives a response to the request that caused its fetch, and to nobody else.
fn withhold(request: &Arc<CacheRequest>, response: Sound, why: NotStored, obligation: Obligation<Outcome>) {
    request.tenant.counters.withheld(why);
    obligation.fulfil(Outcome::unshared(request, Unshared::new(response.into_response(), why)));
}
