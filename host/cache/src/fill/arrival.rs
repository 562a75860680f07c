//! Taking in a response: it is checked for storability, given to the waiters, and stored while it streams to them.

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
use crate::collapse::outcome::{FetchOutcome, Unshared};
use crate::events::Unstored;
use crate::fill::lease::FetchEnd;
use crate::fill::{Fetched, Fill, Fills};
use crate::ingest::Arriving;
use crate::not_stored::NotStored;
use crate::origin::Sound;
use crate::request::{CacheRequest, Purpose};
use crate::storability::{Shareable, Storability, Withheld};

impl Fills {
    /// Gives a response to the waiters, and stores it if it may be, by its `storability`.
    pub(crate) async fn take_in(
        &self,
        fill: Fill,
        fetched: Fetched,
        storability: Storability,
        began: Began,
        obligation: Obligation<FetchOutcome>,
    ) -> FetchEnd {
        let request = &fill.request;
        let response = fetched.response;
        let status = response.status();
        if self.outgrows(&fill, &storability) {
            withhold(request, response, NotStored::TooLarge, obligation);
            return FetchEnd::Done;
        }
        let shareable = match storability.and_then(|shareable| self.accepted(&fill, shareable, &began)) {
            Ok(shareable) => shareable,
            Err(withheld) if withheld.why == NotStored::OlderVersion => {
                return self.give_newer(request, response, obligation).await;
            }
            Err(withheld) => {
                let standing = self.settle(&fill, status, withheld.why).await;
                let parts_others = self.learn_if_unshared(request, withheld.why, standing);
                withhold(request, response, withheld.why, obligation);
                let unshared = parts_others && !withheld.why.is_of_the_request();
                return if unshared { FetchEnd::Unshared } else { FetchEnd::Done };
            }
        };
        self.learn_shared(request, &fill.key);
        self.arrive(fill, shareable, response, began, obligation).await
    }

    /// Checks what stands against storing a response beside RFC 9111 and the policy: a newer version is known, it is a
    /// part that nobody asked for, or an error that may be about a range or a condition only.
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

    /// A response is older than a known version: the waiters get the newer version, if L2 has it.
    async fn give_newer(
        &self,
        request: &Arc<CacheRequest>,
        response: Sound,
        obligation: Obligation<FetchOutcome>,
    ) -> FetchEnd {
        let newer = self.store.look_in_l2(request).await.filter(|found| self.store.is_reusable(request, found));
        match newer {
            Some(newer) => {
                request.withheld(NotStored::OlderVersion);
                self.store.promote(request, &newer);
                obligation.fulfil(FetchOutcome::found(request, newer));
            }
            None => withhold(request, response, NotStored::OlderVersion, obligation),
        }
        FetchEnd::Done
    }

    /// Announces a storable response to the waiters, streams it to them, and stores it once it is complete.
    async fn arrive(
        &self,
        fill: Fill,
        shareable: Shareable,
        response: Sound,
        began: Began,
        mut obligation: Obligation<FetchOutcome>,
    ) -> FetchEnd {
        let request = &fill.request;
        let (head, content) = response.into_response().into_parts();
        let arriving = self.ingest.arriving(request, shareable, head.headers, content.size_hint().exact());
        if !arriving.shareable().vary().is_empty() {
            // From here on other requests know what selects the response, and find this fetch by its variant's key.
            self.store.announce_variants(request, arriving.shareable().vary(), began);
            obligation.rekey(request.collapse_key(KeyHash::of(&arriving.shareable().stored().key)));
        }
        if self.stream(&fill, &arriving, content, began, obligation).await {
            return FetchEnd::Done;
        }
        let Some(unkept) = arriving.tail.why_unkept() else { return FetchEnd::Done };
        if head.status != StatusCode::PARTIAL_CONTENT {
            self.settle(&fill, head.status, unkept.into()).await;
        }
        FetchEnd::Unshared
    }

    /// Streams an arriving response to the waiters, and stores it; true if all of it came and was kept.
    pub(super) async fn stream(
        &self,
        fill: &Fill,
        arriving: &Arc<Arriving>,
        content: Body,
        began: Began,
        mut obligation: Obligation<FetchOutcome>,
    ) -> bool {
        obligation.fulfil(FetchOutcome::arriving(&fill.request, arriving));
        let Some(body) = self.ingest.stream(&fill.request, arriving, content, || obligation.close()).await else {
            return false;
        };
        self.store_arrived(fill, arriving, body, began).await;
        true
    }

    /// Stores a response that has arrived. A part is combined with what is stored already (RFC 9111 section 3.4), or
    /// not stored: see [`taken_in`].
    async fn store_arrived(&self, fill: &Fill, arriving: &Arriving, body: Content, began: Began) {
        let shareable = arriving.shareable().clone().with(|stored| StoredResponse { body, ..stored });
        let Some(shareable) = shareable.with_if(|stored| self.with_stored_parts(fill, stored)) else {
            return fill.request.unstored(Unstored::LonePart);
        };
        let found = self.store.put(&fill.request, shareable, began).await;
        self.record(fill, found.cached(), arriving);
    }

    /// Records the traffic of a fill that has stored a response: the request that caused it, unless it is a refresh,
    /// and the requests that waited for it.
    fn record(&self, fill: &Fill, cached: &Cached, arriving: &Arriving) {
        if fill.request.tenant.recording_point.is_open() {
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

    /// Whether the stored parts would exceed the bound on bodies with this part of the same representation. The part is
    /// then forwarded without being stored, and the stored parts stay.
    fn outgrows(&self, fill: &Fill, storability: &Storability) -> bool {
        let part = match storability {
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

    /// The entry under a key, from L1 or else the fill's basis, if it is neither purged nor ended, and is vouched for.
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

/// Gives a response to the request that caused its fetch, and to no other.
fn withhold(request: &Arc<CacheRequest>, response: Sound, why: NotStored, obligation: Obligation<FetchOutcome>) {
    request.withheld(why);
    obligation.fulfil(FetchOutcome::unshared(request, Unshared::new(response.into_response(), why)));
}
