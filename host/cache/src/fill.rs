//! A fill: one task that looks into L2, asks the origin, and stores the response if it may be stored. It belongs to no
//! client and goes on when all clients have left.

mod arrival;
mod completion;
pub(crate) mod lease;
pub(crate) mod load;
mod origin;
mod refetch;
pub(crate) mod refresh;
mod validation;

use std::sync::Arc;
use std::time::Duration;

use http_body::Body as _;
use sandbar_base::clock::Clock;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Lacking, Times, lacking};
use tokio_util::task::TaskTracker;

use crate::cached::Began;
use crate::collapse::fetch::{LeadOrWait, Obligation, Waiter};
use crate::collapse::outcome::FetchOutcome;
use crate::collapse::{Collapse, Joins};
use crate::exchange::Exchanges;
use crate::fill::lease::Turn;
use crate::ingest::Ingest;
use crate::origin::{Progress, Sound};
use crate::peers::Peers;
use crate::request::{CacheRequest, Purpose};
use crate::storability::{Received, Storability};
use crate::store::Store;
use crate::store::found::{Found, L1};
use crate::tenant::counters::count;

/// What a fill fetches, and for which request.
pub(crate) struct Fill {
    pub(crate) request: Arc<CacheRequest>,
    /// The key that is fetched, as far as is known: the primary key, or a variant's.
    pub(crate) key: CacheKey,
    /// The stored response, which may not be served as it is; `None` where there is none.
    pub(crate) basis: Option<Found>,
    /// Whether the origin is asked to validate or complete the stored response; otherwise it is asked for a whole one.
    pub(crate) validates: bool,
    pub(crate) purpose: Purpose,
    /// Whether the fill waits for no other node: its request fetches alone, or insists on what the origin says now.
    pub(crate) alone: bool,
}

/// The origin's response, and how long it took.
pub(crate) struct Fetched {
    pub(crate) response: Sound,
    pub(crate) times: Times,
    pub(crate) fetch_time: Duration,
}

impl Fetched {
    /// Whether the response may be stored and shared, for a fill that began at the purge sequence `sequence`. The tenant's policy
    /// is asked here, once for each response.
    pub(crate) fn storability(&self, request: &CacheRequest, sequence: u64) -> Storability {
        let Self { response, times, fetch_time } = self;
        let body_bytes = response.body().size_hint().exact();
        let (status, fields) = (response.status(), response.headers());
        let received = Received { status, fields, body_bytes, times: *times, fetch_time: *fetch_time };
        request.storability(&received, sequence)
    }
}

impl Fill {
    /// The stored response that the origin is asked to validate or complete.
    pub(super) fn asked_about(&self) -> Option<&Found> {
        self.basis.as_ref().filter(|_| self.validates)
    }

    /// The one gap that the stored parts have in the wanted response or range. For a range only if the parts do not
    /// exceed the bound on bodies with it, as they are stored together then.
    pub(super) fn lacking(&self) -> Option<Lacking> {
        let part = self.asked_about()?.stored();
        if self.purpose != Purpose::Part {
            return lacking(part, None);
        }
        let bytes_max = self.request.tenant.settings.body_bytes_max;
        let room = bytes_max.checked_sub(part.body_bytes())?;
        lacking(part, Some(&self.request.head())).filter(|lacking| lacking.bytes().is_some_and(|bytes| bytes <= room))
    }

    /// Whether the stored response has to be validated for each request (RFC 9111 section 5.2.2.4): then another node's
    /// fetch is of no use.
    pub(super) fn is_validated_each_time(&self) -> bool {
        self.basis.as_ref().is_some_and(|found| found.stored().directives.no_cache)
    }
}

/// Runs fills: they get a response from another node by way of L2, or from the origin.
pub(crate) struct Fills {
    pub(crate) store: Arc<Store>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) ingest: Ingest,
    pub(crate) collapse: Collapse,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
    /// How long a key is remembered whose responses are for one request each.
    pub(crate) learned_for: Duration,
}

impl Fills {
    /// Joins the fetch of a key that is under way, or gets the obligation to start one.
    pub(crate) fn join_or_lead(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        joins: Joins,
    ) -> LeadOrWait<FetchOutcome> {
        joins.join_or_lead(&self.collapse.fetches, request, key, self.store.begin(request))
    }

    /// Like [`Self::join_or_lead`], for a request that has waited for a fetch in vain and does not join that one again.
    pub(crate) fn relieve(
        &self,
        request: &CacheRequest,
        key: &CacheKey,
        joins: Joins,
        waited: &Waiter<FetchOutcome>,
    ) -> LeadOrWait<FetchOutcome> {
        joins.relieve(&self.collapse.fetches, request, key, waited, self.store.begin(request))
    }

    /// Runs a fill in a task of its own.
    pub(crate) fn start(self: &Arc<Self>, fill: Fill, obligation: Obligation<FetchOutcome>) {
        let fills = Arc::clone(self);
        self.tasks.spawn(async move { fills.run(fill, obligation).await });
    }

    async fn run(&self, mut fill: Fill, obligation: Obligation<FetchOutcome>) {
        let lease = match self.look_then_turn(&mut fill, obligation.progress()).await {
            Turn::Found(found) => return obligation.fulfil(FetchOutcome::found(&fill.request, found)),
            Turn::Confirmed(found) => return obligation.fulfil(FetchOutcome::confirmed(&fill.request, found)),
            Turn::Left => return,
            Turn::Mine(lease) => lease,
            Turn::Alone => {
                let began = self.store.begin(&fill.request);
                self.ask_origin(fill, began, obligation).await;
                return;
            }
        };
        // Noted after L2 was asked, which told of earlier purges, and before the origin is: a purge from here on hides
        // the response.
        let began = Began { token: Some(lease.token()), ..self.store.begin(&fill.request) };
        let came = lease.during(self.ask_origin(fill, began, obligation)).await;
        self.give_back(lease, came).await;
    }

    /// Looks into L2, and waits for the fill's turn where nothing was found.
    async fn look_then_turn(&self, fill: &mut Fill, progress: &Progress) -> Turn {
        // A refresh looks into L2 only when it has its turn: until then, L2 hardly has anything newer than L1.
        if fill.purpose != Purpose::Refresh
            && let Some(found) = self.first_look(fill).await
        {
            return Turn::Found(found);
        }
        self.keep_for_those_who_come(fill);
        self.turn(fill, progress).await
    }

    async fn first_look(&self, fill: &mut Fill) -> Option<Found> {
        self.store.l2.as_ref()?;
        let found = self.look(fill).await;
        if found.is_none() {
            count(&fill.request.tenant.counters.misses_l2);
        }
        found
    }

    /// Promotes a basis from L2 to L1, where all waiters find it: it may be served when the origin fails or takes long,
    /// and by it later requests know whether they may wait at all. This is not done where L1 has something newer: of
    /// several parts that came in quick succession, L2 may not have the last one yet.
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
