//! The cache: the read path, the write path, and what keeps them right.
//!
//! [`Cache::respond`] is the whole of it: a request in, a response out, never an error.

mod ask;
mod asked;
mod began;
mod cached;
mod collapse;
mod complete;
mod detach;
mod fill;
mod fleet;
mod found;
mod jitter;
mod judge;
mod lease;
mod lookup;
mod origin_request;
mod pass;
mod pending;
mod purge;
mod read;
mod record;
mod refresh;
mod renew;
mod respond;
mod share;
mod spool;
mod store;
mod tail;
mod take_in;
mod tunnel;
mod versioned;
mod write;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use ask::head_bytes;
pub use cached::Cached;
pub(crate) use pending::Pending;
pub use purge::PurgeReport;
use sandbar_base::clock::Clock;
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_http::key::KeyHash;
pub use write::PutError;

use crate::barrier::BarrierStore;
use crate::tenant::Tenant;
use crate::tier::{Tier, TierHealth};
use collapse::flight::Flights;
use collapse::landing::Landing;
pub use respond::serve::CACHE;

/// How long a task waits before it asks a store again that has just failed.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long a sweep waits for more purges: each sweep looks at all entries.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);
/// How often a purge is still tried when the cache is being stopped: a store that is just coming back gets it.
const LAST_TRIES: u32 = 12;
/// The pause between two of these.
const LAST_PAUSE: Duration = Duration::from_millis(250);
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
    pub limits: Limits,
}

/// Bounds of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys that are remembered as not storable, so that nobody waits for another's fetch of them.
    pub learned_keys: u64,
    /// For how long they are.
    pub learned_for: Duration,
    /// Bytes that are kept of a body that has outgrown its bound, for waiters that read it behind the fastest.
    pub window_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { learned_keys: 65_536, learned_for: Duration::from_secs(120), window_bytes: 1 << 20 }
    }
}

/// A multi-tier cache. Cheap to clone: all clones are the same cache.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

struct Inner {
    tenants: Vec<Arc<Tenant>>,
    l2: Option<Arc<dyn Tier>>,
    barriers: Option<Arc<dyn BarrierStore>>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    flights: Arc<Flights<Landing>>,
    budget: Arc<MemoryBudget>,
    /// Keys whose responses turned out not to be storable.
    learned: mini_moka::sync::Cache<KeyHash, ()>,
    place: fleet::Place,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Cancelled where all tunnels are to end.
    tunnels: CancellationToken,
}

impl Cache {
    /// Puts a cache together. Barriers are read from their store before the first lookup in L2.
    pub fn new(parts: CacheParts) -> Self {
        Self::within(parts, MemoryBudget::unbounded())
    }

    /// The same, with what it keeps charged to a node's memory.
    pub fn within(parts: CacheParts, budget: Arc<MemoryBudget>) -> Self {
        let learned = mini_moka::sync::Cache::builder()
            .max_capacity(parts.limits.learned_keys)
            .time_to_live(parts.limits.learned_for)
            .build();
        Self {
            inner: Arc::new(Inner {
                tenants: parts.tenants,
                l2: parts.l2,
                barriers: parts.barriers,
                clock: parts.clock,
                limits: parts.limits,
                flights: Flights::new(),
                budget,
                learned,
                place: fleet::Place::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
                tunnels: CancellationToken::new(),
            }),
        }
    }

    /// Its tenants.
    pub fn tenants(&self) -> &[Arc<Tenant>] {
        &self.inner.tenants
    }

    /// The tenant of that name.
    pub fn tenant(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.inner.tenants.iter().find(|tenant| *tenant.name == *name)
    }

    /// Name and health of the L2.
    pub fn l2_health(&self) -> Option<(&'static str, TierHealth)> {
        self.inner.l2.as_ref().map(|l2| (l2.name(), l2.health()))
    }

    /// The memory of its node.
    pub fn memory_budget(&self) -> &Arc<MemoryBudget> {
        &self.inner.budget
    }

    /// Where its time comes from.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Fills, refreshes and sweeps under way.
    pub fn under_way(&self) -> usize {
        self.inner.tasks.len()
    }

    /// Ends tunnels, and waits for fills, refreshes and sweeps under way, so that what they fetched is stored. Purges that wait for their
    /// store are tried for a moment longer; which of them are lost is logged, also where nobody waits until the end.
    pub async fn drain(&self) {
        let _lost = TellsOfLostPurges(self);
        self.inner.stopping.cancel();
        self.inner.tunnels.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
        if let Some(fleet) = self.fleet() {
            fleet.bus().leave().await;
        }
    }

    /// Sleeps; true where the cache is being stopped.
    async fn sleep_or_stopped(&self, pause: Duration) -> bool {
        tokio::time::timeout(pause, self.inner.stopping.cancelled()).await.is_ok()
    }
}

/// Says which purges other nodes will never hear of, when it is dropped.
struct TellsOfLostPurges<'a>(&'a Cache);

impl Drop for TellsOfLostPurges<'_> {
    fn drop(&mut self) {
        for tenant in self.0.tenants() {
            let purges = tenant.pending.len();
            if purges > 0 {
                let (tenant, first) = (&tenant.name, tenant.pending.first(LOST_NAMED_MAX));
                tracing::error!(%tenant, purges, ?first, "stopped before these purges could reach the other nodes");
            }
        }
    }
}
