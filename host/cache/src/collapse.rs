//! Request collapsing: one fetch per key and node; everybody else waits for what it brings.
//!
//! What a fetch brings ([`outcome`]) can't be looked at by those who wait. Each of them is told what it means for *its own*
//! request: a response it may be given, or that it has to go on by itself.

pub(crate) mod fetch;
mod learned;
pub(crate) mod outcome;

use std::sync::Arc;

use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Joined;

use self::fetch::{Fetches, LeadOrWait, Waiter};
pub(crate) use self::learned::Learned;
use self::outcome::Outcome;
use crate::cached::Began;
use crate::request::CacheRequest;

/// The fetches under way, and what is known of keys for which nobody should wait.
pub(crate) struct Collapse {
    pub(crate) fetches: Arc<Fetches<Outcome>>,
    pub(crate) learned: Learned,
}

/// Which fetches a request joins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Joins {
    /// None that began at an older revision of the barriers.
    pub(crate) not_before: u64,
    /// None that has come further.
    pub(crate) latest: Joined,
}

impl Collapse {
    /// Joins the fetch of a key, unless what it brings may be older than a purge that is known by now; starts one else.
    pub(crate) fn join_or_lead(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        joins: Joins,
        now: Began,
    ) -> LeadOrWait<Outcome> {
        let joins = |began: &Began, joined: Joined| joins.takes(request, key, &now, began, joined);
        self.fetches.join_or_lead(request.collapse_key(key.hash()), now, joins)
    }

    /// The same after it was waited for in vain: not the same fetch again.
    pub(crate) fn relieve(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        joins: Joins,
        waited: &Waiter<Outcome>,
        now: Began,
    ) -> LeadOrWait<Outcome> {
        let joins = |began: &Began, joined: Joined| joins.takes(request, key, &now, began, joined);
        self.fetches.relieve(request.collapse_key(key.hash()), waited, now, joins)
    }
}

impl Joins {
    /// Whether a fetch that began then, and that is joined like this, can be waited for now.
    fn takes(self, request: &CacheRequest, key: &CacheKey, now: &Began, began: &Began, joined: Joined) -> bool {
        began.revision >= self.not_before
            && began.losses == now.losses
            && joined <= self.latest
            && !request.tenant.barriers.hides(key.text(), began.sequence)
    }
}
