//! Storing: a response under its key, and beside it the list of fields that select among the variants.

pub(crate) mod found;
mod l2;
pub(crate) mod lookup;
mod replan;
mod versions;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbar_base::clock::{Clock, Timestamp};
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_http::entry::{Entry, StoredResponse, Variants};
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Reuse, reuse, useless_after};
use sandbar_memory::{Facts, Removal};

use crate::barrier::Verdict;
use crate::cached::{Began, Cached, Decoded};
use crate::commons::Commons;
use crate::consistency::Consistency;
use crate::events::{Unstored, What};
use crate::not_stored::NotStored;
use crate::peers::Peers;
use crate::request::{CacheRequest, key_for};
use crate::storability::Shareable;
use crate::store::found::{Found, L1};
use crate::tenant::counters::count;
use crate::tier::BarrierStore;
use crate::tier::Tier;

/// The stored responses of all tenants, in L1 and L2.
pub(crate) struct Store {
    pub(crate) l2: Option<Arc<dyn Tier>>,
    /// Where barriers are recorded so that they outlive the process; it belongs to the L2.
    pub(crate) barriers: Option<Arc<dyn BarrierStore>>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) budget: Arc<MemoryBudget>,
    /// What the tenants without a share of L1 have together.
    pub(crate) commons: Arc<Commons>,
}

impl Store {
    /// The beginning of a fill or a lookup: notes what is known of purges now, before L2 or the origin is asked.
    pub(crate) fn begin(&self, request: &CacheRequest) -> Began {
        let barriers = &request.tenant.barriers;
        // Losses and revision first: a purge that comes in between makes this beginning too old rather than too recent.
        let (losses, revision) = (barriers.losses(), barriers.revision());
        let (at, clock_us) = (self.clock.monotonic(), self.clock.now().as_millis().saturating_mul(1000));
        let floor_us = request.tenant.versions.floor_us();
        let (sequence, edition) = (barriers.current(), request.tenant.edition.number());
        Began { sequence, edition, revision, losses, at, clock_us, floor_us, token: None }
    }

    /// Whether what is fetched for a request may be stored: not where its tenant has other settings by now, nor where
    /// another process has taken this one's place.
    pub(crate) fn takes_in(&self, request: &CacheRequest) -> bool {
        request.tenant.edition.is_present() && !self.peers.is_retired()
    }

    /// Stores a response in the tiers of its plan, unless it was purged since its fill began or a newer version is
    /// known. Returns what L1 holds, or would hold.
    pub(crate) async fn put(&self, request: &CacheRequest, shareable: Shareable, began: Began) -> Found {
        self.put_as(request, shareable, None, began).await
    }

    /// Like [`Self::put`]; L1 holds a value as it is used, L2 holds its bytes.
    pub(crate) async fn put_as(
        &self,
        request: &CacheRequest,
        shareable: Shareable,
        decoded: Option<Decoded>,
        began: Began,
    ) -> Found {
        let (stored, vary) = shareable.into_parts();
        let (mut stored, began) = self.as_of(request, stored, began);
        stored.version = self.version_of(request, &stored, &began);
        let plan_epoch = request.tenant.plan_epoch.load(Ordering::Acquire);
        let (l1, l2) = (stored.plan.l1, stored.plan.l2 && self.l2.is_some());
        let until = useless_after(&stored, request.tenant.settings.keep_for_validation);
        let key = key_for(request, &vary);
        let (consistency, budget) = (request.consistency(), &self.budget);
        let stored = Entry::Response(stored);
        let encoded = (decoded.is_some() && l2).then(|| Arc::new(stored.clone()));
        let cached = Arc::new(Cached::holding(stored, decoded, plan_epoch, began, consistency, budget));
        let found = Found::under(&key, Arc::clone(&cached), L1).expect("it was judged for this request");
        if !self.takes_in(request) {
            request.tenant.events.tell_of(&cached, What::NotStored(Unstored::Purged));
            return found;
        }
        if cached.verdict(&request.tenant.barriers) == Verdict::Gone {
            count(&request.tenant.counters.fills_purged);
            request.tenant.events.tell_of(&cached, What::NotStored(Unstored::Purged));
            return found;
        }
        if cached.response().is_some_and(|stored| self.is_outdated(&request.tenant, stored)) {
            request.tenant.events.tell_of(&cached, What::NotStored(NotStored::OlderVersion.into()));
            return found;
        }
        count(&request.tenant.counters.stored);
        if let Some(stored) = cached.response() {
            self.note_version(&request.tenant, stored);
        }
        let marker = (!vary.is_empty()).then(|| self.variants_with(request, &vary, cached.entry.sequence()));
        if l1 {
            if let Some(marker) = &marker {
                let marker =
                    Cached::new(Entry::Variants(marker.clone()), plan_epoch, began, cached.consistency, budget);
                self.put_in_l1(request, &request.key, Arc::new(marker), until);
            }
            let is_in = self.put_in_l1(request, &key, Arc::clone(&cached), until);
            // Memory itself tells of an entry that it did not admit.
            if is_in || !cached.is_charged() {
                let what = if is_in { What::Stored { tier: L1 } } else { What::NotStored(NotStored::NoRoom.into()) };
                request.tenant.events.tell_of(&cached, what);
            }
        }
        if l2 {
            let encoded = encoded.unwrap_or_else(|| Arc::new(cached.entry.clone()));
            self.put_in_l2(request, &key, &cached, encoded, marker, until).await;
        }
        found
    }

    /// Puts a response from L2 into L1, if its plan and the node's memory allow it and no newer version is known.
    pub(crate) fn promote(&self, request: &CacheRequest, found: &Found) {
        let response = found.stored();
        if response.plan.l1
            && !self.is_outdated(&request.tenant, response)
            && (found.tier() == L1 || !self.budget.is_exhausted())
        {
            self.note_version(&request.tenant, response);
            let (key, cached) = (CacheKey::stored_as(&response.key), found.cached());
            let until = useless_after(response, request.tenant.settings.keep_for_validation);
            if self.put_in_l1(request, &key, Arc::clone(cached), until) {
                request.tenant.events.tell_of(cached, What::Promoted);
            }
        }
    }

    /// Removes the entry under a key from L1 and L2, as the origin no longer has the response. Other nodes that hold
    /// the entry in memory find out when they ask the origin.
    pub(crate) async fn forget(&self, request: &CacheRequest, key: &CacheKey) {
        request.tenant.memory.remove(key.hash(), Removal::Ended, self.clock.now());
        if let Some(l2) = &self.l2
            && l2.remove(key).await.is_err()
        {
            count(&request.tenant.counters.l2_errors);
        }
    }

    /// Puts a list of variants into L1, for an hour at most, so that the next lookup finds it there.
    pub(crate) fn remember_variants(&self, request: &CacheRequest, variants: Arc<Cached>) {
        let until = self.clock.now().saturating_add(Duration::from_secs(3600));
        self.put_in_l1(request, &request.key, variants, until);
    }

    /// Puts the list of the key's variants into L1 before the first of the responses is complete.
    pub(crate) fn announce_variants(&self, request: &CacheRequest, vary: &[String], began: Began) {
        let variants = Entry::Variants(self.variants_with(request, vary, began.sequence));
        self.remember_variants(request, Arc::new(Cached::new(variants, 0, began, request.consistency(), &self.budget)));
    }

    /// Puts an entry into L1, in place of an older one of its key; false where it was not taken in.
    fn put_in_l1(&self, request: &CacheRequest, key: &CacheKey, cached: Arc<Cached>, until: Timestamp) -> bool {
        if !cached.is_charged() {
            count(&request.tenant.counters.no_room);
            // There is no memory for this entry, but an older one must not be served in its place.
            request.tenant.memory.remove(key.hash(), Removal::NoRoom, self.clock.now());
            return false;
        }
        if !self.takes_in(request) {
            return false;
        }
        let (expires, fetch_time) = match &cached.entry {
            Entry::Response(response) => (response.expires(), response.fetch_time),
            Entry::Variants(_) => (until, Duration::ZERO),
        };
        let facts = Facts {
            weight_bytes: cached.weight_bytes(),
            fetch_cost_us: u64::try_from(fetch_time.as_micros()).unwrap_or(u64::MAX),
            expires,
        };
        self.commons.make_room(&request.tenant, facts.weight_bytes);
        let now = self.clock.now();
        let is_in = request.tenant.memory.insert(key.hash(), Arc::clone(&cached), facts, now);
        if cached.response().is_some_and(|stored| self.is_outdated(&request.tenant, stored)) {
            // A newer version became known while this one was being inserted.
            request.tenant.memory.remove_if(key.hash(), Removal::Outdated, now, |held| Arc::ptr_eq(held, &cached));
        }
        is_in
    }

    /// A response that is not stored, in the form of one that was found, so that it can be served like one.
    pub(crate) fn unstored(&self, response: StoredResponse, began: Began) -> Found {
        self.unstored_as(response, None, began)
    }

    /// Like [`Self::unstored`], with a value as it is used.
    pub(crate) fn unstored_as(&self, response: StoredResponse, decoded: Option<Decoded>, began: Began) -> Found {
        let (key, consistency) = (CacheKey::stored_as(&response.key), Consistency::default());
        let cached = Cached::holding(Entry::Response(response), decoded, 0, began, consistency, &self.budget);
        Found::under(&key, Arc::new(cached), L1).expect("a response under its own key")
    }

    /// Whether a response that was found may be served as it is.
    pub(crate) fn is_reusable(&self, request: &CacheRequest, found: &Found) -> bool {
        let now = self.clock.now();
        matches!(reuse(found.stored(), &request.head(), now, found.soft_purged()), Reuse::Fresh | Reuse::Stale(_))
    }

    /// The list of the key's variants, with `vary` as the newest set of fields.
    fn variants_with(&self, request: &CacheRequest, vary: &[String], sequence: u64) -> Variants {
        let known = request.tenant.memory.peek(request.key.hash());
        let mut sets = vec![vary.to_vec()];
        if let Some(Cached { entry: Entry::Variants(known), .. }) = known.as_deref() {
            sets.extend(known.sets.iter().filter(|set| *set != vary).cloned());
        }
        sets.truncate(Variants::SETS_MAX);
        Variants { key: request.key.shared_text(), sets, sequence }
    }
}
