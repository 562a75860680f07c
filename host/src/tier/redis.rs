//! The shared L2: one Redis (or Valkey) for a fleet.
//!
//! A read costs one round trip for all its keys and the tenant's purge sequence. Trouble makes a slower cache and no
//! more: each call ends within [`RedisConfig::deadline`], a breaker answers at once while the server is known to be
//! down, and the connection comes back by itself, also where there was none at the start. What can't be read is a miss
//! and counted.

mod barriers;
mod breaker;
pub(crate) mod keys;
pub(crate) mod link;
mod reads;
mod store;
pub(crate) mod target;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use redis::{Cmd, Value};

pub use self::breaker::{Breaker, BreakerConfig};
use self::link::{Link, LinkConfig};
use self::reads::{Answered, Reads, ask_each};
use self::target::Target;
use super::codec::{self, Encoding};
use super::{Found, Stored, Terms, Tier, TierError, TierHealth};
use crate::barrier::{Barrier, BarrierStore, Purge};
use crate::clock::{Clock, Timestamp};
use crate::entry::Entry;
use crate::key::CacheKey;

const NAME: &str = "redis";
/// What a command with a key in it takes, about.
const COMMAND_BYTES: usize = 96;
/// Larger entries are encoded on a blocking thread, so that compression holds up nobody else.
const ENCODE_HERE_BYTES_MAX: u64 = 64 << 10;

/// A Redis tier's settings.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host:port/db`, `rediss://…` (TLS), `redis+unix:///path?user=…&pass=…`,
    /// `redis-sentinel://[user:password@]host:port,…/service[/db]`, `redis-cluster://[user:password@]host:port,…`, the last
    /// two also with `rediss-`.
    pub url: String,
    /// Certificates (PEM) that a server's may be signed with; the system's by default.
    pub ca_file: Option<PathBuf>,
    /// How long a read or a write may take; 100 ms by default.
    pub deadline: Duration,
    /// How long recording a purge may take; 1 s by default.
    pub purge_deadline: Duration,
    /// How long making a connection may take; 500 ms by default. Nobody waits for it.
    pub connect_deadline: Duration,
    /// When the server is left alone and when it is tried again.
    pub breaker: BreakerConfig,
    /// Larger entries, in encoded bytes, are neither stored nor read; 8 MiB by default.
    pub value_max_bytes: usize,
    /// From how many bytes on entries are compressed; 16 KiB by default.
    pub compress_above_bytes: Option<usize>,
    /// Calls at the same time; 4,096 by default. More fail at once.
    pub calls_max: usize,
    /// Bytes of entries on their way to the server; 64 MiB by default. More are not stored.
    pub put_bytes_max: u64,
    /// No entry is kept for longer, and no purge record needs to be; 30 days by default.
    pub lifetime_max: Duration,
    /// Whether barriers are kept beside the entries; yes by default. Not, where another server keeps them.
    pub keeps_barriers: bool,
}

impl RedisConfig {
    /// The defaults for a server.
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

/// The shared L2.
#[derive(Debug)]
pub struct RedisTier {
    link: Arc<Link>,
    /// None on a Cluster: what comes together there goes to different servers.
    reads: Option<Reads>,
    clock: Arc<dyn Clock>,
    config: RedisConfig,
    spread: bool,
    unreadable: AtomicU64,
    put_bytes: AtomicU64,
    dropped_puts: AtomicU64,
}

impl RedisTier {
    /// Begins to connect and answers at once, whether the server is up or not: see [`Self::ready`].
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
            put_bytes: AtomicU64::new(0),
            dropped_puts: AtomicU64::new(0),
        }))
    }

    /// Waits until the server is there, at most for `deadline`; false if it is not.
    pub async fn ready(&self, deadline: Duration) -> bool {
        let mut state = self.link.watch();
        tokio::time::timeout(deadline, state.wait_for(|state| state.available)).await.is_ok_and(|state| state.is_ok())
    }

    /// The server's `maxmemory-policy`, if under it any key may be evicted: purges that are recorded there may be
    /// forgotten then, so that only `eventual` consistency can be promised. `volatile-lru` is the one to set.
    pub fn evicts_any_key(&self) -> Option<String> {
        self.link.evicts_any()
    }

    /// Entries that were not stored because too many bytes were on their way, or too large, since the start.
    pub fn dropped_puts(&self) -> u64 {
        self.dropped_puts.load(Ordering::Relaxed)
    }

    async fn read(&self, tenant: Option<&str>, keys: &[CacheKey]) -> Result<Found, TierError> {
        let commands = self.commands(keys);
        if commands.is_empty() && tenant.is_none() {
            return Ok(Found::default());
        }
        let Answered { values, sequence } = match &self.reads {
            Some(reads) => reads.ask(&self.link, commands, tenant).await?,
            None => ask_each(&self.link, commands, tenant).await?,
        };
        // Missing is none yet; anything but a number is nonsense, and 0 is what it is worth.
        let sequence = sequence.map(|value| barriers::number(&value).unwrap_or(0));
        let shift_ms = self.link.correction_ms();
        let entries = keys.iter().zip(values).map(|(key, value)| self.decode(key, value, shift_ms)).collect();
        Ok(Found { entries, sequence })
    }

    /// One bounded read per key.
    fn commands(&self, keys: &[CacheKey]) -> Vec<Cmd> {
        let mut commands = Vec::with_capacity(keys.len());
        for key in keys {
            let mut command = Cmd::with_capacity(4, COMMAND_BYTES);
            // Not GET: whatever somebody may have put there, no more than an entry's worth of it comes back.
            command.arg("GETRANGE").arg(keys::entry(key.tenant(), key.hash(), self.spread));
            command.arg(0).arg(self.config.value_max_bytes);
            commands.push(command);
        }
        commands
    }

    fn decode(&self, key: &CacheKey, value: Value, shift_ms: i64) -> Option<Entry> {
        let bytes = match value {
            Value::Nil => return None,
            Value::BulkString(bytes) if bytes.is_empty() => return None,
            Value::BulkString(bytes) if bytes.len() <= self.config.value_max_bytes => Bytes::from(bytes),
            // Too large, or another type of key altogether.
            _ => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                return None;
            }
        };
        let entry = codec::decode_shared(&bytes, &key.shared_text(), shift_ms);
        entry.inspect_err(|_| _ = self.unreadable.fetch_add(1, Ordering::Relaxed)).ok()
    }

    async fn write(
        &self,
        key: &CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
        terms: Terms,
    ) -> Result<Stored, TierError> {
        let lifetime = until.saturating_since(self.clock.now()).min(self.config.lifetime_max);
        let lifetime_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
        if lifetime_ms == 0 {
            return Ok(Stored::Yes);
        }
        if !self.link.is_available() {
            return Err(TierError::Open { tier: NAME });
        }
        let _held = self.hold(entry.weight_bytes())?;
        let value = self.encode(entry).await?;
        if value.len() > self.config.value_max_bytes {
            return Err(self.dropped(format!("an entry of {} bytes is too large", value.len())));
        }
        // On a Cluster the sequence is on another server: the entry is judged when it is read.
        let judged_at = terms.judged_at.filter(|_| self.config.keeps_barriers && !self.spread);
        let terms = Terms { judged_at, ..terms };
        if terms == Terms::default() {
            let mut command = redis::cmd("SET");
            command.arg(keys::entry(key.tenant(), key.hash(), self.spread)).arg(value).arg("PX").arg(lifetime_ms);
            self.link.call(|mut to| async move { command.query_async::<()>(&mut to).await }).await?;
            return Ok(Stored::Yes);
        }
        self.store_on(terms, key, value, lifetime_ms).await
    }

    async fn store_on(
        &self,
        terms: Terms,
        key: &CacheKey,
        value: Vec<u8>,
        lifetime_ms: u64,
    ) -> Result<Stored, TierError> {
        let tenant = key.tenant();
        let mut script = store::STORE.key(keys::entry(tenant, key.hash(), self.spread));
        script.key(keys::guard("f", tenant, key.hash(), self.spread));
        script.key(keys::guard("v", tenant, key.hash(), self.spread));
        if terms.judged_at.is_some() {
            script.key(keys::control(tenant, "seq"));
        }
        script.arg(terms.judged_at.map_or(-1, |sequence| i64::try_from(sequence).unwrap_or(i64::MAX)));
        script.arg(terms.token.unwrap_or(0)).arg(value).arg(lifetime_ms).arg(store::FENCE_MS);
        let versioned = terms.version;
        script.arg(versioned.map(|terms| store::version(terms.version)).unwrap_or_default());
        script.arg(versioned.map(|terms| store::sequence(terms.sequence)).unwrap_or_default());
        script.arg(versioned.map(|terms| store::sequence(terms.reset_below)).unwrap_or_default());
        script.arg(versioned.and_then(|terms| terms.tag).map(|tag| format!("{tag:?}")).unwrap_or_default());
        let answer: i64 = self.link.call(|mut to| async move { script.invoke_async(&mut to).await }).await?;
        Ok(match answer {
            store::STORED => Stored::Yes,
            store::REPLACED => Stored::Replaced,
            store::FENCED => Stored::Fenced,
            store::OLDER => Stored::Older,
            sequence => Stored::Behind(u64::try_from(sequence).unwrap_or(0)),
        })
    }

    async fn encode(&self, entry: Arc<Entry>) -> Result<Vec<u8>, TierError> {
        let compress_above_bytes = self.config.compress_above_bytes;
        let encoding = Encoding { compress_above_bytes, shift_ms: self.link.correction_ms() };
        if entry.weight_bytes() <= ENCODE_HERE_BYTES_MAX || compress_above_bytes.is_none() {
            return Ok(codec::encode_with(&entry, &encoding));
        }
        let encoding = tokio::task::spawn_blocking(move || codec::encode_with(&entry, &encoding));
        encoding.await.map_err(|error| self.link.failed(error.to_string()))
    }

    fn hold(&self, bytes: u64) -> Result<Held<'_>, TierError> {
        let before = self.put_bytes.fetch_add(bytes, Ordering::AcqRel);
        let held = Held { of: &self.put_bytes, bytes };
        if before > 0 && before + bytes > self.config.put_bytes_max {
            return Err(self.dropped("too many bytes are on their way".to_owned()));
        }
        Ok(held)
    }

    fn dropped(&self, reason: String) -> TierError {
        self.dropped_puts.fetch_add(1, Ordering::Relaxed);
        self.link.failed(reason)
    }

    async fn record(&self, tenant: &str, purge: &Purge, above: u64, at: Timestamp) -> Result<u64, TierError> {
        if above >= barriers::SEQUENCE_MAX {
            return Err(self.link.failed(format!("the purge sequence {above} is out of range")));
        }
        let mut script = barriers::RAISE.key(keys::control(tenant, "seq"));
        script.key(keys::control(tenant, "barriers")).key(keys::control(tenant, "raised"));
        script.arg(above).arg(barriers::member(purge));
        script.arg(at.as_millis().saturating_add_signed(self.link.correction_ms()));
        script.arg(u64::try_from(self.config.lifetime_max.as_millis()).unwrap_or(u64::MAX));
        script.arg(barriers::BARRIERS_MAX).arg(barriers::member(&barriers::everything()));
        let deadline = self.config.purge_deadline;
        self.link.call_within(deadline, |mut to| async move { script.invoke_async(&mut to).await }).await
    }

    async fn recorded_since(&self, tenant: &str, above: u64) -> Result<Vec<Barrier>, TierError> {
        let (mut recorded, mut above) = (Vec::new(), above);
        loop {
            let mut script = barriers::RAISED_SINCE.key(keys::control(tenant, "barriers"));
            script.key(keys::control(tenant, "raised")).arg(above).arg(barriers::SLICE);
            // A read waits for it: the deadline is a read's.
            let rows: Vec<Value> = self.link.call(|mut to| async move { script.invoke_async(&mut to).await }).await?;
            let slice = barriers::read(&rows);
            let slice = slice.ok_or_else(|| self.link.failed("the purge records make no sense".to_owned()))?;
            let (len, highest) = (slice.len(), slice.iter().map(|barrier| barrier.sequence).max());
            recorded.extend(slice);
            match highest {
                Some(highest) if len >= barriers::SLICE && highest > above => above = highest,
                _ => return Ok(recorded),
            }
        }
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
    ) -> BoxFuture<'a, Result<Found, TierError>> {
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
            last_error: self.link.last_error(),
            clock_skew_ms: Some(self.link.skew_ms()),
        }
    }
}

impl BarrierStore for RedisTier {
    fn raise<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        above: u64,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<u64, TierError>> {
        self.record(tenant, purge, above, at).boxed()
    }

    fn raised_since<'a>(&'a self, tenant: &'a str, above: u64) -> BoxFuture<'a, Result<Vec<Barrier>, TierError>> {
        self.recorded_since(tenant, above).boxed()
    }
}

/// Bytes on their way, for as long as it lives.
struct Held<'a> {
    of: &'a AtomicU64,
    bytes: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Ordering::AcqRel);
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
    let spread = matches!(target, Target::Cluster(_));
    Ok((target, spread))
}
