//! From settings to a cache: the tiers, the engine, the tenants with their origins and policies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use super::config::{GatewayConfig, L2Kind};
use super::fleet;
use super::hosts::Hosts;
use crate::barrier::BarrierStore;
use crate::cache::{Cache, CacheParts, Limits};
use crate::clock::{Clock, SystemClock};
use crate::memory_budget::MemoryBudget;
use crate::memory_budget::keeper::{Keeper, Kept, this_machine};
use crate::origin::http::HttpOrigin;
use crate::policy::{Binding, Engine, EngineConfig, TenantPolicies};
use crate::tenant::Tenant;
use crate::tenant::config::TenantConfig;
use crate::tier::Tier;
use crate::tier::disk::{DiskConfig, DiskTier};
use crate::tier::redis::{RedisConfig, RedisTier};

/// What a gateway runs.
pub(super) struct Parts {
    pub(super) cache: Cache,
    pub(super) hosts: Hosts<Arc<Tenant>>,
    pub(super) keeper: Keeper,
}

/// The L2, twice: as a tier, and as what keeps barriers.
type L2 = (Arc<dyn Tier>, Arc<dyn BarrierStore>);

pub(super) async fn assemble(config: &GatewayConfig) -> Result<Parts, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    make_data_dir(&config.data_dir)?;
    let budget = MemoryBudget::new(config.memory_total_bytes()?);
    let engine = Engine::within(&EngineConfig::from(&config.policy), Arc::clone(&budget))?;
    let l2 = l2(config, &clock).await?;
    let mut tenants = Vec::with_capacity(config.tenants.len());
    for tenant in &config.tenants {
        tenants.push(self::tenant(tenant, &config.data_dir, &engine, &clock).await?);
    }
    let hosts = config.hosts()?.map(|index| Arc::clone(&tenants[index]));
    let (l2, barriers) = l2.unzip();
    let barriers = fleet::control(config, &clock)?.or(barriers);
    let parts = CacheParts { tenants, l2, barriers, clock, limits: Limits::default() };
    let cache = Cache::within(parts, Arc::clone(&budget));
    fleet::join(config, &cache).await?;
    let kept = Kept { cache: cache.clone(), engine: Some(engine), budget };
    let keeper = Keeper::start(kept, config.memory.pressure.clone(), this_machine());
    Ok(Parts { cache, hosts, keeper })
}

/// Compiles the policies that the settings name and tries them, as a start does. What was bound over the API before is left
/// out: where that can't be bound any more, a start goes on without it.
///
/// # Errors
/// With the first that could not be bound.
pub fn try_policies(config: &GatewayConfig) -> Result<(), StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // The machine that checks settings need not be the one that they are for.
    let budget = config.memory.total.map_or_else(MemoryBudget::unbounded, |total| MemoryBudget::new(total.as_u64()));
    let engine = Engine::within(&EngineConfig::from(&config.policy), budget)?;
    for tenant in &config.tenants {
        let (bindings, grants) = (bindings(tenant)?, tenant.grants.clone());
        TenantPolicies::open(Arc::clone(&engine), &tenant.name, &bindings, grants, None, Arc::clone(&clock))
            .map_err(|source| StartError::Policy { tenant: tenant.name.clone(), source })?;
    }
    Ok(())
}

fn make_data_dir(path: &Path) -> Result<(), StartError> {
    let failed = |error: std::io::Error| StartError::DataDir { path: path.to_owned(), reason: error.to_string() };
    std::fs::create_dir_all(path).map_err(failed)?;
    tempfile::Builder::new().prefix(".writable").tempfile_in(path).map(drop).map_err(failed)
}

async fn l2(config: &GatewayConfig, clock: &Arc<dyn Clock>) -> Result<Option<L2>, StartError> {
    let l2 = &config.l2;
    match l2.kind {
        L2Kind::None => Ok(None),
        L2Kind::Disk => {
            let path = l2.disk.path.clone().unwrap_or_else(|| config.data_dir.join("l2"));
            let settings = DiskConfig::new(path, l2.disk.capacity.as_u64());
            let clock = Arc::clone(clock);
            let disk = blocking(move || DiskTier::open(&settings, clock)).await?;
            Ok(Some((Arc::clone(&disk) as Arc<dyn Tier>, disk)))
        }
        L2Kind::Redis => {
            let settings = RedisConfig {
                ca_file: l2.redis.ca_file.clone(),
                deadline: l2.redis.deadline,
                value_max_bytes: usize::try_from(l2.redis.value_max.as_u64()).unwrap_or(usize::MAX),
                keeps_barriers: !config.has_fleet() || config.fleet.control_url.is_none(),
                ..RedisConfig::new(l2.redis.url.expose())
            };
            let redis = RedisTier::connect(&settings, Arc::clone(clock))?;
            warn_unless_connected(Arc::clone(&redis), settings.connect_deadline);
            Ok(Some((Arc::clone(&redis) as Arc<dyn Tier>, redis)))
        }
    }
}

/// The gateway does without its L2 until Redis can be reached.
fn warn_unless_connected(redis: Arc<RedisTier>, connect_deadline: Duration) {
    tokio::spawn(async move {
        tokio::time::sleep(connect_deadline * 2).await;
        let health = redis.health();
        if !health.available {
            let reason = health.last_error.unwrap_or_default();
            tracing::warn!(
                reason,
                "Redis can't be reached yet: the gateway runs without its L2 until it can; start it, or mend l2.redis.url"
            );
        }
    });
}

async fn tenant(
    config: &TenantConfig,
    data_dir: &Path,
    engine: &Arc<Engine>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Tenant>, StartError> {
    let name = || config.name.clone();
    let bindings = bindings(config)?;
    let (engine, kept, policy_clock): (_, PathBuf, _) = (Arc::clone(engine), data_dir.into(), Arc::clone(clock));
    let (policy_tenant, grants) = (name(), config.grants.clone());
    let policies =
        blocking(move || TenantPolicies::open(engine, &policy_tenant, &bindings, grants, Some(&kept), policy_clock));
    let policies = policies.await.map_err(|source| StartError::Policy { tenant: name(), source })?;
    let Some(origin) = &config.origin else {
        // Settings without an origin have been refused before.
        unreachable!("tenant {:?} was validated without an origin", config.name);
    };
    let origin = HttpOrigin::new(origin).map_err(|source| StartError::Origin { tenant: name(), source })?;
    let origin = Arc::new(origin);
    warn_unless_reachable(Arc::clone(&origin), name());
    Ok(Tenant::new(config, policies, origin, Arc::clone(clock))?)
}

fn bindings(config: &TenantConfig) -> Result<Vec<Binding>, StartError> {
    let wrong = |role, reason| StartError::Binding { tenant: config.name.clone(), role, reason };
    let bindings = config
        .policy
        .iter()
        .map(|(role, choice)| choice.clone().into_binding(*role).map_err(|reason| wrong(*role, reason)));
    bindings.collect()
}

/// The origin may come up later: requests are answered with 502 and the reason until then.
fn warn_unless_reachable(origin: Arc<HttpOrigin>, tenant: String) {
    tokio::spawn(async move {
        if let Err(error) = origin.probe().await {
            tracing::warn!(
                tenant,
                %error,
                "the origin can't be reached yet: its requests are answered with 502; start it, or mend its URL"
            );
        }
    });
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
