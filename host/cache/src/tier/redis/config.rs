//! Settings of the Redis tier.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sandbar_base::memory_budget::MemoryBudget;

use crate::tier::breaker::BreakerConfig;

/// A Redis tier's settings.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host:port/db`, `rediss://…` (TLS), `redis+unix:///path?user=…&pass=…`,
    /// `redis-sentinel://[user:password@]host:port,…/service[/db]`, `redis-cluster://[user:password@]host:port,…`, the last
    /// two also with `rediss-`.
    pub url: String,
    /// PEM file with the CA certificates that are trusted; the system's by default.
    pub ca_file: Option<PathBuf>,
    /// How long a read or a write may take; 100 ms by default.
    pub deadline: Duration,
    /// How long recording a purge may take; 1 s by default.
    pub purge_deadline: Duration,
    /// How long making a connection may take; 500 ms by default. No request waits for it.
    pub connect_deadline: Duration,
    /// When the server is left alone and when it is tried again.
    pub breaker: BreakerConfig,
    /// Larger entries, in encoded bytes, are neither stored nor read; 8 MiB by default.
    pub value_max_bytes: usize,
    /// From how many bytes on entries are compressed; 16 KiB by default. With `None` none are.
    pub compress_above_bytes: Option<usize>,
    /// Calls at the same time; 4,096 by default. Further ones fail at once.
    pub calls_max: usize,
    /// Bytes of entries on their way to the server; 64 MiB by default. Further entries are not stored.
    pub put_bytes_max: u64,
    /// No entry is kept for longer, and no purge record needs to be; 30 days by default.
    pub lifetime_max: Duration,
    /// Whether barriers are kept beside the entries; yes by default. It is no where another server keeps them.
    pub keeps_barriers: bool,
    /// The memory budget to which values are charged before they are read; unbounded by default.
    pub budget: Arc<MemoryBudget>,
}

impl RedisConfig {
    /// The default settings for the server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            deadline: Duration::from_millis(100),
            purge_deadline: Duration::from_secs(1),
            connect_deadline: Duration::from_millis(500),
            breaker: BreakerConfig::default(),
            value_max_bytes: 8 << 20,
            compress_above_bytes: Some(16 << 10),
            calls_max: 4096,
            put_bytes_max: 64 << 20,
            lifetime_max: Duration::from_secs(30 * 86_400),
            keeps_barriers: true,
            budget: MemoryBudget::unbounded(),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What stands before the last `@` may be a password.
        let host = self.url.rsplit('@').next().unwrap_or("");
        f.debug_struct("RedisConfig").field("host", &host).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
