//! A tenant's way to the readers of events. All that leaves its memory is told here, and all that is stored or not.

use std::sync::{Arc, OnceLock};

use sandbar_base::clock::{Clock, Timestamp};
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_http::key::CacheKey;
use sandbar_memory::Witness;

use super::recent::{Past, Recent};
use super::{Event, Hub, Left, Unstored, What};
use crate::cached::Cached;

/// Tells of what happens to a tenant's entries, once the tenant has joined a cache.
pub(crate) struct Teller {
    tenant: Arc<str>,
    clock: Arc<dyn Clock>,
    /// The tenant's share of memory: more events are kept of those that have more.
    l1_bytes: u64,
    joined: OnceLock<Joined>,
}

/// The cache that a tenant has joined.
struct Joined {
    hub: Arc<Hub>,
    /// The tenant's number among those of the cache.
    number: u64,
    recent: Recent,
}

impl Teller {
    pub(crate) fn new(tenant: &str, clock: Arc<dyn Clock>, l1_bytes: u64) -> Arc<Self> {
        Arc::new(Self { tenant: tenant.into(), clock, l1_bytes, joined: OnceLock::new() })
    }

    /// Has the readers of a cache told from now on, and events kept within its budget; returns the tenant's number among that
    /// cache's. A tenant is of one cache: the first one counts.
    pub(crate) fn join(&self, hub: &Arc<Hub>, budget: &Arc<MemoryBudget>) -> u64 {
        let joined = || {
            let recent = Recent::new(self.l1_bytes, budget);
            Joined { hub: Arc::clone(hub), number: hub.number(), recent }
        };
        self.joined.get_or_init(joined).number
    }

    /// Tells that the response to a request with this key did not become an entry.
    pub(crate) fn tell_unstored(&self, key: &CacheKey, why: Unstored) {
        self.tell(What::NotStored(why), self.clock.now(), key.text(), || (key.clone(), None));
    }

    /// Tells what happened to an entry that holds a response.
    pub(crate) fn tell_of(&self, cached: &Cached, what: What) {
        self.tell_of_entry(cached, what, self.clock.now());
    }

    fn tell_of_entry(&self, cached: &Cached, what: What, at: Timestamp) {
        if let Some(stored) = cached.response() {
            self.tell(what, at, &stored.key, || (CacheKey::stored_as(&stored.key), Some(cached.weight_bytes())));
        }
    }

    /// `text` is the text of the key; the key itself is made, with the weight of the entry, where anybody listens.
    fn tell(&self, what: What, at: Timestamp, text: &str, entry: impl FnOnce() -> (CacheKey, Option<u64>)) {
        let Some(Joined { hub, number, recent }) = self.joined.get() else { return };
        recent.note(text, Past { at, what });
        if hub.is_heard() {
            let (key, weight_bytes) = entry();
            hub.tell(*number, &Event { at, tenant: Arc::clone(&self.tenant), key, weight_bytes, what });
        }
    }

    /// The last events of the URL that these keys are of, the newest first, `events_max` at most; each with whether it is of
    /// another variant than these keys.
    pub(crate) fn last(&self, keys: &[CacheKey], events_max: usize) -> Vec<(Past, bool)> {
        self.joined.get().map(|joined| joined.recent.of(keys, events_max)).unwrap_or_default()
    }
}

impl Witness<Arc<Cached>> for Teller {
    fn left(&self, cached: &Arc<Cached>, why: sandbar_memory::Left) {
        if let Some(stored) = cached.response() {
            let now = self.clock.now();
            self.tell_of_entry(cached, What::Left(Left::of(why, stored.expires() <= now)), now);
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some(Joined { hub, number, .. }) = self.joined.get() {
            hub.end(*number);
        }
    }
}

impl std::fmt::Debug for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teller").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
