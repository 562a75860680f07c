//! `[l2]`: the tier below memory.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sandbar::setting::{Count, GIB, KIB, MIB, MINUTE, MS, Size, Span};
use sandbar::tier::memcached::{MemcachedConfig, Numbering};
use sandbar_base::memory_budget::MemoryBudget;
use serde::{Deserialize, Serialize};

use super::{GatewayConfig, Secret};

/// `[l2]`: the tier below memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct L2Config {
    /// Which kind of tier is used. Default the disk.
    pub kind: L2Kind,
    /// `[l2.disk]`: used where `kind` is the disk.
    pub disk: DiskSettings,
    /// `[l2.redis]`: used where `kind` is Redis.
    pub redis: RedisSettings,
    /// `[l2.memcached]`: used where `kind` is memcached.
    pub memcached: MemcachedSettings,
}

/// Which tier lies below memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum L2Kind {
    /// The embedded tier, in the data directory.
    #[default]
    Disk,
    /// Redis or Valkey.
    Redis,
    /// Memcached, one server or several.
    Memcached,
    /// No tier: an entry that leaves memory is gone.
    None,
}

/// `[l2.disk]`: the embedded tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSettings {
    /// The room that the tier may take up on the disk. Default 1 GiB.
    pub capacity: Size<{ 8 * MIB }, { 1 << 50 }>,
    /// The tier's directory. Default: `l2` in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self { capacity: Size::of(GIB), path: None }
    }
}

/// `[l2.redis]`: a tier that nodes share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RedisSettings {
    /// The server's URL: `redis://` or, with TLS, `rediss://`; `redis+unix://` for a socket; `redis-sentinel://` for
    /// the master that Sentinels name; `redis-cluster://` for a Cluster. It may hold a user and a password.
    pub url: Secret,
    /// File with certificates (PEM) of authorities that may have signed the server's. Default: the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// A call that takes longer is given up. Default 100 ms.
    pub deadline: Span<MS, MINUTE>,
    /// The largest entry that is stored. Default 8 MiB; Redis itself takes no value of more than 512 MiB.
    pub value_max: Size<KIB, { 512 * MIB }>,
}

impl Default for RedisSettings {
    fn default() -> Self {
        Self {
            url: Secret::new("redis://127.0.0.1:6379"),
            ca_file: None,
            deadline: Span::of(Duration::from_millis(100)),
            value_max: Size::of(8 * MIB),
        }
    }
}

/// `[l2.memcached]`: a tier that nodes share, each server with its part of the entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemcachedSettings {
    /// The servers, `host:port` each; every node names them alike. Default one on this machine.
    pub servers: Vec<String>,
    /// A call that takes longer is given up. Default 100 ms.
    pub deadline: Span<MS, MINUTE>,
    /// The largest entry that is stored. Default 1 MiB, which is what memcached itself takes unless `-I` says otherwise.
    pub value_max: Size<KIB, GIB>,
    /// Connections to each server. Default 16.
    pub connections: Count<1, 1024>,
}

impl Default for MemcachedSettings {
    fn default() -> Self {
        Self {
            servers: vec!["127.0.0.1:11211".to_owned()],
            deadline: Span::of(Duration::from_millis(100)),
            value_max: Size::of(MIB),
            connections: Count::of(16),
        }
    }
}

/// The tier as `--l2` chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L2Choice {
    /// The embedded tier.
    Disk,
    /// No tier.
    None,
    /// Redis at this URL.
    Redis(Secret),
    /// Memcached, at these servers.
    Memcached(Vec<String>),
}

impl FromStr for L2Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "disk" => Ok(Self::Disk),
            "none" => Ok(Self::None),
            url if is_redis(url) => Ok(Self::Redis(Secret::new(url))),
            other => match other.strip_prefix("memcached://") {
                Some(servers) => Ok(Self::Memcached(servers.split(',').map(str::to_owned).collect())),
                None => Err(format!("{other:?} is no tier; write disk, none, or a URL such as redis://127.0.0.1:6379")),
            },
        }
    }
}

/// Whether a URL is one of Redis, in any of its forms: `redis`, `rediss`, `redis+unix`, `redis-sentinel`, …
pub(super) fn is_redis(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, rest)| scheme.starts_with("redis") && !rest.is_empty())
}

/// Whether a URL is that of a Cluster.
pub(super) fn is_redis_cluster(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| matches!(scheme, "redis-cluster" | "rediss-cluster"))
}

impl GatewayConfig {
    /// The settings of the tier in memcached. Purges are numbered by the fleet, where there is one; else by this node, which
    /// records them in its data directory.
    pub(crate) fn memcached(&self, budget: Arc<MemoryBudget>) -> MemcachedConfig {
        let settings = &self.l2.memcached;
        let numbering = if self.has_fleet() { Numbering::Fleet } else { Numbering::Node(self.data_dir.join("purges")) };
        MemcachedConfig {
            deadline: settings.deadline.get(),
            value_max_bytes: settings.value_max.as_usize(),
            connections_max: settings.connections.as_usize(),
            budget,
            ..MemcachedConfig::new(&settings.servers, numbering)
        }
    }
}

impl L2Config {
    /// Takes over the tier that the command line chooses.
    pub fn choose(&mut self, choice: L2Choice) {
        self.kind = match choice {
            L2Choice::Disk => L2Kind::Disk,
            L2Choice::None => L2Kind::None,
            L2Choice::Redis(url) => {
                self.redis.url = url;
                L2Kind::Redis
            }
            L2Choice::Memcached(servers) => {
                self.memcached.servers = servers;
                L2Kind::Memcached
            }
        };
    }
}
