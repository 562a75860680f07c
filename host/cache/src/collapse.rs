//! Request collapsing: one fetch per key and node; everybody else waits for what it brings.
//!
//! What a fetch brings ([`landing`]) can't be looked at by those who wait. Each of them is told what it means for *its own*
//! request: a response it may be given, or that it has to go on by itself.

pub(crate) mod flight;
pub(crate) mod landing;
mod learned;

use std::sync::Arc;

use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Joined;

use self::flight::{Boarding, Flights, Waiter};
use self::landing::Landing;
pub(crate) use self::learned::Learned;
use crate::cached::Began;
use crate::request::Asked;

/// The fetches under way, and what is known of keys for which nobody should wait.
pub(crate) struct Collapse {
    pub(crate) flights: Arc<Flights<Landing>>,
    pub(crate) learned: Learned,
}

/// Which flights a request joins.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Joins {
    /// None that began at an older revision of the barriers.
    pub(crate) not_before: u64,
    /// None that has come further.
    pub(crate) latest: Joined,
}

impl Collapse {
    /// Joins the flight of a key, unless what it brings may be older than a purge that is known by now; starts one else.
    pub(crate) fn board(&self, asked: &Asked, key: &CacheKey, joins: Joins, now: Began) -> Boarding<Landing> {
        let joins = |began: &Began, joined: Joined| joins.takes(asked, key, &now, began, joined);
        self.flights.board(asked.flight_key(key.hash()), now, joins)
    }

    /// The same after it was waited for in vain: not the same flight again.
    pub(crate) fn relieve(
        &self,
        asked: &Asked,
        key: &CacheKey,
        joins: Joins,
        waited: &Waiter<Landing>,
        now: Began,
    ) -> Boarding<Landing> {
        let joins = |began: &Began, joined: Joined| joins.takes(asked, key, &now, began, joined);
        self.flights.relieve(asked.flight_key(key.hash()), waited, now, joins)
    }
}

impl Joins {
    /// Whether a flight that began then, and that is joined like this, can be waited for now.
    fn takes(self, asked: &Asked, key: &CacheKey, now: &Began, began: &Began, joined: Joined) -> bool {
        began.revision >= self.not_before
            && began.losses == now.losses
            && joined <= self.latest
            && !asked.tenant.barriers.hides(key.text(), began.sequence)
    }
}
