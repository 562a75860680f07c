//! Whether a write was the only one that its target saw: then what it wrote may be stored.
//!
//! Writes that overlap reach the origin in an order that no cache can see, so which of them is the newest is not known by
//! any of them. What one has written is stored only if no other write or purge of the target came to its end between its
//! beginning and its own purge; and it is stored as of that purge, so that a write that ends later hides it. On several
//! nodes the record in Redis decides, which numbers all purges of a tenant.

use sandbar_http::entry::StoredResponse;

use crate::cached::Began;
use crate::purge::Purged;
use crate::request::CacheRequest;
use crate::store::Store;

/// A write with its purges behind it.
pub(super) struct Fence {
    /// When the write began, before its origin was asked.
    began: Began,
    /// The sequences of its own purges.
    ours: Vec<u64>,
    /// Whether all its purges are recorded and told, and none of them came after another one of the same scope.
    is_clear: bool,
}

impl Fence {
    pub(super) fn new(began: Began, purged: &Purged) -> Self {
        let is_alone = purged.recorded.iter().all(|recorded| recorded.before <= began.sequence);
        let ours: Vec<_> = purged.recorded.iter().map(|recorded| recorded.sequence).collect();
        Self { began, is_clear: purged.report.pending == 0 && !ours.is_empty() && is_alone, ours }
    }

    /// Whether the write may still turn out to be the only one: its purges say nothing else.
    pub(super) const fn is_clear(&self) -> bool {
        self.is_clear
    }

    /// Whether nothing else has purged a response to `request` since the write began, as far as this node and the record of
    /// purges know; and when it then counts as begun.
    pub(super) async fn passed(
        &self,
        store: &Store,
        request: &CacheRequest,
        response: &StoredResponse,
    ) -> Option<Began> {
        if !self.is_clear || !store.hear_of_barriers(&request.tenant).await {
            return None;
        }
        let (barriers, unrecorded) = (&request.tenant.barriers, &request.tenant.unrecorded);
        // Ours are recorded. Another purge that this node has made and not recorded yet has a number of the node's own, which
        // says nothing beside recorded ones.
        let is_alone = !unrecorded.reaches_response(response)
            && !barriers.raised_by_others(response, self.began.sequence, &self.ours);
        // Later purges have higher numbers than the last of ours, so they hide what is stored under that one.
        let sequence = self.ours.iter().copied().max()?;
        is_alone.then_some(Began { sequence, ..self.began })
    }
}
