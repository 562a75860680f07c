//! Puts a cache together from what an embedding program says.

use std::path::PathBuf;
use std::sync::Arc;

use sandbar_base::clock::{Clock, SystemClock};
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_policy::{Binding, Engine, EngineConfig};

use super::handle::{Kept, Sandbar};
use super::makers::{Makers, check_shares};
use super::opener::Opener;
use super::{BuildError, UnknownTenant};
use crate::cache::{Cache, CacheLimits, CacheParts, Roster, TenantChangeError};
use crate::commons::l1_needed;
use crate::memory_budget::keeper::{self, Keeper, this_machine};
use crate::memory_budget::pressure::PressureConfig;
use crate::tenant::config::TenantConfig;
use crate::tier::{BarrierStore, Tier};

/// Says what a cache is made of. Whatever is left out has the default that its method names.
#[must_use = "nothing is made before `build`"]
pub struct Builder {
    tenants: Vec<TenantConfig>,
    bindings: Vec<(String, Binding)>,
    clock: Arc<dyn Clock>,
    l2: L2,
    memory_bytes: Option<u64>,
    limits: Option<CacheLimits>,
    engine: Option<EngineConfig>,
    data_dir: Option<PathBuf>,
}

/// The tier below L1.
enum L2 {
    None,
    Given(Arc<dyn Tier>, Arc<dyn BarrierStore>),
    #[cfg(feature = "disk")]
    Disk(PathBuf, u64),
    #[cfg(feature = "redis")]
    Redis(String),
}

/// An L2 in its two uses.
type Opened = (Arc<dyn Tier>, Arc<dyn BarrierStore>);

impl Default for Builder {
    fn default() -> Self {
        Self {
            tenants: Vec::new(),
            bindings: Vec::new(),
            clock: Arc::new(SystemClock),
            l2: L2::None,
            memory_bytes: None,
            limits: None,
            engine: Some(EngineConfig::default()),
            data_dir: None,
        }
    }
}

impl Builder {
    /// Adds a tenant. Without one, there is a tenant `default`. Where there is only one and it names no hosts, it answers for
    /// all hosts.
    ///
    /// Its settings mean what they mean in the gateway's configuration: policies, grants and classes too. A tenant without
    /// an origin asks the service behind the layer.
    pub fn tenant(mut self, config: TenantConfig) -> Self {
        self.tenants.push(config);
        self
    }

    /// Binds a policy of a tenant from the start, in the place of the one that the tenant's settings name for the role. A
    /// binding that is kept in [`Self::data_dir`] outranks both, until it is unbound.
    pub fn policy(mut self, tenant: &str, binding: Binding) -> Self {
        self.bindings.push((tenant.to_owned(), binding));
        self
    }

    /// Adds an L2 on this machine's disk, in a directory that no other process uses; at most `capacity_bytes`, 16 MiB at
    /// least.
    #[cfg(feature = "disk")]
    pub fn disk(mut self, path: impl Into<PathBuf>, capacity_bytes: u64) -> Self {
        self.l2 = L2::Disk(path.into(), capacity_bytes);
        self
    }

    /// Adds an L2 in Redis. The cache does without it until it can be reached.
    #[cfg(feature = "redis")]
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.l2 = L2::Redis(url.into());
        self
    }

    /// Adds an L2 that is open already; purges are recorded in it too. It has to be charged to a memory bound by whoever
    /// opened it.
    pub fn l2<T: Tier + BarrierStore>(mut self, l2: Arc<T>) -> Self {
        self.l2 = L2::Given(Arc::clone(&l2) as Arc<dyn Tier>, l2);
        self
    }

    /// Bounds all that the cache keeps in memory, L1 of all tenants included: what finds no room is not kept. L1 shrinks
    /// where the machine, or the cgroup, runs short all the same. Without it, the tenants' L1 alone is bounded.
    pub const fn memory_bytes(mut self, total: u64) -> Self {
        self.memory_bytes = Some(total);
        self
    }

    /// Bounds the cache's own tables; by default as [`CacheLimits`] says, or as `memory_bytes` has room for.
    pub const fn limits(mut self, limits: CacheLimits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// How guests are run.
    pub fn engine(mut self, config: EngineConfig) -> Self {
        self.engine = Some(config);
        self
    }

    /// Runs no guests and starts no engine for them: only native policies can be bound. Without the feature `wasm` that is
    /// so anyway.
    pub fn native_only(mut self) -> Self {
        self.engine = None;
        self
    }

    /// Keeps what is bound while the program runs in this directory, so that it survives a restart; native policies of the
    /// program's own excepted. Without it, nothing is kept.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// Takes time from `clock`; by default from the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the cache. Blocks while it opens an L2 on disk and compiles policies.
    ///
    /// # Errors
    /// When anything is wrong with what it is to be made of; nothing has begun then.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn build(mut self) -> Result<Sandbar, BuildError> {
        if self.tenants.is_empty() {
            self.tenants.push(TenantConfig::default());
        }
        if let [only] = &mut *self.tenants
            && only.hosts.is_empty()
        {
            only.hosts.push("*".to_owned());
        }
        self.check_names()?;
        let l1_bytes = self.tenants.iter().map(|tenant| tenant.l1.bytes()).fold(0, u64::saturating_add);
        let has_shareless = self.tenants.iter().any(|tenant| tenant.l1.bytes() == 0);
        check_shares(l1_needed(l1_bytes, has_shareless), self.memory_bytes)?;
        let budget = self.memory_bytes.map_or_else(MemoryBudget::unbounded, MemoryBudget::new);
        let (limits, tables) = CacheLimits::within(&budget).ok_or(BuildError::Memory(budget.total_bytes()))?;
        let limits = self.limits.take().unwrap_or(limits);
        let engine = self.start_engine(&budget)?;
        let opener = Opener {
            engine: engine.clone(),
            data_dir: self.data_dir.take(),
            clock: Arc::clone(&self.clock),
            bindings: std::mem::take(&mut self.bindings),
        };
        let tenants = self.tenants.iter().map(|config| opener.open(config, false)).collect::<Result<Vec<_>, _>>()?;
        let tenants = Roster::new(tenants).map_err(TenantChangeError::Roster)?;
        let (l2, barriers) = self.open_l2(&budget)?.unzip();
        let parts = CacheParts { tenants, l2, barriers, clock: self.clock, limits };
        let cache = Cache::within(parts, Arc::clone(&budget));
        let keeper = self.memory_bytes.map(|_| {
            let kept = keeper::Kept { cache: cache.clone(), engine, budget };
            Keeper::start(kept, PressureConfig::default(), this_machine())
        });
        let kept = Arc::new(Kept { _keeper: keeper, _tables: tables });
        Ok(Sandbar { cache, makers: Arc::new(Makers::new(opener, self.memory_bytes)), kept })
    }

    /// Checks the names of the tenants and of those that policies are for.
    fn check_names(&self) -> Result<(), BuildError> {
        let names: Vec<String> = self.tenants.iter().map(|tenant| tenant.name.clone()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            return Err(BuildError::SameName(twice.1.clone()));
        }
        if let Some((name, _)) = self.bindings.iter().find(|(name, _)| !names.contains(name)) {
            return Err(BuildError::UnknownTenant(UnknownTenant { name: name.clone(), known: names }));
        }
        Ok(())
    }

    #[cfg(feature = "wasm")]
    fn start_engine(&self, budget: &Arc<MemoryBudget>) -> Result<Option<Arc<Engine>>, BuildError> {
        let Some(config) = &self.engine else { return Ok(None) };
        let engine = Engine::within(config, Arc::clone(budget));
        engine.map(Some).map_err(|error| BuildError::Engine(error.to_string()))
    }

    #[cfg(not(feature = "wasm"))]
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "an engine would have settings and may fail to start"
    )]
    fn start_engine(&self, _budget: &Arc<MemoryBudget>) -> Result<Option<Arc<Engine>>, BuildError> {
        Ok(None)
    }

    fn open_l2(&mut self, budget: &Arc<MemoryBudget>) -> Result<Option<Opened>, BuildError> {
        let _ = budget;
        match std::mem::replace(&mut self.l2, L2::None) {
            L2::None => Ok(None),
            L2::Given(tier, barriers) => Ok(Some((tier, barriers))),
            #[cfg(feature = "disk")]
            L2::Disk(path, capacity_bytes) => {
                use crate::tier::disk::{DiskConfig, DiskTier};
                let config = DiskConfig { budget: Arc::clone(budget), ..DiskConfig::new(path, capacity_bytes) };
                let disk = DiskTier::open(&config, Arc::clone(&self.clock));
                let disk = disk.map_err(|error| BuildError::L2(error.to_string()))?;
                Ok(Some((Arc::clone(&disk) as Arc<dyn Tier>, disk)))
            }
            #[cfg(feature = "redis")]
            L2::Redis(url) => {
                use crate::tier::redis::{RedisConfig, RedisTier};
                let config = RedisConfig { budget: Arc::clone(budget), ..RedisConfig::new(url) };
                let redis = RedisTier::connect(&config, Arc::clone(&self.clock));
                let redis = redis.map_err(|error| BuildError::L2(error.to_string()))?;
                Ok(Some((Arc::clone(&redis) as Arc<dyn Tier>, redis)))
            }
        }
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("tenants", &self.tenants).finish_non_exhaustive()
    }
}
