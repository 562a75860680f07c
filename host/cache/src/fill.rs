//! A fill: one task that looks into L2, asks the origin, and has the response taken in. It belongs to no client and goes
//! on when all of them are gone.

mod arrival;
mod completion;
pub(crate) mod lease;
mod origin;
mod refresh;
mod validation;

use std::sync::Arc;
use std::time::Duration;

use sandbar_base::clock::Clock;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Lacking, Times, lacking};
use tokio_util::task::TaskTracker;

use crate::cached::Began;
use crate::collapse::fetch::{LeadOrWait, Obligation, Waiter};
use crate::collapse::outcome::Outcome;
use crate::collapse::{Collapse, Joins};
use crate::exchange::Exchanges;
use crate::fill::lease::Turn;
use crate::ingest::Ingest;
use crate::origin::Sound;
use crate::peers::Peers;
use crate::request::{CacheRequest, Purpose};
use crate::store::Store;
use crate::store::found::{Found, L1};
use crate::tenant::counters::count;

/// What is to be fetched.
pub(crate) struct Fill {
    pub(crate) request: Arc<CacheRequest>,
    /// The key that is fetched, as far as is known: the primary one, or a variant's.
    pub(crate) key: CacheKey,
    /// What is stored, and may not be served as it is.
    pub(crate) basis: Option<Found>,
    /// Whether the origin is asked about what is stored, or for all of it.
    pub(crate) validates: bool,
    pub(crate) purpose: Purpose,
    /// It waits for no other node: nobody waits for it, or those who do insist on what the origin says now.
    pub(crate) alone: bool,
}

/// What the origin has answered, and what that took.
pub(crate) struct Fetched {
    pub(crate) response: Sound,
    pub(crate) times: Times,
    pub(crate) fetch_time: Duration,
}

impl Fill {
    /// What the origin is asked about.
    pub(super) fn asked_about(&self) -> Option<&Found> {
        self.basis.as_ref().filter(|_| self.validates)
    }

    /// The one gap that stored parts have in what is wanted: of a range only where they are not outgrown by it, as what has
    /// come is stored then.
    pub(super) fn lacking(&self) -> Option<Lacking> {
        let part = self.asked_about()?.stored();
        if self.purpose != Purpose::Part {
            return lacking(part, None);
        }
        let bytes_max = self.request.tenant.settings.body_bytes_max;
        let room = bytes_max.checked_sub(part.body_bytes())?;
        lacking(part, Some(&self.request.head())).filter(|lacking| lacking.bytes().is_some_and(|bytes| bytes <= room))
    }

    /// Whether the origin wants to be asked for each request (RFC 9111 section 5.2.2.4): then another node's fetch brings
    /// nothing.
    pub(super) fn is_validated_each_time(&self) -> bool {
        self.basis.as_ref().is_some_and(|found| found.stored().directives.no_cache)
    }
}

/// What fetches: from another node by way of L2, or from the origin.
pub(crate) struct Fills {
    pub(crate) store: Arc<Store>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) ingest: Ingest,
    pub(crate) collapse: Collapse,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
    /// For how long keys are remembered whose responses are for one request each.
    pub(crate) learned_for: Duration,
}

impl Fills {
    /// Joins the fetch of a key that is under way, or is to start one.
    pub(crate) fn join_or_lead(&self, request: &CacheRequest, key: &CacheKey, joins: Joins) -> LeadOrWait<Outcome> {
        self.collapse.join_or_lead(request, key, joins, self.store.begin(request))
    }

    /// The same after one was waited for in vain: not that one again.
    pub(crate) fn relieve(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        joins: Joins,
        waited: &Waiter<Outcome>,
    ) -> LeadOrWait<Outcome> {
        self.collapse.relieve(request, key, joins, waited, self.store.begin(request))
    }

    /// Runs a fill in a task of its own.
    pub(crate) fn start(self: &Arc<Self>, fill: Fill, obligation: Obligation<Outcome>) {
        let fills = Arc::clone(self);
        self.tasks.spawn(async move { fills.run(fill, obligation).await });
    }

    async fn run(&self, mut fill: Fill, obligation: Obligation<Outcome>) {
        // A refresh looks when it has its turn: what L2 has is hardly better than what L1 had.
        if fill.purpose != Purpose::Refresh
            && let Some(found) = self.first_look(&mut fill).await
        {
            return obligation.fulfil(Outcome::found(&fill.request, found));
        }
        self.keep_for_those_who_come(&fill);
        let lease = match self.turn(&mut fill, obligation.progress()).await {
            Turn::Found(found) => return obligation.fulfil(Outcome::found(&fill.request, found)),
            Turn::Confirmed(found) => return obligation.fulfil(Outcome::confirmed(&fill.request, found)),
            Turn::Left => return,
            Turn::Mine(lease) => lease,
            Turn::Alone => {
                let began = self.store.begin(&fill.request);
                self.ask_origin(fill, began, obligation).await;
                return;
            }
        };
        // After L2 was asked, which told of the purges there were before, and before the origin is: a purge from here on
        // makes invisible what comes.
        let began = Began { token: Some(lease.token()), ..self.store.begin(&fill.request) };
        let came = lease.during(self.ask_origin(fill, began, obligation)).await;
        self.give_back(lease, came).await;
    }

    async fn first_look(&self, fill: &mut Fill) -> Option<Found> {
        self.store.l2.as_ref()?;
        let found = self.look(fill).await;
        if found.is_none() {
            count(&fill.request.tenant.counters.misses_l2);
        }
        found
    }

    /// What L2 has and may not be served as it is may still be, when the origin fails or takes long: by all who wait. And
    /// those who come are told by it whether they may wait at all. Not where L1 has something newer: of several parts that
    /// came one soon after the other, L2 may not have the last one yet.
    fn keep_for_those_who_come(&self, fill: &Fill) {
        let known_better = |basis: &Found| {
            let known = self.store.look_in_l1(&fill.request, self.clock.now()).found;
            known.is_some_and(|known| known.stored().key == basis.stored().key && !basis.is_newer_than(&known))
        };
        if let Some(basis) = fill.basis.as_ref().filter(|basis| basis.tier() != L1 && !known_better(basis)) {
            self.store.promote(&fill.request, basis);
        }
    }
}
