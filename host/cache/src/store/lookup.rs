//! Looking a request up: the primary key, then the variant that its selecting fields name (RFC 9111 section 4.1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::Entry;
use sandbar_http::key::{CacheKey, KeyHash};
use sandbar_memory::Removal;

use super::Store;
use crate::barrier::Verdict;
use crate::cached::{Began, Cached};
use crate::request::{CacheRequest, variant_keys};
use crate::store::found::{Found, L1};
use crate::tenant::Tenant;
use crate::tenant::counters::count;
use crate::tier::Tier;

/// The result of a lookup.
pub(crate) struct Looked {
    /// The key that the response is, or would be, stored under as far as is known.
    pub(crate) key: CacheKey,
    /// The stored response, if there is one.
    pub(crate) found: Option<Found>,
    /// Whether the key has a list of variants.
    pub(crate) varies: bool,
}

impl Store {
    /// Looks a request up in L1.
    pub(crate) fn look_in_l1(&self, request: &CacheRequest, now: Timestamp) -> Looked {
        let primary = self.visible_in_l1(&request.tenant, &request.key, now);
        let Some(Cached { entry: Entry::Variants(variants), .. }) = primary.as_deref() else {
            let found = primary.and_then(|cached| Found::under(&request.key, cached, L1));
            return Looked { key: request.key.clone(), found, varies: false };
        };
        let keys = variant_keys(request, variants);
        for key in &keys {
            if let Some(cached) = self.visible_in_l1(&request.tenant, key, now)
                && let Some(found) = Found::under(key, cached, L1)
            {
                return Looked { key: key.clone(), found: Some(found), varies: true };
            }
        }
        Looked { key: keys.into_iter().next().unwrap_or_else(|| request.key.clone()), found: None, varies: true }
    }

    fn visible_in_l1(&self, tenant: &Arc<Tenant>, key: &CacheKey, now: Timestamp) -> Option<Arc<Cached>> {
        let cached = tenant.memory.get(key.hash(), now)?;
        if **cached.entry.key() != *key.text() {
            return None;
        }
        match cached.verdict(&tenant.barriers) {
            Verdict::Gone => {
                self.drop_if_gone(tenant, key.hash());
                None
            }
            _ => self.peers.vouches_for(tenant, &cached).then_some(cached),
        }
    }

    /// Removes one entry of L1 if barriers hide it.
    fn drop_if_gone(&self, tenant: &Tenant, key: KeyHash) {
        tenant.memory.remove_if(key, Removal::Purged, self.clock.now(), |cached| {
            cached.verdict(&tenant.barriers) == Verdict::Gone
        });
    }

    /// Looks a request up in L2. A response that is found there is not put into L1 yet.
    pub(crate) async fn look_in_l2(&self, request: &CacheRequest) -> Option<Found> {
        let l2 = self.l2.as_deref().filter(|_| !self.peers.is_cut_off(request))?;
        let began = self.begin(request);
        let primary =
            self.visible_in_l2(l2, request, began, std::slice::from_ref(&request.key)).await.pop().flatten()?;
        let Entry::Variants(variants) = &primary.entry else { return Found::under(&request.key, primary, l2.name()) };
        let keys = variant_keys(request, variants);
        let variants = self.visible_in_l2(l2, request, began, &keys).await;
        self.remember_variants(request, primary);
        let found = |(key, cached): (&CacheKey, Option<Arc<Cached>>)| Found::under(key, cached?, l2.name());
        keys.iter().zip(variants).find_map(found)
    }

    async fn visible_in_l2(
        &self,
        l2: &dyn Tier,
        request: &CacheRequest,
        began: Began,
        keys: &[CacheKey],
    ) -> Vec<Option<Arc<Cached>>> {
        let Some(entries) = self.read_l2(l2, &request.tenant, keys).await else {
            count(&request.tenant.counters.l2_errors);
            return Vec::new();
        };
        let epoch = request.tenant.plan_epoch.load(Ordering::Acquire);
        let consistency = request.consistency();
        let visible = |entry: Entry| {
            // The entry's sequence says nothing about a purge that is not recorded: its number is this node's own.
            if request.tenant.unrecorded.reaches(&entry) {
                return None;
            }
            // A server that has gone back to an earlier state may still have a version that was replaced.
            if matches!(&entry, Entry::Response(stored) if self.is_outdated(&request.tenant, stored)) {
                return None;
            }
            let epoch = self.epoch_of(&request.tenant, &entry, epoch);
            let cached = Cached::new(entry, epoch, began, consistency, &self.budget);
            (cached.verdict(&request.tenant.barriers) != Verdict::Gone).then(|| Arc::new(cached))
        };
        entries.into_iter().map(|entry| entry.and_then(visible)).collect()
    }

    /// The entries under these keys, once every barrier is known that was recorded before they were read; `None` where
    /// L2 or the barriers could not be read. Where the purge sequence comes with the entries, barriers are read only if
    /// it has moved.
    pub(crate) async fn read_l2(
        &self,
        l2: &dyn Tier,
        tenant: &Tenant,
        keys: &[CacheKey],
    ) -> Option<Vec<Option<Entry>>> {
        if !l2.keeps_barriers() {
            let (entries, heard) = tokio::join!(l2.get(keys), self.hear_of_barriers(tenant));
            return entries.ok().filter(|_| heard);
        }
        let found = l2.get_with_sequence(&tenant.name, keys).await.ok()?;
        let moved = found.sequence.is_none_or(|sequence| sequence >= tenant.barriers_read.load(Ordering::Acquire));
        (!moved || self.hear_of_barriers(tenant).await).then_some(found.entries)
    }

    /// The plan epoch of an entry from L2: `epoch`, or the oldest if a policy other than the bound one has planned it, or
    /// the settings have changed since.
    pub(crate) fn epoch_of(&self, tenant: &Tenant, entry: &Entry, epoch: u64) -> u64 {
        match entry {
            Entry::Response(response)
                if response.policy != tenant.policies.digest(sandbar_policy::Role::Freshness)
                    || tenant.edition.has_other_plans(response.received) =>
            {
                0
            }
            _ => epoch,
        }
    }

    /// Reads the barriers that were raised since they were last read; false where the store could not be read, so that
    /// no entry read at the same time can be trusted. A store that no other node uses is read only once.
    pub(crate) async fn hear_of_barriers(&self, tenant: &Tenant) -> bool {
        let Some(store) = &self.barriers else { return true };
        let read = tenant.barriers_read.load(Ordering::Acquire);
        if read > 0 && !store.is_shared() {
            return true;
        }
        match store.raised_since(&tenant.name, read.saturating_sub(1)).await {
            Ok(barriers) => {
                let highest = barriers.iter().map(|barrier| barrier.sequence).max().unwrap_or(0);
                barriers.iter().for_each(|barrier| tenant.barriers.learn(barrier));
                tenant.barriers_read.fetch_max(highest.max(read.saturating_sub(1)) + 1, Ordering::AcqRel);
                true
            }
            Err(error) => {
                tracing::debug!(tenant = &*tenant.name, %error, "barriers could not be read");
                false
            }
        }
    }
}
