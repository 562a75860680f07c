//! Looking for an entry without anybody noticing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_http::entry::{Entry, Variants};
use sandbar_http::key::CacheKey;

use super::{Explainer, State};
use crate::barrier::Verdict;
use crate::cached::Cached;
use crate::request::{CacheRequest, variant_keys};
use crate::store::found::L1;

/// What a tier has for a request.
pub(super) struct Held {
    pub(super) tier: &'static str,
    pub(super) state: State,
    /// The entry; none where there is none.
    pub(super) cached: Option<Arc<Cached>>,
}

impl Held {
    const fn nothing(tier: &'static str, state: State) -> Self {
        Self { tier, state, cached: None }
    }

    /// Of several variants the first that can be used, else the first that is there.
    fn best(several: Vec<Self>, tier: &'static str) -> Self {
        let mut there: Vec<_> = several.into_iter().filter(|held| held.state != State::Absent).collect();
        let best = there.iter().position(|held| held.state.is_usable()).unwrap_or(0);
        if there.is_empty() { Self::nothing(tier, State::Absent) } else { there.swap_remove(best) }
    }
}

impl Explainer<'_> {
    /// What L1 has, and the fields by which the response varies.
    pub(super) fn in_l1(&self, request: &CacheRequest) -> (Held, Vec<Vec<String>>) {
        let held = |key: &CacheKey| {
            let cached = request.tenant.memory.peek(key.hash());
            match cached.filter(|cached| **cached.entry.key() == *key.text()) {
                Some(cached) => Held { tier: L1, state: self.in_memory(request, &cached), cached: Some(cached) },
                None => Held::nothing(L1, State::Absent),
            }
        };
        let primary = held(&request.key);
        match variants(&primary) {
            Some(variants) => {
                let keys = variant_keys(request, variants);
                (Held::best(keys.iter().map(held).collect(), L1), variants.sets.clone())
            }
            None => (primary, Vec::new()),
        }
    }

    fn in_memory(&self, request: &CacheRequest, cached: &Cached) -> State {
        match cached.verdict(&request.tenant.barriers) {
            Verdict::Gone => State::Purged,
            _ if !self.peers.would_vouch_for(&request.tenant, cached) => State::NotVouchedFor,
            Verdict::Stale => State::SoftPurged,
            Verdict::Visible => State::Visible,
        }
    }

    /// What L2 has, if there is one, and the fields by which the response varies.
    pub(super) async fn in_l2(&self, request: &CacheRequest) -> Option<(Held, Vec<Vec<String>>)> {
        let tier = self.store.l2.as_ref()?.name();
        if self.peers.is_cut_off(request) {
            return Some((Held::nothing(tier, State::NotVouchedFor), Vec::new()));
        }
        let primary = self.below(request, std::slice::from_ref(&request.key)).await.pop()?;
        Some(match variants(&primary) {
            Some(variants) => {
                let held = self.below(request, &variant_keys(request, variants)).await;
                (Held::best(held, tier), variants.sets.clone())
            }
            None => (primary, Vec::new()),
        })
    }

    /// What L2 has under each of these keys.
    async fn below(&self, request: &CacheRequest, keys: &[CacheKey]) -> Vec<Held> {
        let Some(l2) = self.store.l2.as_deref() else { return Vec::new() };
        let Some(entries) = self.store.read_l2(l2, &request.tenant, keys).await else {
            return keys.iter().map(|_| Held::nothing(l2.name(), State::NotAsked)).collect();
        };
        let began = self.store.begin(request);
        let held = |(key, entry): (&CacheKey, Option<Entry>)| {
            let Some(entry) = entry.filter(|entry| **entry.key() == *key.text()) else {
                return Held::nothing(l2.name(), State::Absent);
            };
            let tenant = &request.tenant;
            let hidden = tenant.unrecorded.reaches(&entry);
            let epoch = self.store.epoch_of(tenant, &entry, tenant.plan_epoch.load(Ordering::Acquire));
            let cached = Cached::new(entry, epoch, began, request.consistency(), &self.store.budget);
            let state = match cached.verdict(&tenant.barriers) {
                _ if hidden => State::Purged,
                Verdict::Gone => State::Purged,
                _ if is_outdated(request, &cached) => State::Outdated,
                Verdict::Stale => State::SoftPurged,
                Verdict::Visible => State::Visible,
            };
            Held { tier: l2.name(), state, cached: Some(Arc::new(cached)) }
        };
        keys.iter().zip(entries).map(held).collect()
    }
}

fn variants(held: &Held) -> Option<&Variants> {
    match &held.cached.as_deref()?.entry {
        Entry::Variants(variants) => Some(variants),
        Entry::Response(_) => None,
    }
}

/// Whether a newer version is known; not counted.
fn is_outdated(request: &CacheRequest, cached: &Cached) -> bool {
    cached.response().is_some_and(|stored| request.tenant.knows_newer_than(stored))
}
