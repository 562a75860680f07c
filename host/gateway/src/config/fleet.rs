//! `[fleet]`: nodes that share a Redis.

use std::time::Duration;

use sandbar::consistency::Consistency;
use sandbar::setting::{Count, DAY, HOUR, Key, MINUTE, MS, Span};
use sandbar::tenant::Settings;
use serde::{Deserialize, Serialize};

use super::engine::text;
use super::{ConfigError, GatewayConfig, L2Kind, Secret};

/// `[fleet]`: nodes that share a Redis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FleetSettings {
    /// Whether nodes act together where the L2 is a Redis. Default yes.
    pub enabled: bool,
    /// Another Redis for purges, bus and leases, on which the nodes rely. Default: the L2's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_url: Option<Secret>,
    /// The node's name in logs and in messages to other nodes. Default: a random one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Partitions of the bus; the same on every node. Default 16.
    pub partitions: Count<1, 1024>,
    /// How often a node makes sure that it has heard everything that was told on the bus. Default 250 ms.
    pub heartbeat: Span<{ 10 * MS }, MINUTE>,
    /// After how long without that certainty a node counts as deaf. Default 2 s.
    pub silence_max: Span<{ 10 * MS }, HOUR>,
    /// For how long after its last heartbeat a node counts as live. Default 5 s.
    pub member_timeout: Span<{ 20 * MS }, DAY>,
    /// How long a purge waits for every live node to confirm it, in classes that promise so (`write-all`). Default 1 s.
    pub confirm_deadline: Span<MS, MINUTE>,
    /// How long a deaf node serves from memory what it has fetched or looked up. Default 2 s.
    pub deaf_age_max: Span<0, HOUR>,
    /// Replicas that must have a purge before it is acknowledged. Default 0.
    pub wait_replicas: Count<0, 100>,
    /// How long other nodes wait for a key whose fetching node has died. Default 3 s.
    pub lease: Span<{ 100 * MS }, HOUR>,
    /// Purges a second per tenant in the long run; more are delivered later. Default 1000.
    pub purges_per_second: Count<1, 1_000_000>,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            control_url: None,
            node: None,
            partitions: Count::of(16),
            heartbeat: Span::of(Duration::from_millis(250)),
            silence_max: Span::of(Duration::from_secs(2)),
            member_timeout: Span::of(Duration::from_secs(5)),
            confirm_deadline: Span::of(Duration::from_secs(1)),
            deaf_age_max: Span::of(Duration::from_secs(2)),
            wait_replicas: Count::of(0),
            lease: Span::of(Duration::from_secs(3)),
            purges_per_second: Count::of(1000),
        }
    }
}

impl GatewayConfig {
    /// Whether this node acts together with others.
    pub fn has_fleet(&self) -> bool {
        self.fleet.enabled
            && match self.l2.kind {
                L2Kind::Redis => true,
                // Memcached has no bus: purges and leases need a Redis beside it.
                L2Kind::Memcached => self.fleet.control_url.is_some(),
                L2Kind::Disk | L2Kind::None => false,
            }
    }

    pub(super) fn validate_fleet(&self) -> Result<(), ConfigError> {
        let fleet = &self.fleet;
        if let Some(url) = &fleet.control_url {
            self.validate_control_url(url)?;
        }
        if let Some(node) = &fleet.node {
            validate_node(node)?;
        }
        let url = fleet.control_url.as_ref().unwrap_or(&self.l2.redis.url);
        if self.has_fleet() && fleet.wait_replicas.get() > 0 && super::l2::is_redis_cluster(url.expose()) {
            let reason = "on a Cluster a purge is recorded by one master and told by another";
            let remedy = "set 0, or name one server or its Sentinels with fleet.control_url";
            return Err(ConfigError::wrong("fleet.wait_replicas", fleet.wait_replicas, reason, remedy));
        }
        if fleet.silence_max.get() <= fleet.heartbeat.get() {
            let reason = format!("a node would be deaf between two heartbeats ({})", fleet.heartbeat);
            let remedy = "set several heartbeats or more";
            return Err(ConfigError::wrong("fleet.silence_max", text(fleet.silence_max), reason, remedy));
        }
        if fleet.member_timeout.get() < fleet.silence_max.get() * 2 {
            let reason = format!("the others give a node up before it can know so (silence_max {})", fleet.silence_max);
            let remedy = "set twice silence_max or more";
            return Err(ConfigError::wrong("fleet.member_timeout", text(fleet.member_timeout), reason, remedy));
        }
        (0..self.tenants.len()).try_for_each(|index| self.validate_consistency(index))
    }

    fn validate_control_url(&self, url: &Secret) -> Result<(), ConfigError> {
        let wrong = |reason: &str, remedy: &str| Err(ConfigError::wrong("fleet.control_url", "…", reason, remedy));
        if !super::l2::is_redis(url.expose()) {
            return wrong("it is not the URL of a Redis server", "write it like redis://127.0.0.1:6379");
        }
        if !matches!(self.l2.kind, L2Kind::Redis | L2Kind::Memcached) {
            return wrong(
                "nodes act together over a shared L2, and this one has none",
                "set l2.kind = \"redis\" or \"memcached\" too",
            );
        }
        Ok(())
    }

    /// Refuses a consistency that promises something about other nodes where this node has no fleet to tell.
    fn validate_consistency(&self, index: usize) -> Result<(), ConfigError> {
        let Ok(settings) = Settings::try_from(&self.tenants[index]) else { return Ok(()) };
        let strictest = settings.classes.strictest(None);
        let is_memcached = self.l2.kind == L2Kind::Memcached;
        if strictest == Consistency::Eventual || (self.has_fleet() && !is_memcached) {
            return Ok(());
        }
        let inner = match self.tenants[index].classes.iter().position(|class| class.consistency == Some(strictest)) {
            Some(class) if self.tenants[index].consistency != strictest => {
                Key::from("class").at(class).then("consistency")
            }
            _ => Key::from("consistency"),
        };
        let (reason, remedy) = if is_memcached {
            let reason = "memcached can't compare what is stored with a purge, nor keep what the promise rests on";
            (reason, "set consistency = \"eventual\", or l2.kind = \"redis\"")
        } else {
            let reason = "it promises something about other nodes, and this one acts alone";
            (reason, "set l2.kind = \"redis\" and fleet.enabled = true, or consistency = \"eventual\"")
        };
        Err(ConfigError::wrong(Key::of_tenant(index, &inner), text(strictest), reason, remedy))
    }
}

/// Checks a node's name, which goes into messages between nodes and into answers.
fn validate_node(node: &str) -> Result<(), ConfigError> {
    let fits = (1..=64).contains(&node.len()) && node.bytes().all(|byte| byte.is_ascii_graphic());
    let reason = "it is no name that can be told to other nodes";
    let remedy = "use 1 to 64 letters, digits and signs, without spaces";
    if fits { Ok(()) } else { Err(ConfigError::wrong("fleet.node", format!("{node:?}"), reason, remedy)) }
}
