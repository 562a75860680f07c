//! Puts a cache together from what an embedding program says.

use std::path::PathBuf;
use std::sync::Arc;

use sandbar_base::clock::{Clock, SystemClock};
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_policy::{Binding, Engine, EngineConfig, TenantPolicies};

use super::handle::{Kept, Sandbar};
use super::{BuildError, UnknownTenant};
use crate::cache::{Cache, CacheLimits, CacheParts};
use crate::hosts::Hosts;
use crate::memory_budget::keeper::{self, Keeper, this_machine};
use crate::memory_budget::pressure::PressureConfig;
use crate::origin::Origin;
use crate::origin::behind::ServiceBehind;
use crate::tenant::Tenant;
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

/// The part of the memory that the tenants' shares have to leave: an eighth.
const LEFT_DIVISOR: u64 = 8;

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
        let hosts = self.hosts()?;
        self.check_shares()?;
        let budget = self.memory_bytes.map_or_else(MemoryBudget::unbounded, MemoryBudget::new);
        let (limits, tables) = CacheLimits::within(&budget).ok_or(BuildError::Memory(budget.total_bytes()))?;
        let limits = self.limits.take().unwrap_or(limits);
        let engine = self.start_engine(&budget)?;
        let tenants = self.tenants.iter().map(|config| self.open(config, engine.clone()));
        let tenants = tenants.collect::<Result<Vec<_>, _>>()?;
        let (l2, barriers) = self.open_l2(&budget)?.unzip();
        let hosts = hosts.map(|index| Arc::clone(&tenants[index]));
        let parts = CacheParts { tenants, l2, barriers, clock: self.clock, limits };
        let cache = Cache::within(parts, Arc::clone(&budget));
        let keeper = self.memory_bytes.map(|_| {
            let kept = keeper::Kept { cache: cache.clone(), engine, budget };
            Keeper::start(kept, PressureConfig::default(), this_machine())
        });
        let kept = Arc::new(Kept { _keeper: keeper, _tables: tables });
        Ok(Sandbar { cache, hosts: Arc::new(hosts), kept })
    }

    /// An L1 that is larger than the memory never evicts: once that is full, nothing new would find room.
    fn check_shares(&self) -> Result<(), BuildError> {
        let Some(total_bytes) = self.memory_bytes else { return Ok(()) };
        let l1_bytes = self.tenants.iter().map(|tenant| tenant.l1.bytes()).fold(0, u64::saturating_add);
        let fits = l1_bytes <= total_bytes - total_bytes / LEFT_DIVISOR;
        if fits { Ok(()) } else { Err(BuildError::Shares { l1_bytes, total_bytes }) }
    }

    /// The index of the tenant of each host; checks names too.
    fn hosts(&self) -> Result<Hosts<usize>, BuildError> {
        let names: Vec<String> = self.tenants.iter().map(|tenant| tenant.name.clone()).collect();
        if let Some(twice) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            return Err(BuildError::SameName(twice.1.clone()));
        }
        if let Some((name, _)) = self.bindings.iter().find(|(name, _)| !names.contains(name)) {
            return Err(BuildError::UnknownTenant(UnknownTenant { name: name.clone(), known: names }));
        }
        let each = |(index, tenant): (usize, &TenantConfig)| {
            tenant.hosts.iter().map(move |host| (host.clone(), index)).collect::<Vec<_>>()
        };
        Hosts::new(self.tenants.iter().enumerate().flat_map(each)).map_err(BuildError::Hosts)
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

    fn open(&self, config: &TenantConfig, engine: Option<Arc<Engine>>) -> Result<Arc<Tenant>, BuildError> {
        let bindings = self.bindings_of(config)?;
        let policies = TenantPolicies::open(
            engine,
            &config.name,
            &bindings,
            config.grants.clone(),
            self.data_dir.as_deref(),
            Arc::clone(&self.clock),
        );
        let policies = policies.map_err(|reason| BuildError::Policy { tenant: config.name.clone(), reason })?;
        Ok(Tenant::new(config, policies, origin(config)?, Arc::clone(&self.clock))?)
    }

    /// The policies of a tenant's settings, and in their place those that the builder was given for the same role.
    fn bindings_of(&self, config: &TenantConfig) -> Result<Vec<Binding>, BuildError> {
        let wrong = |reason| BuildError::Choice { tenant: config.name.clone(), reason };
        let configured = config.policy.iter().map(|(role, choice)| choice.clone().into_binding(*role).map_err(wrong));
        let mut bindings = configured.collect::<Result<Vec<_>, _>>()?;
        for (_, binding) in self.bindings.iter().filter(|(tenant, _)| *tenant == config.name) {
            bindings.retain(|other| other.role != binding.role);
            bindings.push(binding.clone());
        }
        Ok(bindings)
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

/// The origin that a tenant's settings name, else the service behind the layer.
fn origin(config: &TenantConfig) -> Result<Arc<dyn Origin>, BuildError> {
    let Some(named) = &config.origin else { return Ok(Arc::new(ServiceBehind)) };
    let failed = |reason: String| BuildError::Origin { tenant: config.name.clone(), reason };
    #[cfg(feature = "http-origin")]
    {
        let origin = crate::origin::http::HttpOrigin::new(named).map_err(|error| failed(error.to_string()))?;
        Ok(Arc::new(origin))
    }
    #[cfg(not(feature = "http-origin"))]
    {
        let _ = named;
        Err(failed("the program was built without the feature `http-origin`".to_owned()))
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("tenants", &self.tenants).finish_non_exhaustive()
    }
}
