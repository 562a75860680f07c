//! `[l2]`: the tier below memory.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sandbar::setting::{GIB, KIB, MIB, MINUTE, MS, Size, Span};
use serde::{Deserialize, Serialize};

use super::Secret;

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

/// The tier as `--l2` chooses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum L2Choice {
    /// The embedded tier.
    Disk,
    /// No tier.
    None,
    /// Redis at this URL.
    Redis(Secret),
}

impl FromStr for L2Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "disk" => Ok(Self::Disk),
            "none" => Ok(Self::None),
            url if is_redis(url) => Ok(Self::Redis(Secret::new(url))),
            other => Err(format!("{other:?} is no tier; write disk, none, or a URL such as redis://127.0.0.1:6379")),
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
        };
    }
}
