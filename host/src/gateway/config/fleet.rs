//! `[fleet]`: nodes that share a Redis.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, GatewayConfig, L2Kind, Secret};
use crate::consistency::Consistency;
use crate::tenant::Settings;
use crate::tenant::config::TenantConfig;

/// `[fleet]`: nodes that share a Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSettings {
    /// Whether nodes act together where the L2 is a Redis. Default yes.
    pub enabled: bool,
    /// Another Redis for what nodes rely on: purges, bus, leases. Default: the L2's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_url: Option<Secret>,
    /// The node's name in logs and messages. Default: a random one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Partitions of the bus; the same on every node. Default 16.
    pub partitions: u32,
    /// How often a node makes sure that it has heard everything. Default 250 ms.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// After how long without that it counts as deaf. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub silence_max: Duration,
    /// For how long after its last heartbeat a node counts as live. Default 5 s.
    #[serde(with = "humantime_serde")]
    pub member_timeout: Duration,
    /// How long a purge waits until every live node has confirmed it, where that is promised. Default 1 s.
    #[serde(with = "humantime_serde")]
    pub confirm_deadline: Duration,
    /// How long a deaf node serves from memory what it has fetched or looked up. Default 2 s.
    #[serde(with = "humantime_serde")]
    pub deaf_age_max: Duration,
    /// Replicas that must have a purge before it is acknowledged. Default 0.
    pub wait_replicas: u32,
    /// How long a node that has died keeps a key from being fetched. Default 3 s.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// Purges a second per tenant, sustained. Default 1000.
    pub purges_per_second: u32,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            control_url: None,
            node: None,
            partitions: 16,
            heartbeat: Duration::from_millis(250),
            silence_max: Duration::from_secs(2),
            member_timeout: Duration::from_secs(5),
            confirm_deadline: Duration::from_secs(1),
            deaf_age_max: Duration::from_secs(2),
            wait_replicas: 0,
            lease: Duration::from_secs(3),
            purges_per_second: 1000,
        }
    }
}

impl GatewayConfig {
    /// Whether this node acts together with others.
    pub fn has_fleet(&self) -> bool {
        self.fleet.enabled && self.l2.kind == L2Kind::Redis
    }

    pub(super) fn validate_fleet(&self) -> Result<(), ConfigError> {
        let fleet = &self.fleet;
        if let Some(url) = &fleet.control_url {
            self.validate_control_url(url)?;
        }
        let url = fleet.control_url.as_ref().unwrap_or(&self.l2.redis.url);
        if self.has_fleet() && fleet.wait_replicas > 0 && super::l2::is_redis_cluster(url.expose()) {
            let reason = "on a Cluster a purge is recorded by one master and told by another";
            let remedy = "set 0, or name one server or its Sentinels with fleet.control_url";
            return Err(ConfigError::wrong("fleet.wait_replicas", fleet.wait_replicas, reason, remedy));
        }
        if fleet.partitions == 0 || fleet.partitions > 1024 {
            let remedy = "set 1 to 1024, the same on every node";
            return Err(ConfigError::wrong("fleet.partitions", fleet.partitions, "the bus needs some", remedy));
        }
        if fleet.heartbeat.is_zero() || fleet.silence_max <= fleet.heartbeat {
            let value = humantime(fleet.silence_max);
            let reason = format!("a node would be deaf between two heartbeats ({})", humantime(fleet.heartbeat));
            return Err(ConfigError::wrong("fleet.silence_max", value, reason, "set several heartbeats or more"));
        }
        if fleet.member_timeout < fleet.silence_max * 2 {
            let value = humantime(fleet.member_timeout);
            let reason = format!(
                "the others give a node up before it can know so (silence_max {})",
                humantime(fleet.silence_max)
            );
            return Err(ConfigError::wrong("fleet.member_timeout", value, reason, "set twice silence_max or more"));
        }
        if fleet.lease < Duration::from_millis(100) {
            let reason = "it would run out before it can be renewed";
            return Err(ConfigError::wrong("fleet.lease", humantime(fleet.lease), reason, "set 100ms or more"));
        }
        self.tenants.iter().try_for_each(|tenant| self.validate_consistency(tenant))
    }

    fn validate_control_url(&self, url: &Secret) -> Result<(), ConfigError> {
        let wrong = |reason: &str, remedy: &str| Err(ConfigError::wrong("fleet.control_url", "…", reason, remedy));
        if !super::l2::is_redis(url.expose()) {
            return wrong("it is not the URL of a Redis server", "write it like redis://127.0.0.1:6379");
        }
        if self.l2.kind != L2Kind::Redis {
            return wrong("nodes act together over a shared L2, and this one has none", "set l2.kind = \"redis\" too");
        }
        Ok(())
    }

    /// What is promised about other nodes needs a way to tell them.
    fn validate_consistency(&self, tenant: &TenantConfig) -> Result<(), ConfigError> {
        let Ok(settings) = Settings::try_from(tenant) else { return Ok(()) };
        let strictest = settings.strictest_consistency();
        if strictest == Consistency::Eventual || self.has_fleet() {
            return Ok(());
        }
        Err(ConfigError::wrong(
            "tenant.consistency",
            format!("\"{strictest}\" (tenant {:?})", tenant.name),
            "it promises something about other nodes, and this one acts alone",
            "set l2.kind = \"redis\" and fleet.enabled = true, or consistency = \"eventual\"",
        ))
    }
}

fn humantime(duration: Duration) -> String {
    format!("{duration:?}")
}
