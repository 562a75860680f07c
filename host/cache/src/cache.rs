//! The cache: what its rooms are, and what can be asked of it.
//!
//! [`Cache::respond`] is the whole of it: a request in, a response out, never an error.

#[cfg(feature = "redis")]
mod ear;
mod route;
mod tenants;

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use sandbar_base::clock::Clock;
use sandbar_base::memory_budget::{Content, MemoryBudget};
use sandbar_http::key::NoKey;
use sandbar_http::purge::Purge;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::tenants::Tenants;
pub use crate::cached::Cached;
use crate::collapse::fetch::Fetches;
use crate::collapse::{Collapse, Learned};
use crate::exchange::Exchanges;
pub use crate::exchange::head_bytes;
use crate::fill::Fills;
use crate::fleet::{Fleet, FleetReport};
use crate::ingest::Ingest;
use crate::peers::Peers;
pub use crate::purge::PurgeReport;
use crate::purge::Purges;
use crate::read::Reader;
pub use crate::request::CACHE;
use crate::store::Store;
use crate::tenant::Tenant;
use crate::tier::BarrierStore;
use crate::tier::{Tier, TierHealth};
use crate::tunnel::Tunnels;
pub use crate::write::PutError;
use crate::write::Writer;

/// Lost purges that the log names one by one, per tenant.
const LOST_NAMED_MAX: usize = 16;

/// What a cache is made of.
pub struct CacheParts {
    /// Its tenants.
    pub tenants: Vec<Arc<Tenant>>,
    /// The tier below L1; none for a cache in memory alone.
    pub l2: Option<Arc<dyn Tier>>,
    /// Where barriers outlive the process; it belongs to the L2.
    pub barriers: Option<Arc<dyn BarrierStore>>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Its bounds.
    pub limits: CacheLimits,
}

/// Bounds of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Keys that are remembered as not storable, so that nobody waits for another's fetch of them.
    pub learned_keys: u64,
    /// For how long they are.
    pub learned_for: Duration,
    /// Bytes that are kept of a body that has outgrown its bound, for waiters that read it behind the fastest.
    pub window_bytes: u64,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { learned_keys: 65_536, learned_for: Duration::from_secs(120), window_bytes: 1 << 20 }
    }
}

/// A multi-tier cache. Cheap to clone: all clones are the same cache.
#[derive(Clone)]
pub struct Cache {
    rooms: Arc<Rooms>,
}

/// The rooms of a cache. Each holds what it needs of the others.
struct Rooms {
    tenants: Tenants,
    store: Arc<Store>,
    reader: Arc<Reader>,
    writer: Arc<Writer>,
    purges: Arc<Purges>,
    tunnels: Tunnels,
    peers: Arc<Peers>,
    clock: Arc<dyn Clock>,
    budget: Arc<MemoryBudget>,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Cache {
    /// Puts a cache together. Barriers are read from their store before the first lookup in L2.
    pub fn new(parts: CacheParts) -> Self {
        Self::within(parts, MemoryBudget::unbounded())
    }

    /// The same, with what it keeps charged to a node's memory.
    pub fn within(parts: CacheParts, budget: Arc<MemoryBudget>) -> Self {
        let CacheParts { tenants, l2, barriers, clock, limits } = parts;
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let peers = Arc::new(Peers::default());
        let store = Arc::new(Store {
            l2,
            barriers: barriers.clone(),
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
            budget: Arc::clone(&budget),
        });
        let exchanges = Arc::new(Exchanges { budget: Arc::clone(&budget) });
        let fills = Arc::new(Fills {
            store: Arc::clone(&store),
            exchanges: Arc::clone(&exchanges),
            ingest: Ingest { budget: Arc::clone(&budget), window_bytes: limits.window_bytes },
            collapse: Collapse {
                fetches: Fetches::new(),
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
        });
        let reader = Arc::new(Reader {
            store: Arc::clone(&store),
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
            peers: Arc::clone(&peers),
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
        let tenants = Tenants::new(tenants);
        let rooms = Rooms { tenants, store, reader, writer, purges, tunnels, peers, clock, budget, tasks, stopping };
        Self { rooms: Arc::new(rooms) }
    }

    /// Its tenants.
    pub fn tenants(&self) -> &[Arc<Tenant>] {
        self.rooms.tenants.all()
    }

    /// The tenant of that name.
    pub fn tenant(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.rooms.tenants.named(name)
    }

    /// Name and health of the L2.
    pub fn l2_health(&self) -> Option<(&'static str, TierHealth)> {
        self.rooms.store.l2.as_ref().map(|l2| (l2.name(), l2.health()))
    }

    /// The memory of its node.
    pub fn memory_budget(&self) -> &Arc<MemoryBudget> {
        &self.rooms.budget
    }

    /// Where its time comes from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.rooms.clock
    }

    /// Fills, refreshes and sweeps under way.
    pub fn under_way(&self) -> usize {
        self.rooms.tasks.len()
    }

    /// The fleet it has joined.
    pub fn fleet(&self) -> Option<&Fleet> {
        self.rooms.peers.fleet()
    }

    /// What an operator wants to know of its part in the fleet.
    pub fn fleet_report(&self) -> Option<FleetReport> {
        self.rooms.peers.report()
    }

    /// Makes entries of a tenant invisible (hard) or stale (soft): on this node before it returns, elsewhere as the
    /// report says. A fill that has begun before never becomes visible after it.
    ///
    /// It goes on where the caller leaves: a purge that has begun is done and delivered whole.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn purge(&self, tenant: &Arc<Tenant>, purges: &[Purge]) -> PurgeReport {
        self.rooms.purges.purge(tenant, purges).await
    }

    /// Purges that wait to be delivered.
    pub fn purges_pending(&self) -> usize {
        self.tenants().iter().map(|tenant| tenant.outbox.len()).sum()
    }

    /// Stores a response for `target` on `site` as if the origin had just given it to a GET without fields of its own, in
    /// the place of all that is stored there. What was there is purged first, as by a write: answers with what became of
    /// that on the other nodes, on which the class's consistency promises something. It is stored here in any case.
    ///
    /// It goes on where the caller leaves.
    ///
    /// # Errors
    /// When it may not be stored: why not; nothing has changed then. When `site` or `target` makes no key.
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

    /// Forgets what is stored for `target` on `site`, all variants of it.
    ///
    /// # Errors
    /// When `site` and `target` make no key.
    pub async fn delete(&self, tenant: &Arc<Tenant>, site: &str, target: &str) -> Result<PurgeReport, NoKey> {
        self.rooms.writer.delete(tenant, site, target).await
    }

    /// Ends all tunnels when the guard is dropped, and lets no new one begin to copy: whoever stops a node holds it.
    pub fn ends_tunnels(&self) -> DropGuard {
        self.rooms.tunnels.ended.clone().drop_guard()
    }

    /// Ends tunnels, and waits for fills, refreshes and sweeps under way, so that what they fetched is stored. Purges that
    /// wait for their store are tried for a moment longer; which of them are lost is logged, also where nobody waits until
    /// the end.
    pub async fn drain(&self) {
        let _lost = TellsOfLostPurges(self);
        self.rooms.stopping.cancel();
        self.rooms.tunnels.ended.cancel();
        self.rooms.tasks.close();
        self.rooms.tasks.wait().await;
        if let Some(fleet) = self.fleet() {
            fleet.bus().leave().await;
        }
    }
}

/// Says which purges other nodes will never hear of, when it is dropped.
struct TellsOfLostPurges<'a>(&'a Cache);

impl Drop for TellsOfLostPurges<'_> {
    fn drop(&mut self) {
        for tenant in self.0.tenants() {
            let purges = tenant.outbox.len();
            if purges > 0 {
                let (tenant, first) = (&tenant.name, tenant.outbox.first(LOST_NAMED_MAX));
                tracing::error!(%tenant, purges, ?first, "stopped before these purges could reach the other nodes");
            }
        }
    }
}
