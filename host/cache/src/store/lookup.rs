//! Looking a request up: the primary key, then the variant that its selecting fields name (RFC 9111 section 4.1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::{Entry, StoredResponse};
use sandbar_http::key::{CacheKey, KeyHash};
use sandbar_memory::Removal;

use super::Store;
use crate::barrier::Verdict;
use crate::cached::{Began, Cached, Decoded, Form};
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

    pub(crate) fn visible_in_l1(&self, tenant: &Arc<Tenant>, key: &CacheKey, now: Timestamp) -> Option<Arc<Cached>> {
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
        entries.into_iter().map(|entry| self.visible(request, began, entry?)).collect()
    }

    /// An entry that L2 has for a request, if it may be used: it is not purged, no newer version is known, and a value can be
    /// decoded.
    fn visible(&self, request: &CacheRequest, began: Began, entry: Entry) -> Option<Arc<Cached>> {
        // The entry's sequence says nothing about a purge that is not recorded: its number is this node's own.
        if request.tenant.unrecorded.reaches(&entry) {
            return None;
        }
        // A server that has gone back to an earlier state may still have a version that was replaced.
        if matches!(&entry, Entry::Response(stored) if self.is_outdated(&request.tenant, stored)) {
            return None;
        }
        let decoded = match (&entry, &request.form) {
            (Entry::Response(stored), Some(form)) => Some(decoded(request, stored, &**form)?),
            _ => None,
        };
        let epoch = request.tenant.plan_epoch.load(Ordering::Acquire);
        let (epoch, consistency) = (self.epoch_of(&request.tenant, &entry, epoch), request.consistency());
        let cached = Cached::holding(entry, decoded, epoch, began, consistency, &self.budget);
        (cached.verdict(&request.tenant.barriers) != Verdict::Gone).then(|| Arc::new(cached))
    }

    /// Looks several values of one tenant up in L2, in one round; in the order of the requests.
    pub(crate) async fn look_for_values_in_l2(&self, requests: &[Arc<CacheRequest>]) -> Vec<Option<Found>> {
        let nothing = || requests.iter().map(|_| None).collect();
        let (Some(l2), Some(first)) = (self.l2.as_deref(), requests.first()) else { return nothing() };
        let began = self.begin(first);
        let keys: Vec<_> = requests.iter().map(|request| request.key.clone()).collect();
        let Some(entries) = self.read_l2(l2, &first.tenant, &keys).await else {
            count(&first.tenant.counters.l2_errors);
            return nothing();
        };
        let found = |(request, entry): (&Arc<CacheRequest>, Option<Entry>)| {
            let cached = self.visible(request, began, entry.filter(|_| !self.peers.is_cut_off(request))?)?;
            Found::under(&request.key, cached, l2.name())
        };
        requests.iter().zip(entries).map(found).collect()
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

/// A value as it is used. Bytes that are none, of a damaged L2 or of another program, are a miss.
fn decoded(request: &CacheRequest, stored: &StoredResponse, form: &dyn Form) -> Option<Decoded> {
    let decoded = form.decode(stored);
    if decoded.is_none() {
        count(&request.tenant.counters.values_unreadable);
        tracing::warn!(tenant = &*request.tenant.name, target = request.target, "what is stored is no such value");
    }
    decoded
}
