//! The cache as its users see it: the components that it is made of, and its public operations.
//!
//! The main operation is [`Cache::respond`]: a request in, a response out, never an error.

mod change;
mod event;
mod handover;
#[cfg(feature = "redis")]
mod listener;
mod owed;
mod provenance;
mod roster;
mod route;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Response;
use parking_lot::Mutex;
use sandbar_base::clock::Clock;
use sandbar_base::memory_budget::{Content, MemoryBudget, Reserved, Use};
use sandbar_http::key::NoKey;
use sandbar_http::purge::Purge;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::change::Bound;
pub use self::change::{TenantChange, TenantChangeError};
pub use self::event::EventError;
pub use self::provenance::Provenance;
pub use self::roster::{Roster, RosterError};
#[doc(hidden)]
pub use crate::cached::Cached;
use crate::collapse::fetch::Fetches;
use crate::collapse::{Collapse, Learned};
use crate::commons::{Commons, CommonsStats, shares_max};
use crate::events::{Events, Hub};
use crate::exchange::Exchanges;
#[doc(hidden)]
pub use crate::exchange::head_bytes;
use crate::explain::{Explainer, Explanation};
use crate::fill::Fills;
use crate::fleet::{Fleet, FleetReport};
use crate::ingest::Ingest;
use crate::owed::Owed;
use crate::peers::Peers;
#[doc(hidden)]
pub use crate::purge::Heir;
pub use crate::purge::PurgeReport;
use crate::purge::Purges;
use crate::purge::preview::Previews;
pub use crate::purge::preview::{HotEntry, PreviewError, PurgePreview, Reach};
use crate::read::Reader;
pub use crate::request::CACHE;
use crate::request::CacheRequest;
use crate::store::Store;
use crate::tenant::Tenant;
use crate::tier::BarrierStore;
use crate::tier::{Tier, TierHealth};
use crate::tunnel::Tunnels;
pub use crate::write::PutError;
use crate::write::Writer;

/// How many lost purges of a tenant the log names one by one.
const LOST_NAMED_MAX: usize = 16;

/// What a cache is made of.
#[doc(hidden)]
pub struct CacheParts {
    /// The tenants that it begins with.
    pub tenants: Roster,
    /// The tier below L1; `None` for a cache in memory alone.
    pub l2: Option<Arc<dyn Tier>>,
    /// Where barriers are recorded so that they outlive the process; it belongs to the L2. `None` records them nowhere.
    pub barriers: Option<Arc<dyn BarrierStore>>,
    /// The clock that all of the cache's times are read from.
    pub clock: Arc<dyn Clock>,
    /// Bounds of what the cache keeps beside entries.
    pub limits: CacheLimits,
}

/// Bounds of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Keys that are remembered as not storable, so that nobody waits for another request's fetch; 65,536 by default.
    pub learned_keys: u64,
    /// How long each of these keys is remembered; 2 minutes by default.
    pub learned_for: Duration,
    /// Bytes that are kept of a body that is too large to be stored, for readers behind the fastest; 1 MiB by default.
    pub window_bytes: u64,
    /// What all tenants' L1 may have together, in bytes: what their shares leave of it is for the tenants without a share. Without
    /// it, these have 64 MiB.
    pub l1_bytes: Option<u64>,
}

/// Memory of one key that is remembered as not storable, in bytes.
const LEARNED_KEY_BYTES: u64 = 256;
/// The part of a node's memory that such keys take at most: a sixty-fourth.
const LEARNED_KEYS_DIVISOR: u64 = 64;

impl CacheLimits {
    /// Bounds that suit a memory budget, and the charge for the tables that they bound, which is to be held for as long as
    /// the cache is there; none where there is no room.
    pub fn within(budget: &Arc<MemoryBudget>) -> Option<(Self, Reserved)> {
        let mut limits = Self::default();
        let keys_max = budget.total_bytes() / LEARNED_KEYS_DIVISOR / LEARNED_KEY_BYTES;
        limits.learned_keys = limits.learned_keys.min(keys_max.max(1));
        if budget.total_bytes() < u64::MAX {
            limits.l1_bytes = Some(shares_max(budget.total_bytes()));
        }
        let tables = budget.reserve(Use::Tables, limits.learned_keys * LEARNED_KEY_BYTES)?;
        Some((limits, tables))
    }
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { learned_keys: 65_536, learned_for: Duration::from_secs(120), window_bytes: 1 << 20, l1_bytes: None }
    }
}

/// A multi-tier cache. Cheap to clone: all clones are the same cache.
#[derive(Clone)]
pub struct Cache {
    rooms: Arc<Rooms>,
}

/// The components of a cache. Each holds those of the others that it needs.
struct Rooms {
    tenants: Arc<ArcSwap<Roster>>,
    /// Held while tenants come, change or go.
    changing: Mutex<Bound>,
    store: Arc<Store>,
    commons: Arc<Commons>,
    reader: Arc<Reader>,
    writer: Arc<Writer>,
    purges: Arc<Purges>,
    previews: Previews,
    owed: Arc<Owed>,
    /// Until the journal is opened first: the accounts that need a sender.
    senders_wanted: Mutex<Option<mpsc::UnboundedReceiver<String>>>,
    tunnels: Tunnels,
    peers: Arc<Peers>,
    clock: Arc<dyn Clock>,
    budget: Arc<MemoryBudget>,
    events: Arc<Hub>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Cache {
    /// A cache of these parts, without a bound on the node's memory. Barriers are read from their store before the
    /// first lookup in L2.
    #[doc(hidden)]
    pub fn new(parts: CacheParts) -> Self {
        Self::within(parts, MemoryBudget::unbounded())
    }

    /// Like [`Self::new`], with all memory that the cache takes charged to `budget`, the node's account.
    #[doc(hidden)]
    pub fn within(parts: CacheParts, budget: Arc<MemoryBudget>) -> Self {
        let CacheParts { tenants, l2, barriers, clock, limits } = parts;
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let peers = Arc::new(Peers::default());
        let commons = Arc::new(Commons::new(Arc::clone(&clock), tasks.clone()));
        let store = Arc::new(Store {
            l2,
            barriers: barriers.clone(),
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
            budget: Arc::clone(&budget),
            commons: Arc::clone(&commons),
        });
        let exchanges = Arc::new(Exchanges { budget: Arc::clone(&budget) });
        let fills = Arc::new(Fills {
            store: Arc::clone(&store),
            exchanges: Arc::clone(&exchanges),
            ingest: Ingest { budget: Arc::clone(&budget), window_bytes: limits.window_bytes },
            collapse: Collapse {
                fetches: Fetches::new(),
                loads: Fetches::new(),
                learned: Learned::new(limits.learned_keys, limits.learned_for),
            },
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
            learned_for: limits.learned_for,
        });
        let purges = Arc::new(Purges {
            barriers,
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
            stopping: stopping.clone(),
            heir: tokio::sync::RwLock::default(),
        });
        let (owed, senders_wanted) = Owed::new(&clock, &budget);
        let reader = Arc::new(Reader {
            store: Arc::clone(&store),
            owed: Arc::clone(&owed),
            fills: Arc::clone(&fills),
            exchanges: Arc::clone(&exchanges),
            purges: Arc::clone(&purges),
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
        });
        let writer = Arc::new(Writer {
            store: Arc::clone(&store),
            fills,
            reader: Arc::clone(&reader),
            exchanges: Arc::clone(&exchanges),
            purges: Arc::clone(&purges),
            owed: Arc::clone(&owed),
            clock: Arc::clone(&clock),
            tasks: tasks.clone(),
        });
        let tunnels = Tunnels {
            exchanges,
            clock: Arc::clone(&clock),
            budget: Arc::clone(&budget),
            tasks: tasks.clone(),
            ended: CancellationToken::new(),
        };
        let events = Arc::new(Hub::default());
        let bound = Bound { l1_bytes: limits.l1_bytes };
        commons.bound(bound.commons_bytes(&tenants, budget.stats().l1_kept_percent));
        for tenant in tenants.iter() {
            tenant.events.join(&events, &budget);
            commons.seat(tenant);
        }
        let (tenants, changing) = (Arc::new(ArcSwap::from_pointee(tenants)), Mutex::new(bound));
        Self {
            rooms: Arc::new(Rooms {
                tenants,
                changing,
                store,
                commons,
                reader,
                writer,
                purges,
                previews: Previews::default(),
                owed,
                senders_wanted: Mutex::new(Some(senders_wanted)),
                tunnels,
                peers,
                clock,
                budget,
                events,
                tasks,
                stopping,
            }),
        }
    }

    /// All tenants, as they are at this moment.
    pub fn tenants(&self) -> Arc<Roster> {
        self.rooms.tenants.load_full()
    }

    /// What stores, fills and purges, for values without HTTP.
    pub(crate) fn writer(&self) -> &Arc<Writer> {
        &self.rooms.writer
    }

    /// As [`Self::explain`], for a request that is made already.
    pub(crate) async fn explain_request(&self, request: &CacheRequest) -> Explanation {
        let Rooms { store, peers, clock, .. } = &*self.rooms;
        Explainer { store, peers, now: clock.now() }.explain_request(request).await
    }

    /// Tells this cache from all others in the process.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.rooms).addr()
    }

    /// The tenant of that name, if there is one.
    pub fn tenant(&self, name: &str) -> Option<Arc<Tenant>> {
        self.rooms.tenants.load().named(name).cloned()
    }

    /// The tenant that answers for a host, if there is one: see [`Hosts::find`](crate::hosts::Hosts::find).
    pub fn tenant_at(&self, host: &str) -> Option<Arc<Tenant>> {
        self.rooms.tenants.load().hosts().find(host).cloned()
    }

    /// Drops all entries that tenants have in L1.
    #[doc(hidden)]
    pub fn clear_memory(&self) {
        self.tenants().iter().for_each(|tenant| tenant.clear_memory());
    }

    /// Figures of what the tenants without a share of L1 have together.
    #[doc(hidden)]
    pub fn commons_stats(&self) -> CommonsStats {
        self.rooms.commons.stats()
    }

    /// Name and health of the L2; `None` for a cache in memory alone.
    pub fn l2_health(&self) -> Option<(&'static str, TierHealth)> {
        self.rooms.store.l2.as_ref().map(|l2| (l2.name(), l2.health()))
    }

    /// A reader of the events of all tenants, whose channel has room for `capacity` events.
    pub fn events(&self, capacity: usize) -> Events {
        self.rooms.events.listen(None, capacity)
    }

    /// Like [`Self::events`], for one tenant of this cache alone.
    pub fn events_of(&self, tenant: &Tenant, capacity: usize) -> Events {
        self.rooms.events.listen(Some(tenant.events.join(&self.rooms.events, &self.rooms.budget)), capacity)
    }

    /// The account of the node's memory that the cache is charged to.
    pub fn memory_budget(&self) -> &Arc<MemoryBudget> {
        &self.rooms.budget
    }

    /// The clock that the cache reads its times from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.rooms.clock
    }

    /// How many background tasks are under way: fills, refreshes, sweeps, writes, deliveries of purges, tunnels.
    pub fn under_way(&self) -> usize {
        self.rooms.tasks.len()
    }

    /// The fleet that this node has joined; `None` before, and without the feature `redis`.
    #[doc(hidden)]
    pub fn fleet(&self) -> Option<&Fleet> {
        self.rooms.peers.fleet()
    }

    /// The state of the fleet as this node sees it, for operators; `None` where it has joined none.
    pub fn fleet_report(&self) -> Option<FleetReport> {
        self.rooms.peers.report()
    }

    /// Purges entries of a tenant, which makes them invisible (hard) or stale (soft): on this node before the call
    /// returns, elsewhere as the report says. What a fill that began before the purge brings is purged as well.
    ///
    /// A purge that has begun is completed and delivered even if the returned future is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn purge(&self, tenant: &Arc<Tenant>, purges: &[Purge]) -> PurgeReport {
        self.rooms.purges.purge(tenant, purges).await
    }

    /// What a purge would reach on this node now: of memory exactly, of the L2 at least so much. Nothing is purged, and no entry counts as
    /// read. Each of a tenant's entries is looked at, and the eviction policy asked for its order, off the threads that serve
    /// requests; the L2 is asked for [`PurgePreview::ASKED_MAX`] keys at most.
    ///
    /// # Errors
    /// Where somebody else asks that of the tenant just now.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn preview_purge(&self, tenant: &Arc<Tenant>, purges: &[Purge]) -> Result<PurgePreview, PreviewError> {
        self.rooms.previews.preview(&self.rooms.store, tenant, purges).await
    }

    /// Purges of all tenants that have not reached their store or the other nodes yet.
    pub fn purges_pending(&self) -> usize {
        self.tenants().iter().map(|tenant| tenant.outbox.len()).sum()
    }

    /// Stores a response for `target` on `site` as if the origin had just sent it for a GET without header fields, in
    /// place of all variants that are stored there. Those are purged first, as by a write; the report says what became
    /// of that purge on the other nodes, where the class's consistency promises something. On this node the response is
    /// stored in any case.
    ///
    /// The call is completed even if the returned future is dropped.
    ///
    /// # Errors
    /// When the response may not be stored (nothing has changed then), or when `site` and `target` make no key.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn put(
        &self,
        tenant: &Arc<Tenant>,
        site: &str,
        target: &str,
        response: Response<impl Into<Content>>,
    ) -> Result<PurgeReport, PutError> {
        self.rooms.writer.put(tenant, site, target, response.map(Into::into)).await
    }

    /// Purges what is stored for `target` on `site` (hard), with all its variants.
    ///
    /// # Errors
    /// When `site` and `target` make no key.
    pub async fn delete(&self, tenant: &Arc<Tenant>, site: &str, target: &str) -> Result<PurgeReport, NoKey> {
        self.rooms.writer.delete(tenant, site, target).await
    }

    /// Where the response to a request is stored now, what the request would get, and why. Changes nothing: no policy is told of
    /// a read, nothing is fetched, promoted or counted. (The L2 is read, and barriers that are recorded there.)
    ///
    /// # Errors
    /// When the request has no key.
    pub async fn explain(&self, tenant: &Arc<Tenant>, head: http::request::Parts) -> Result<Explanation, NoKey> {
        let Rooms { store, peers, clock, .. } = &*self.rooms;
        Explainer { store, peers, now: clock.now() }.explain(tenant, head).await
    }

    /// A guard that, when it is dropped, ends all tunnels and lets no new one begin to copy; for shutting a node down.
    pub fn ends_tunnels(&self) -> DropGuard {
        self.rooms.tunnels.ended.clone().drop_guard()
    }

    /// Ends tunnels, and waits for fills, refreshes and sweeps under way, so that what they fetched is stored. Pending
    /// purges are tried for about three seconds longer. Those that are lost are logged, even if the returned future is
    /// dropped before its end.
    pub async fn drain(&self) {
        let _lost = TellsOfLostPurges(self);
        self.rooms.writer.deliver_before_stop().await;
        self.rooms.stopping.cancel();
        self.rooms.tunnels.ended.cancel();
        self.rooms.tasks.close();
        self.rooms.tasks.wait().await;
        if let Err(error) = self.rooms.owed.close().await {
            tracing::warn!(%error, "the journal could not be closed: some writes may be delivered again");
        }
        self.leave_fleet().await;
    }
}

impl Drop for Rooms {
    /// Senders of held writes end, and with them the journal.
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

/// When it is dropped, logs the purges that other nodes will never hear of.
struct TellsOfLostPurges<'a>(&'a Cache);

impl Drop for TellsOfLostPurges<'_> {
    fn drop(&mut self) {
        for tenant in self.0.tenants().iter() {
            let purges = tenant.outbox.len();
            if purges > 0 {
                let (tenant, first) = (&tenant.name, tenant.outbox.first(LOST_NAMED_MAX));
                tracing::error!(%tenant, purges, ?first, "stopped before these purges could reach the other nodes");
            }
            let purges = tenant.unheard.len();
            if purges > 0 {
                let (tenant, first) = (&tenant.name, tenant.unheard.first(LOST_NAMED_MAX));
                tracing::error!(%tenant, purges, ?first, "stopped before these purges could be recorded: L2 may show what they hide");
            }
        }
    }
}
