//! A stored response that a lookup has found for a request.

use std::sync::Arc;

use sandbar_http::entry::StoredResponse;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Vary, vary};

use crate::barrier::{Barriers, Verdict};
use crate::cached::Cached;
use crate::request::{CacheRequest, key_for};

/// The name of the memory tier in `Cache-Status`, logs and metrics.
pub(crate) const L1: &str = "l1";

/// A stored response under a key that the request selects: its primary key, or the one of its variant.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// An entry that holds a response, never a list of variants.
    cached: Arc<Cached>,
    /// Whether it was purged softly when it was found: then it is stale whatever its age.
    soft_purged: bool,
    /// `l1`, or the name of the L2.
    tier: &'static str,
}

impl Found {
    /// The stored response that `tier` has under `key`; `None` where the entry is a list of variants, or has another
    /// key with the same hash.
    pub(crate) fn under(key: &CacheKey, cached: Arc<Cached>, tier: &'static str) -> Option<Self> {
        let is_it = cached.response().is_some_and(|stored| *stored.key == *key.text());
        let soft_purged = cached.is_soft_purged();
        is_it.then_some(Self { cached, soft_purged, tier })
    }

    /// Like [`Self::under`], with the key by the response's own `Vary`: `None` where `request` does not select the
    /// response (RFC 9111 section 4.1).
    pub(crate) fn selected_by(request: &CacheRequest, cached: Arc<Cached>, tier: &'static str) -> Option<Self> {
        let key = key_for(request, &selecting_names(cached.response()?));
        Self::under(&key, cached, tier)
    }

    /// The same response with another plan.
    #[must_use]
    pub(crate) fn renewed(self, cached: Arc<Cached>) -> Self {
        debug_assert_eq!(cached.entry.key(), self.cached.entry.key(), "the same response");
        Self { cached, ..self }
    }

    /// The entry that holds the response.
    pub(crate) const fn cached(&self) -> &Arc<Cached> {
        &self.cached
    }

    /// Whether it was purged softly when it was found.
    pub(crate) const fn soft_purged(&self) -> bool {
        self.soft_purged
    }

    /// Whether it is purged softly, by all that is known by now; `None` where it is gone.
    pub(crate) fn soft_purged_by_now(&self, barriers: &Barriers) -> Option<bool> {
        let verdict = self.cached.verdict(barriers);
        (verdict != Verdict::Gone).then_some(self.soft_purged || verdict == Verdict::Stale)
    }

    /// The tier where it was found: `l1`, or the name of the L2.
    pub(crate) const fn tier(&self) -> &'static str {
        self.tier
    }

    /// Whether this response may be used where `other` is known as well: a doubtful one is validated first, wherever
    /// else a copy that is no newer is found.
    pub(crate) fn is_not_in_doubt_with(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| !other.cached.is_doubtful() || self.is_newer_than(other))
    }

    /// Whether this response was received after the other one.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        self.stored().received > other.stored().received
    }
}

impl Holds for Found {
    fn stored(&self) -> &StoredResponse {
        self.cached.response().expect("`Found::under` takes responses only")
    }
}

/// The names of the fields that select a stored response, sorted.
pub(crate) fn selecting_names(stored: &StoredResponse) -> Vec<String> {
    match vary(&stored.fields) {
        Vary::Names(names) => names,
        Vary::None | Vary::Any => Vec::new(),
    }
}
