//! Where entries live. L1 is [`sandbar_memory`]; L2 is anything that implements [`Tier`]: Redis, memcached, or a disk.

mod barriers;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod breaker;
#[cfg(any(feature = "disk", feature = "memcached", feature = "redis"))]
#[doc(hidden)]
pub mod codec;
#[cfg(feature = "disk")]
pub mod disk;
#[cfg(feature = "memcached")]
pub mod memcached;
#[cfg(any(feature = "memcached", feature = "redis"))]
mod puts;
#[cfg(not(feature = "redis"))]
#[path = "tier/no_redis.rs"]
pub mod redis;
#[cfg(feature = "redis")]
pub mod redis;

use std::sync::Arc;

use futures_util::future::BoxFuture;

use sandbar_base::clock::Timestamp;
use sandbar_base::disk_trouble::DiskReport;
use sandbar_http::entry::{Entry, Version};
use sandbar_http::key::{CacheKey, KeyHash};

pub use self::barriers::{BarrierStore, Recorded};
#[cfg(any(feature = "memcached", feature = "redis"))]
#[doc(hidden)]
pub use self::breaker::Breaker;
#[cfg(any(feature = "memcached", feature = "redis"))]
pub use self::breaker::BreakerConfig;

/// A shared or persistent tier below L1.
///
/// A tier that is down makes a slower cache, not an outage: each call ends within the tier's own deadline, and a breaker
/// answers at once while the tier is known to be down.
pub trait Tier: Send + Sync + 'static {
    /// The tier's name in `Cache-Status`, logs and metrics: `redis`, `memcached`, `disk`.
    fn name(&self) -> &'static str;

    /// Reads the entries under these keys, in the order of the keys; `None` for a key without a readable entry. An
    /// entry that was stored under another key's text is not returned.
    ///
    /// # Errors
    /// When the tier could not be asked.
    fn get<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, TierError>>;

    /// Like [`Self::get`], but reads the tenant's highest purge sequence in the same round trip.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn get_with_sequence<'a>(
        &'a self,
        tenant: &'a str,
        keys: &'a [CacheKey],
    ) -> BoxFuture<'a, Result<TierRead, TierError>> {
        let _ = tenant;
        Box::pin(async move { Ok(TierRead { entries: self.get(keys).await?, sequence: None }) })
    }

    /// Whether the tier keeps the tenants' barriers beside their entries, so that [`Self::get_with_sequence`] returns
    /// the sequence and [`Terms::judged_at`] is compared with it.
    fn keeps_barriers(&self) -> bool {
        false
    }

    /// Stores an entry until `until` at the longest.
    ///
    /// # Errors
    /// When the entry could not be stored; an earlier entry under the key may still be there.
    fn put<'a>(
        &'a self,
        key: &'a CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<(), TierError>>;

    /// Like [`Self::put`], but only if the terms hold, which the tier checks in the same step if it can: a fill that
    /// began before a purge does not replace one that began after it, nor a fill whose lease has run out that of a
    /// later lease.
    ///
    /// # Errors
    /// As for [`Self::put`].
    fn put_on<'a>(
        &'a self,
        terms: Terms,
        key: &'a CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<Stored, TierError>> {
        let _ = terms;
        Box::pin(async move { self.put(key, entry, until).await.map(|()| Stored::Yes) })
    }

    /// Removes the entry under a key, if there is one.
    ///
    /// # Errors
    /// When the entry could not be removed.
    fn remove<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<(), TierError>>;

    /// The tier's state, for operators.
    fn health(&self) -> TierHealth;
}

/// The result of a read that also asks for the purge sequence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TierRead {
    /// The entries, in the order of the keys.
    pub entries: Vec<Option<Entry>>,
    /// The tenant's highest purge sequence, read after the entries: every barrier up to it must judge them, and a fill
    /// that follows carries it. `None` where the tier keeps no barriers.
    pub sequence: Option<u64>,
}

/// Conditions under which an entry is stored; a field that is `None` sets no condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The entry is visible under every barrier up to this sequence. It is not stored if there are newer barriers.
    pub judged_at: Option<u64>,
    /// The token of the lease that the entry was fetched under. It is not stored if one with a later token was.
    pub token: Option<u64>,
    /// The entry's version. The entry is not stored if a newer version was.
    pub version: Option<VersionTerms>,
}

/// What decides whether an entry is stored in place of another version of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionTerms {
    /// The version of the entry to be stored.
    pub version: Version,
    /// The purge sequence that the entry was fetched under.
    pub sequence: u64,
    /// Versions that were fetched under a lower sequence have been purged: they do not count.
    pub reset_below: u64,
    /// A hash of the entry's entity tag, where that is a strong one: the same tag means the same content.
    pub tag: Option<KeyHash>,
}

/// What became of an entry that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The entry is stored, or its `until` has passed already.
    Yes,
    /// The entry is stored in place of an older version with other content.
    Replaced,
    /// Nothing was stored: there are barriers up to this sequence by now. They have to judge the entry before it is put
    /// again.
    Behind(u64),
    /// Nothing was stored: the holder of a later lease has stored its entry already.
    Fenced,
    /// Nothing was stored: a newer version was stored before.
    Older,
}

/// A tier's state, as operators see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TierHealth {
    /// Whether the tier works: false while its breaker is open or, for a disk, after several failures in a row.
    pub available: bool,
    /// Calls that failed since the start.
    pub errors: u64,
    /// Stored bytes that could not be read (and were treated as a miss) since the start.
    pub unreadable: u64,
    /// Bytes that the tier holds; `None` where it does not know.
    pub stored_bytes: Option<u64>,
    /// Entries that the tier holds; `None` where it does not know.
    pub entries: Option<u64>,
    /// Entries that were not stored since the start because they are larger than the tier takes, or because too much was on
    /// its way to it.
    pub left_out: u64,
    /// The most recent error.
    pub last_error: Option<String>,
    /// Writes that the disk refused; empty for a tier that does not write to a disk.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disk: Vec<DiskReport>,
    /// How far the tier's clock is ahead of the node's, in milliseconds; `None` for a tier without a clock of its own.
    pub clock_skew_ms: Option<i64>,
    /// The servers that have a part of the entries each; empty where the tier is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<ServerHealth>,
}

/// The state of one of a tier's servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ServerHealth {
    /// The server, as the settings name it.
    pub name: String,
    /// Whether it works: false while its breaker is open.
    pub available: bool,
}

/// Why a tier could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TierError {
    /// The tier did not answer within its deadline.
    #[error("{tier} did not answer within {deadline_ms} ms")]
    Deadline {
        /// The tier's name.
        tier: &'static str,
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// The tier was not asked, because its breaker is open after recent failures.
    #[error("{tier} failed a moment ago and is not asked for now")]
    Open {
        /// The tier's name.
        tier: &'static str,
    },
    /// The tier answered with an error, or could not be asked.
    #[error("{tier}: {reason}")]
    Failed {
        /// The tier's name.
        tier: &'static str,
        /// The error in words.
        reason: String,
    },
}
