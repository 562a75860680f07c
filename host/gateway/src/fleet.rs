//! Joins the cache to its fleet, as the settings say: which Redis is used, and whether it can keep what the tenants'
//! classes promise.

use std::sync::Arc;
use std::time::Duration;

use sandbar::cache::Cache;
use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar::tenant::config::TenantConfig;
use sandbar::tier::redis::{RedisConfig, RedisTier};
use sandbar::tier::{BarrierStore, TierError};
use sandbar_base::clock::Clock;

use super::StartError;
use super::config::GatewayConfig;

/// How long the start waits for Redis to tell its `maxmemory-policy`.
const EVICTION_DEADLINE: Duration = Duration::from_secs(1);

/// The store of barriers, where it is not the L2 itself.
pub(super) fn control(
    config: &GatewayConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn BarrierStore>>, StartError> {
    let Some(url) = config.fleet.control_url.as_ref().filter(|_| config.has_fleet()) else { return Ok(None) };
    let (deadline, ca_file) = (config.l2.redis.deadline.get(), config.l2.redis.ca_file.clone());
    let settings = RedisConfig { deadline, ca_file, ..RedisConfig::new(url.expose()) };
    Ok(Some(RedisTier::connect(&settings, Arc::clone(clock)).map_err(StartError::Fleet)?))
}

/// Lets the cache join its fleet, if it is to have one.
pub(super) async fn join(config: &GatewayConfig, cache: &Cache) -> Result<(), StartError> {
    if !config.has_fleet() {
        return Ok(());
    }
    let strictest = strictest(cache);
    let mut settings = settings(config);
    settings.tolerates_eviction = strictest == Consistency::Eventual;
    if let Err(error) = cache.join_fleet(&settings) {
        if strictest != Consistency::Eventual {
            return Err(StartError::Fleet(error));
        }
        tracing::warn!(%error, "this node acts alone: it fetches for itself, and others' purges reach it with its L2");
        return Ok(());
    }
    refuse_forgetful(cache, strictest).await
}

fn settings(config: &GatewayConfig) -> FleetConfig {
    let fleet = &config.fleet;
    let url = fleet.control_url.as_ref().unwrap_or(&config.l2.redis.url);
    let defaults = FleetConfig::new(url.expose());
    FleetConfig {
        ca_file: config.l2.redis.ca_file.clone(),
        node: fleet.node.clone().unwrap_or_else(|| defaults.node.clone()),
        partitions: fleet.partitions.get(),
        heartbeat: fleet.heartbeat.get(),
        silence_max: fleet.silence_max.get(),
        deaf_age_max: fleet.deaf_age_max.get(),
        member_timeout: fleet.member_timeout.get(),
        confirm_deadline: fleet.confirm_deadline.get(),
        deadline: config.l2.redis.deadline.get(),
        wait_replicas: fleet.wait_replicas.get(),
        lease: fleet.lease.get(),
        purges_per_second: fleet.purges_per_second.get(),
        ..defaults
    }
}

/// Refuses a server that may evict what nodes rely on, where a class promises more than `eventual`. A server that can't
/// be asked yet is found out later: purges of such classes are then answered with 503, and the log says why.
async fn refuse_forgetful(cache: &Cache, strictest: Consistency) -> Result<(), StartError> {
    let Some(fleet) = cache.fleet().filter(|_| strictest != Consistency::Eventual) else { return Ok(()) };
    if !fleet.ready(EVICTION_DEADLINE).await {
        return Ok(());
    }
    fleet.evicts_any_key().map_or(Ok(()), |policy| Err(StartError::Forgetful { strictest, policy }))
}

/// Checks that what the classes of `config` promise can be kept by the fleet that the node has joined.
///
/// # Errors
/// When it has joined none, or the Redis of the fleet may evict what nodes rely on.
pub(super) async fn keeps_promises_of(config: &GatewayConfig, cache: &Cache) -> Result<(), StartError> {
    let classes =
        |tenant: &TenantConfig| tenant.classes.iter().filter_map(|class| class.consistency).collect::<Vec<_>>();
    let promised = config.tenants.iter().flat_map(|tenant| [vec![tenant.consistency], classes(tenant)].concat());
    let strictest = promised.max().unwrap_or_default();
    if strictest == Consistency::Eventual || !config.has_fleet() {
        return Ok(());
    }
    if cache.fleet().is_none() {
        let reason = "this node has joined no fleet at its start; restart it".to_owned();
        return Err(StartError::Fleet(TierError::Failed { tier: "redis", reason }));
    }
    refuse_forgetful(cache, strictest).await
}

fn strictest(cache: &Cache) -> Consistency {
    let roster = cache.tenants();
    let promised = roster.iter().map(|tenant| tenant.settings.classes.strictest(None));
    promised.max().unwrap_or_default()
}
