//! A tenant's way to the readers of events. All that leaves its memory is told here, and all that is stored or not.

use std::sync::{Arc, OnceLock};

use sandbar_base::clock::Clock;
use sandbar_http::key::CacheKey;
use sandbar_memory::Witness;

use super::{Event, Hub, Left, What};
use crate::cached::Cached;

/// Tells of what happens to a tenant's entries, once the tenant has joined a cache.
pub(crate) struct Teller {
    tenant: Arc<str>,
    clock: Arc<dyn Clock>,
    /// The cache's hub, and the tenant's number there.
    joined: OnceLock<(Arc<Hub>, u64)>,
}

impl Teller {
    pub(crate) fn new(tenant: &str, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { tenant: tenant.into(), clock, joined: OnceLock::new() })
    }

    /// Has the readers of a cache told from now on; returns the tenant's number among that cache's. A tenant is of one cache:
    /// the first one counts.
    pub(crate) fn join(&self, hub: &Arc<Hub>) -> u64 {
        self.joined.get_or_init(|| (Arc::clone(hub), hub.number())).1
    }

    /// The hub and the tenant's number there, if anybody reads.
    fn heard(&self) -> Option<&(Arc<Hub>, u64)> {
        self.joined.get().filter(|(hub, _)| hub.is_heard())
    }

    /// Tells what happened to an entry, or to a response that did not become one.
    pub(crate) fn tell(&self, what: What, key: impl FnOnce() -> CacheKey, weight_bytes: Option<u64>) {
        let Some((hub, number)) = self.heard() else { return };
        let event = Event { at: self.clock.now(), tenant: Arc::clone(&self.tenant), key: key(), weight_bytes, what };
        hub.tell(*number, &event);
    }

    /// Tells what happened to an entry that holds a response.
    pub(crate) fn tell_of(&self, cached: &Cached, what: What) {
        if let Some(stored) = cached.response() {
            self.tell(what, || CacheKey::stored_as(&stored.key), Some(cached.weight_bytes()));
        }
    }
}

impl Witness<Arc<Cached>> for Teller {
    fn left(&self, cached: &Arc<Cached>, why: sandbar_memory::Left) {
        if self.heard().is_some()
            && let Some(stored) = cached.response()
        {
            let expired = stored.expires() <= self.clock.now();
            self.tell_of(cached, What::Left(Left::of(why, expired)));
        }
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        if let Some((hub, number)) = self.joined.get() {
            hub.end(*number);
        }
    }
}

impl std::fmt::Debug for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Teller").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}
