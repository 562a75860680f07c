//! The shared L2: one Redis (or Valkey) for a fleet.
//!
//! A read costs one round trip for all its keys and the tenant's purge sequence. Trouble makes a slower cache and no
//! more: each call ends within [`RedisConfig::deadline`], a breaker answers at once while the server is known to be
//! down, and the connection comes back by itself, also where there was none at the start. What can't be read is a miss
//! and counted.

mod barriers;
mod config;
pub(crate) mod keys;
pub(crate) mod link;
mod lookup;
pub(crate) mod raising;
mod reads;
mod records;
mod store;
pub(crate) mod target;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use sandbar_base::clock::{Clock, Timestamp};
use sandbar_http::entry::Entry;
use sandbar_http::key::CacheKey;

pub use self::config::RedisConfig;
use self::link::{Link, LinkConfig};
#[doc(hidden)]
pub use self::raising::Raising;
use self::reads::Reads;
use self::target::Target;
use super::puts::Puts;
use super::{Stored, Terms, Tier, TierError, TierHealth, TierRead};

const NAME: &str = "redis";

/// The shared L2.
#[derive(Debug)]
pub struct RedisTier {
    link: Arc<Link>,
    /// `None` on a Cluster, where the keys of a batch are on different servers.
    reads: Option<Reads>,
    clock: Arc<dyn Clock>,
    config: RedisConfig,
    spread: bool,
    unreadable: AtomicU64,
    puts: Puts,
}

impl RedisTier {
    /// Begins to connect in the background and returns at once, whether the server is up or not: see [`Self::ready`].
    ///
    /// # Errors
    /// When the URL or the certificates are wrong, in words for an operator.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn connect(config: &RedisConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TierError> {
        let (target, spread) = target(config)?;
        let link_config = LinkConfig {
            name: NAME,
            connect_deadline: config.connect_deadline,
            deadline: config.deadline,
            calls_max: config.calls_max,
            breaker: config.breaker,
        };
        let link = Link::start(target, link_config, Arc::clone(&clock));
        let reads = (!spread).then(|| Reads::start(Arc::clone(&link), config.calls_max));
        Ok(Arc::new(Self {
            link,
            reads,
            clock,
            spread,
            config: config.clone(),
            unreadable: AtomicU64::new(0),
            puts: Puts::new(config.put_bytes_max),
        }))
    }

    /// Checks the settings, without connecting.
    ///
    /// # Errors
    /// When the URL or the certificates are wrong, in words for an operator.
    pub fn check(config: &RedisConfig) -> Result<(), TierError> {
        target(config).map(drop)
    }

    /// Waits until the server is connected, for `deadline` at most; false if it is not.
    pub async fn ready(&self, deadline: Duration) -> bool {
        let mut state = self.link.watch();
        tokio::time::timeout(deadline, state.wait_for(|state| state.available)).await.is_ok_and(|state| state.is_ok())
    }

    /// The server's `maxmemory-policy`, if it allows any key to be evicted: recorded purges may be forgotten then, so
    /// that only `eventual` consistency can be promised. `volatile-lru` is the policy to set.
    pub fn evicts_any_key(&self) -> Option<String> {
        self.link.evicts_any()
    }

    /// Entries that were not stored because they were too large, or too many bytes were on their way, since the start.
    pub fn dropped_puts(&self) -> u64 {
        self.puts.left_out()
    }
}

impl Tier for RedisTier {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, TierError>> {
        async { Ok(self.read(None, keys).await?.entries) }.boxed()
    }

    fn get_with_sequence<'a>(
        &'a self,
        tenant: &'a str,
        keys: &'a [CacheKey],
    ) -> BoxFuture<'a, Result<TierRead, TierError>> {
        self.read(self.config.keeps_barriers.then_some(tenant), keys).boxed()
    }

    fn keeps_barriers(&self) -> bool {
        self.config.keeps_barriers
    }

    fn put<'a>(
        &'a self,
        key: &'a CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<(), TierError>> {
        async move { self.write(key, entry, until, Terms::default()).await.map(|_| ()) }.boxed()
    }

    fn put_on<'a>(
        &'a self,
        terms: Terms,
        key: &'a CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Stored, TierError>> {
        self.write(key, entry, until, terms).boxed()
    }

    fn remove<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<(), TierError>> {
        let name = keys::entry(key.tenant(), key.hash(), self.spread);
        async move {
            let mut command = redis::cmd("UNLINK");
            command.arg(name);
            self.link.call(|mut to| async move { command.query_async::<()>(&mut to).await }).await
        }
        .boxed()
    }

    fn health(&self) -> TierHealth {
        TierHealth {
            available: self.link.is_available(),
            errors: self.link.errors(),
            unreadable: self.unreadable.load(Ordering::Relaxed),
            stored_bytes: None,
            entries: None,
            left_out: self.dropped_puts(),
            last_error: self.link.last_error(),
            disk: Vec::new(),
            clock_skew_ms: Some(self.link.skew_ms()),
            servers: Vec::new(),
        }
    }
}

fn target(config: &RedisConfig) -> Result<(Target, bool), TierError> {
    let failed = |reason: String| TierError::Failed { tier: NAME, reason };
    let ca_pem = match &config.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|error| failed(format!("{}: {error}", path.display())))?),
        None => None,
    };
    let target = Target::parse(&config.url, ca_pem, config.connect_deadline)
        .map_err(|error| failed(format!("the URL can't be used: {error}")))?;
    let spread = target.is_cluster();
    Ok((target, spread))
}
