//! Puts a cache together from checked settings: the tiers, the fleet, the tenants with their origins and policies.

use std::sync::Arc;
use std::time::Duration;

use sandbar::barrier::Purge;
use sandbar::cache::{Cache, CacheParts, Roster};
use sandbar::memory_budget::keeper::{Keeper, Kept, this_machine};
use sandbar::origin::http::HttpOrigin;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar::tier::BarrierStore;
use sandbar::tier::Tier;
use sandbar::tier::disk::{DiskConfig, DiskTier};
use sandbar::tier::memcached::MemcachedTier;
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar_base::clock::Clock;
use sandbar_base::memory_budget::{MemoryBudget, Reserved};
use sandbar_policy::{Engine, TenantPolicies};

use super::StartError;
use super::config::{GatewayConfig, L2Kind};
use super::fleet;
use super::ready::{Ready, ReadyTenant, blocking, make_data_dir};
use super::tenants::Tenants;

/// The parts that a gateway runs on.
pub(super) struct Parts {
    pub(super) cache: Cache,
    pub(super) known: Tenants,
    pub(super) engine: Arc<Engine>,
    pub(super) keeper: Keeper,
    /// The charge for the cache's own tables, held while the gateway runs.
    pub(super) tables: Reserved,
    /// The disk tier, where that is the L2, or where purges are recorded beside memcached.
    pub(super) disk: Option<Arc<DiskTier>>,
}

/// The same L2 in its uses: as a tier, as the store of barriers, and as what only one process can have.
type L2 = (Arc<dyn Tier>, Arc<dyn BarrierStore>, Option<Arc<DiskTier>>);

/// Opens the tiers, builds the cache, and joins the fleet.
pub(super) async fn assemble(ready: Ready) -> Result<Parts, StartError> {
    let Ready { config, mut known, clock, budget, limits, tables, engine, tenants, .. } = ready;
    make_data_dir(&config)?;
    let l2 = l2(&config, &clock, &budget).await?;
    let tenants = config.tenants.iter().zip(tenants).map(|(config, ready)| tenant(config, ready, &clock));
    let tenants = Roster::new(tenants.collect::<Result<Vec<_>, _>>()?)?;
    let (l2, barriers, disk) = l2.map_or((None, None, None), |(l2, barriers, disk)| (Some(l2), Some(barriers), disk));
    let barriers = fleet::control(&config, &clock)?.or(barriers);
    let parts = CacheParts { tenants, l2, barriers, clock, limits };
    let cache = Cache::within(parts, Arc::clone(&budget));
    if needs_journal(&cache, &config) {
        open_journal(&cache, &config).await?;
    }
    fleet::join(&config, &cache).await?;
    let with_other_keys = known.with_other_keys(&config.tenants);
    let gone = known.keep_file(&config.tenants, cache.clock().now())?;
    purge_behind(&cache, with_other_keys);
    clean_up_after(&config, &cache, gone);
    let kept = Kept { cache: cache.clone(), engine: Some(Arc::clone(&engine)), budget };
    let keeper = Keeper::start(kept, config.memory.pressure.clone(), this_machine());
    Ok(Parts { cache, known, engine, keeper, tables, disk })
}

/// Purges what is stored for tenants whose key rules have changed since they were last served: purges of today would not
/// reach what was stored under the rules of then.
fn purge_behind(cache: &Cache, tenants: Vec<String>) {
    let cache = cache.clone();
    tokio::spawn(async move {
        for tenant in tenants.iter().filter_map(|name| cache.tenant(name)) {
            tracing::info!(tenant = &*tenant.name, "its key rules have changed: what is stored for it is purged");
            cache.purge(&tenant, &[Purge::everything()]).await;
        }
    });
}

/// Removes what is left of tenants that were taken out of the file while the gateway did not run, as a reload would have: what
/// was bound for them, and what is stored where other nodes can find it.
fn clean_up_after(config: &GatewayConfig, cache: &Cache, gone: Vec<String>) {
    for tenant in gone {
        tracing::info!(tenant, "it was taken out of the file: what was bound and stored for it goes");
        TenantPolicies::forget_kept(&config.data_dir, &tenant);
        cache.purge_gone(&tenant);
    }
}

/// Whether there are writes to be held, or may be some that were.
fn needs_journal(cache: &Cache, config: &GatewayConfig) -> bool {
    let dir = config.journal.dir(&config.data_dir);
    cache.tenants().iter().any(|tenant| tenant.settings.classes.write_behind())
        || std::fs::read_dir(dir).is_ok_and(|mut files| files.next().is_some())
}

/// Opens the journal of held writes, where it is not open yet.
pub(super) async fn open_journal(cache: &Cache, config: &GatewayConfig) -> Result<(), StartError> {
    let (cache, settings) = (cache.clone(), config.journal.settings(&config.data_dir));
    blocking(move || cache.open_journal(settings)).await.map_err(StartError::Journal)
}

async fn l2(
    config: &GatewayConfig,
    clock: &Arc<dyn Clock>,
    budget: &Arc<MemoryBudget>,
) -> Result<Option<L2>, StartError> {
    let l2 = &config.l2;
    match l2.kind {
        L2Kind::None => Ok(None),
        L2Kind::Disk => {
            let path = l2.disk.path.clone().unwrap_or_else(|| config.data_dir.join("l2"));
            let budget = Arc::clone(budget);
            let settings = DiskConfig { budget, ..DiskConfig::new(path, l2.disk.capacity.bytes()) };
            let clock = Arc::clone(clock);
            let disk = blocking(move || DiskTier::open(&settings, clock)).await?;
            Ok(Some((Arc::clone(&disk) as Arc<dyn Tier>, Arc::clone(&disk) as _, Some(disk))))
        }
        L2Kind::Redis => {
            let settings = RedisConfig {
                ca_file: l2.redis.ca_file.clone(),
                deadline: l2.redis.deadline.get(),
                value_max_bytes: l2.redis.value_max.as_usize(),
                budget: Arc::clone(budget),
                keeps_barriers: !config.has_fleet() || config.fleet.control_url.is_none(),
                ..RedisConfig::new(l2.redis.url.expose())
            };
            let redis = RedisTier::connect(&settings, Arc::clone(clock))?;
            warn_unless_connected(Arc::clone(&redis), settings.connect_deadline);
            Ok(Some((Arc::clone(&redis) as Arc<dyn Tier>, redis, None)))
        }
        L2Kind::Memcached => {
            let settings = config.memcached(Arc::clone(budget));
            let memcached = MemcachedTier::open(&settings, Arc::clone(clock)).await?;
            let connect_deadline = settings.connect_deadline;
            let warned = Arc::clone(&memcached);
            tokio::spawn(async move {
                if !warned.ready(connect_deadline * 2).await {
                    let reason = warned.health().last_error.unwrap_or_default();
                    tracing::warn!(
                        reason,
                        "memcached can't be reached yet: the gateway misses its part of the entries until it can; start it, or \
                         mend l2.memcached.servers"
                    );
                }
            });
            let records = memcached.records().cloned();
            Ok(Some((Arc::clone(&memcached) as Arc<dyn Tier>, memcached, records)))
        }
    }
}

/// Warns, once, where Redis is not reached soon after the start: the gateway does without its L2 until then.
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

fn tenant(config: &TenantConfig, ready: ReadyTenant, clock: &Arc<dyn Clock>) -> Result<Arc<Tenant>, StartError> {
    warn_unless_reachable(Arc::clone(&ready.origin), config.name.clone());
    Ok(Tenant::new(config, ready.policies, ready.origin, Arc::clone(clock))?)
}

/// Warns where the origin can't be reached at the start. It may come up later; until then requests are answered with
/// 502.
pub(super) fn warn_unless_reachable(origin: Arc<HttpOrigin>, tenant: String) {
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
