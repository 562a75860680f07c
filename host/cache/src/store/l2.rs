//! Storing in L2, where other nodes find the entry: if no purge came in between and no later fill was faster.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_base::clock::Timestamp;
use sandbar_base::memory_budget::Use;
use sandbar_http::entry::{Entry, StoredResponse, Variants};
use sandbar_http::key::CacheKey;
use sandbar_memory::Removal;

use super::Store;
use crate::barrier::Verdict;
use crate::cached::{Began, Cached};
use crate::events::{Unstored, What};
use crate::faults::switched_on;
use crate::not_stored::NotStored;
use crate::request::CacheRequest;
use crate::tenant::counters::count;
use crate::tier::{Stored, Terms, Tier};

/// How often an entry is offered to L2, as purges that came in between have to judge it first. After that only the next
/// fill stores it.
const OFFERS_MAX: usize = 4;

impl Store {
    /// Stores an entry in L2, `encoded` as it is kept there, and before it the list of the variants that it belongs to.
    pub(crate) async fn put_in_l2(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        cached: &Arc<Cached>,
        encoded: Arc<Entry>,
        marker: Option<Variants>,
        until: Timestamp,
    ) {
        let Some(l2) = self.l2.as_deref() else { return };
        // While it is written, an entry is in memory three times more: encoded, as a command or disk record, and in the
        // buffer of the connection.
        let Some(_room) = self.budget.reserve(Use::L2Writes, 3 * encoded.weight_bytes()) else { return };
        if let Some(marker) = marker {
            let began = Began { token: None, ..cached.began };
            let marker = Cached::new(Entry::Variants(marker), 0, began, cached.consistency, &self.budget);
            let entry = Arc::new(marker.entry.clone());
            self.offer(l2, request, &request.key, &Arc::new(marker), entry, until).await;
        }
        self.offer(l2, request, key, cached, encoded, until).await;
    }

    /// Offers an entry to L2 until every barrier that L2 knows has judged it.
    async fn offer(
        &self,
        l2: &dyn Tier,
        request: &CacheRequest,
        key: &CacheKey,
        cached: &Arc<Cached>,
        entry: Arc<Entry>,
        until: Timestamp,
    ) {
        for _ in 0..OFFERS_MAX {
            // Read before the barriers judge the entry: one that comes in between makes it be offered again.
            let known = request.tenant.barriers_read.load(Ordering::Acquire).saturating_sub(1);
            if cached.verdict(&request.tenant.barriers) == Verdict::Gone {
                count(&request.tenant.counters.fills_purged);
                return tell_if_lost(request, cached, Unstored::Purged);
            }
            let version = Self::version_terms(&request.tenant.barriers, cached);
            let terms = Terms {
                judged_at: Some(known),
                token: cached.began.token.filter(|_| self.peers.sends_lease_tokens()),
                version,
            };
            match l2.put_on(terms, key, Arc::clone(&entry), until).await {
                Ok(stored @ (Stored::Yes | Stored::Replaced)) => {
                    request.tenant.events.tell_of(cached, What::Stored { tier: l2.name() });
                    if matches!(stored, Stored::Replaced) {
                        self.peers.announce(&request.tenant, key, cached).await;
                    }
                    return;
                }
                Ok(Stored::Behind(_)) => {
                    if !self.hear_of_barriers(&request.tenant).await {
                        return count(&request.tenant.counters.l2_errors);
                    }
                }
                Ok(Stored::Fenced | Stored::Older) => return self.step_aside(request, key, cached),
                Err(error) => {
                    count(&request.tenant.counters.l2_errors);
                    tracing::debug!(tenant = &*request.tenant.name, %error, "not stored in L2");
                    return;
                }
            }
        }
    }

    /// Removes the entry from L1, as another node's later fill was faster or brought a newer version: the next lookup
    /// finds that in L2.
    fn step_aside(&self, request: &CacheRequest, key: &CacheKey, cached: &Arc<Cached>) {
        count(&request.tenant.counters.fills_fenced);
        let now = self.clock.now();
        tell_if_lost(request, cached, NotStored::OlderVersion.into());
        request.tenant.memory.remove_if(key.hash(), Removal::Outdated, now, |held| Arc::ptr_eq(held, cached));
    }

    /// A fill's response as of the fill's beginning. (A test may take it as of its end, to see that this matters.)
    pub(crate) fn as_of(
        &self,
        request: &CacheRequest,
        stored: StoredResponse,
        began: Began,
    ) -> (StoredResponse, Began) {
        if !switched_on().no_barriers {
            return (stored, began);
        }
        let now = Began { token: began.token, ..self.begin(request) };
        (StoredResponse { sequence: now.sequence, ..stored }, now)
    }
}

/// Tells that an entry was not stored, if it was for L2 alone: memory tells of what it has, or no longer has, itself.
fn tell_if_lost(request: &CacheRequest, cached: &Cached, why: Unstored) {
    if cached.response().is_some_and(|stored| !stored.plan.l1) {
        request.tenant.events.tell_of(cached, What::NotStored(why));
    }
}
