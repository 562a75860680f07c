//! An L2 in memcached, for those who run one already: several servers, each with its part of the keys.
//!
//! - A slower cache, never an outage: each call has a deadline, a breaker for each server answers at once while that
//!   server is known to be down, and its part of the keys is missed meanwhile. It comes back by itself.
//! - `eventual` consistency alone: memcached can neither compare an entry with a purge nor an older lease with a later
//!   one, and it forgets what it likes. Entries are held against purges when they are read (`numbers`).
//! - What servers send is bounded and checked: a server that is too old is found out before it is sent any content, an
//!   exchange that was broken off closes its connection, and a reply that does not fit is believed nothing.
//! - Connections are not encrypted, and memcached believes whoever reaches it: it belongs on a network of one's own.
//!
//! Keys are `sandbar:` and the 32 hexadecimal digits of the cache key's hash.

mod config;
mod connection;
mod exchange;
mod numbers;
mod put;
mod ring;
mod server;
mod stamp;
#[doc(hidden)]
pub mod wire;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use sandbar_base::clock::{Clock, Timestamp};
use sandbar_base::memory_budget::Reserved;
use sandbar_http::entry::Entry;
use sandbar_http::key::CacheKey;

pub use self::config::{MemcachedConfig, Numbering};
use self::exchange::{Done, Fetched, Job};
use self::numbers::{Node, Numbers};
use self::ring::Ring;
use self::server::Server;
use self::stamp::{STAMP_BYTES, Stamp};
use super::codec::{self, Unreadable};
use super::disk::{DiskConfig, DiskTier};
use super::puts::Puts;
use super::{BarrierStore, Recorded, ServerHealth, Tier, TierError, TierHealth};
use crate::barrier::{Barrier, Purge};

const NAME: &str = "memcached";
/// Room for the records of purges on the disk: the least that a disk tier takes.
const RECORDS_BYTES: u64 = 8 << 20;

/// An L2 in memcached.
#[derive(Debug)]
pub struct MemcachedTier {
    servers: Vec<Arc<Server>>,
    ring: Ring,
    numbers: Numbers,
    clock: Arc<dyn Clock>,
    config: MemcachedConfig,
    unreadable: AtomicU64,
    puts: Puts,
}

impl MemcachedTier {
    /// Begins to connect in the background, whether the servers are up or not: see [`Self::ready`]. Where this node numbers
    /// its purges alone, opens their records first.
    ///
    /// # Errors
    /// When an address is wrong, or the directory of the records can't be used, in words for an operator.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn open(config: &MemcachedConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TierError> {
        config.check().map_err(failed)?;
        let mut config = config.clone();
        config.lifetime_max = config.lifetime_max.min(config::LIFETIME_MAX);
        let numbers = match &config.numbering {
            Numbering::Fleet => Numbers::Fleet,
            Numbering::Node(dir) => {
                let settings = DiskConfig {
                    entries_max: Some(1),
                    lifetime_max: config.lifetime_max,
                    budget: Arc::clone(&config.budget),
                    ..DiskConfig::new(dir, RECORDS_BYTES)
                };
                let its_clock = Arc::clone(&clock);
                let opening = tokio::task::spawn_blocking(move || DiskTier::open(&settings, its_clock));
                let records = opening.await.map_err(|error| failed(error.to_string()))??;
                let budget = Arc::clone(&config.budget);
                Numbers::Node(Node::open(records, config.lifetime_max, clock.now(), budget).await?)
            }
        };
        let ring = Ring::new(config.servers.iter().map(String::as_str));
        let servers = config.servers.iter().map(|address| Server::start(address, &config)).collect();
        let (unreadable, puts) = (AtomicU64::default(), Puts::new(config.put_bytes_max));
        Ok(Arc::new(Self { servers, ring, numbers, clock, config, unreadable, puts }))
    }

    /// Waits until every server can be asked, for `deadline` at most; false if one can't.
    pub async fn ready(&self, deadline: Duration) -> bool {
        let all = join_all(self.servers.iter().map(|server| server.ready()));
        tokio::time::timeout(deadline, all).await.is_ok()
    }

    /// Where this node records its purges, if it does so alone: a directory that only one process can have.
    #[doc(hidden)]
    pub const fn records(&self) -> Option<&Arc<DiskTier>> {
        match &self.numbers {
            Numbers::Fleet => None,
            Numbers::Node(node) => Some(&node.records),
        }
    }

    fn server_of(&self, key: &CacheKey) -> &Server {
        &self.servers[self.ring.server_of(key.hash())]
    }

    async fn read(&self, keys: &[CacheKey]) -> Result<Vec<Option<Entry>>, TierError> {
        let mut parts: Vec<(usize, Vec<usize>)> = Vec::new();
        for (position, key) in keys.iter().enumerate() {
            let server = self.ring.server_of(key.hash());
            match parts.iter_mut().find(|(of, _)| *of == server) {
                Some((_, positions)) => positions.push(position),
                None => parts.push((server, vec![position])),
            }
            if keys[..position].last().is_none_or(|before| before.tenant() != key.tenant()) {
                self.numbers.complete(key.tenant()).await?;
            }
        }
        let asking = parts.iter().map(|(server, positions)| async {
            let names: Vec<String> = positions.iter().map(|position| name(&keys[*position])).collect();
            self.servers[*server].call(&Job::Get(&names)).await
        });
        let mut entries: Vec<Option<Entry>> = keys.iter().map(|_| None).collect();
        let (mut answered, mut trouble) = (false, None);
        for ((_, positions), done) in parts.iter().zip(join_all(asking).await) {
            match done {
                Ok(Done::Values(values)) => {
                    answered = true;
                    for (position, fetched) in positions.iter().zip(values) {
                        entries[*position] = self.entry(&keys[*position], fetched);
                    }
                }
                Ok(Done::Changed) => {}
                Err(error) => trouble = Some(error),
            }
        }
        // The keys of a server that is down are missed; only where no server answered there is nothing to go by.
        match trouble {
            Some(error) if !answered => Err(error),
            _ => Ok(entries),
        }
    }

    fn entry(&self, key: &CacheKey, fetched: Fetched) -> Option<Entry> {
        let found = match fetched {
            Fetched::Nothing | Fetched::NoRoom => return None,
            Fetched::TooLarge => Err(Unreadable::TooLarge),
            Fetched::Value(bytes, room) => self.decoded(key, bytes, room),
        };
        match found {
            Ok(entry) => entry,
            Err(Unreadable::NoRoom) => None,
            Err(reason) => {
                self.unreadable.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(tier = NAME, tenant = key.tenant(), %reason, "what is stored can't be read");
                None
            }
        }
    }

    /// The entry in these bytes, numbered as on this node; `None` where it can't be held against this node's purges.
    fn decoded(&self, key: &CacheKey, bytes: Bytes, room: Reserved) -> Result<Option<Entry>, Unreadable> {
        let stamp = Stamp::parse(&bytes).ok_or(Unreadable::Foreign)?;
        let mut entry = codec::decode_within(bytes.slice(STAMP_BYTES..), &key.shared_text(), 0, room)?;
        // What the entry itself says of the time is held against what stands before it: the earlier one counts.
        let mut asked = Timestamp::from_millis(stamp.asked_ms);
        if let Entry::Response(response) = &entry {
            asked = asked.min(response.requested);
        }
        let numbered = self.numbers.sequence(key.tenant(), stamp.realm, entry.sequence(), asked);
        Ok(numbered.map(|sequence| {
            match &mut entry {
                Entry::Response(response) => response.sequence = sequence,
                Entry::Variants(variants) => variants.sequence = sequence,
            }
            entry
        }))
    }
}

impl Tier for MemcachedTier {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, TierError>> {
        self.read(keys).boxed()
    }

    fn put<'a>(
        &'a self,
        key: &'a CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<(), TierError>> {
        self.write(key, entry, until).boxed()
    }

    fn remove<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<(), TierError>> {
        async move { self.server_of(key).call(&Job::Remove(&name(key))).await.map(drop) }.boxed()
    }

    fn health(&self) -> TierHealth {
        let servers: Vec<ServerHealth> = self
            .servers
            .iter()
            .map(|server| ServerHealth { name: server.address.clone(), available: server.is_available() })
            .collect();
        TierHealth {
            available: servers.iter().any(|server| server.available),
            errors: self.servers.iter().map(|server| server.errors()).sum(),
            unreadable: self.unreadable.load(Ordering::Relaxed),
            left_out: self.puts.left_out(),
            last_error: self.servers.iter().find_map(|server| server.last_error()),
            disk: self.records().map(|records| records.health().disk).unwrap_or_default(),
            servers,
            ..TierHealth::default()
        }
    }
}

impl BarrierStore for MemcachedTier {
    /// False: the records are this node's own.
    fn is_shared(&self) -> bool {
        false
    }

    fn raise<'a>(
        &'a self,
        tenant: &'a str,
        purge: &'a Purge,
        above: u64,
        at: Timestamp,
    ) -> BoxFuture<'a, Result<Recorded, TierError>> {
        async move {
            let Numbers::Node(node) = &self.numbers else { return Err(recorded_elsewhere()) };
            let recorded = node.records.raise(tenant, purge, above, at).await?;
            node.note(tenant, at, recorded.sequence);
            Ok(recorded)
        }
        .boxed()
    }

    fn raised_since<'a>(&'a self, tenant: &'a str, above: u64) -> BoxFuture<'a, Result<Vec<Barrier>, TierError>> {
        async move {
            let Numbers::Node(node) = &self.numbers else { return Err(recorded_elsewhere()) };
            node.records.raised_since(tenant, above).await
        }
        .boxed()
    }
}

/// The key in memcached, which takes 250 bytes without spaces at most.
fn name(key: &CacheKey) -> String {
    let mut name = String::with_capacity(40);
    let _ = write!(name, "sandbar:{:032x}", key.hash().0);
    name
}

fn recorded_elsewhere() -> TierError {
    failed("the purges are recorded by the fleet, not here".to_owned())
}

const fn failed(reason: String) -> TierError {
    TierError::Failed { tier: NAME, reason }
}
