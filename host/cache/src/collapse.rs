//! Request collapsing: one fetch per key and node; all other requests for the key wait for its outcome.
//!
//! A waiter can't look at the outcome itself ([`outcome`]). It is told what the outcome means for *its own* request: a
//! response that it may be given, or that it has to go on by itself.

pub(crate) mod fetch;
mod learned;
pub(crate) mod load;
pub(crate) mod outcome;
pub(crate) mod patience;

use std::sync::Arc;

use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Joined;

use self::fetch::{Fetches, LeadOrWait, Waiter};
pub(crate) use self::learned::Learned;
use self::load::LoadOutcome;
use self::outcome::FetchOutcome;
use crate::cached::Began;
use crate::request::CacheRequest;

/// The fetches under way, and the keys for whose fetches nobody should wait.
pub(crate) struct Collapse {
    pub(crate) fetches: Arc<Fetches<FetchOutcome>>,
    /// The loads of values under way.
    pub(crate) loads: Arc<Fetches<LoadOutcome>>,
    pub(crate) learned: Learned,
}

/// Which fetches a request may join.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Joins {
    /// Only fetches that began at this revision of the barriers, or at a later one.
    pub(crate) not_before: u64,
    /// Only fetches that have come no further than this.
    pub(crate) latest: Joined,
}

impl Joins {
    /// Joins the fetch of a key, unless it is excluded or its outcome may be older than a purge that is known by now; otherwise
    /// starts one.
    pub(crate) fn join_or_lead<T: Clone>(
        self,
        fetches: &Arc<Fetches<T>>,
        request: &CacheRequest,
        key: &CacheKey,
        now: Began,
    ) -> LeadOrWait<T> {
        let takes = |began: &Began, joined: Joined| self.takes(request, key, &now, began, joined);
        fetches.join_or_lead(request.collapse_key(key.hash()), now, takes)
    }

    /// Like [`Self::join_or_lead`], for a request that has waited for a fetch in vain and does not join that one again.
    pub(crate) fn relieve<T: Clone>(
        self,
        fetches: &Arc<Fetches<T>>,
        request: &CacheRequest,
        key: &CacheKey,
        waited: &Waiter<T>,
        now: Began,
    ) -> LeadOrWait<T> {
        let takes = |began: &Began, joined: Joined| self.takes(request, key, &now, began, joined);
        fetches.relieve(request.collapse_key(key.hash()), waited, now, takes)
    }

    /// Whether a request may join a fetch that began at `began` and has come as far as `joined`.
    fn takes(self, request: &CacheRequest, key: &CacheKey, now: &Began, began: &Began, joined: Joined) -> bool {
        // Under other settings the origin may be another one, or be asked in another way.
        began.edition == now.edition
            && began.revision >= self.not_before
            && began.losses == now.losses
            && joined <= self.latest
            && !request.tenant.barriers.hides(key.text(), began.sequence)
    }
}
