//! Request collapsing: one fetch per key and node; all other requests for the key wait for its outcome.
//!
//! A waiter can't look at the outcome itself ([`outcome`]). It is told what the outcome means for *its own* request: a
//! response that it may be given, or that it has to go on by itself.

pub(crate) mod fetch;
mod learned;
pub(crate) mod load;
pub(crate) mod outcome;

use std::sync::Arc;

use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Joined;

use self::fetch::{Fetches, LeadOrWait, Waiter};
pub(crate) use self::learned::Learned;
use self::load::Loads;
use self::outcome::FetchOutcome;
use crate::cached::Began;
use crate::request::CacheRequest;

/// The fetches under way, and the keys for whose fetches nobody should wait.
pub(crate) struct Collapse {
    pub(crate) fetches: Arc<Fetches<FetchOutcome>>,
    /// The loads of values under way.
    pub(crate) loads: Loads,
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

impl Collapse {
    /// Joins the fetch of a key, unless `joins` excludes it or its outcome may be older than a purge that is known by
    /// now; otherwise starts one.
    pub(crate) fn join_or_lead(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        joins: Joins,
        now: Began,
    ) -> LeadOrWait<FetchOutcome> {
        let joins = |began: &Began, joined: Joined| joins.takes(request, key, &now, began, joined);
        self.fetches.join_or_lead(request.collapse_key(key.hash()), now, joins)
    }

    /// Like [`Self::join_or_lead`], for a request that has waited for a fetch in vain and does not join that one again.
    pub(crate) fn relieve(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        joins: Joins,
        waited: &Waiter<FetchOutcome>,
        now: Began,
    ) -> LeadOrWait<FetchOutcome> {
        let joins = |began: &Began, joined: Joined| joins.takes(request, key, &now, began, joined);
        self.fetches.relieve(request.collapse_key(key.hash()), waited, now, joins)
    }
}

impl Joins {
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
