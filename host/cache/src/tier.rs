//! Where entries live. L1 is [`sandbar_memory`]; L2 is anything that implements [`Tier`]: Redis, or a disk.

mod barriers;
#[cfg(any(feature = "disk", feature = "redis"))]
pub mod codec;
#[cfg(feature = "disk")]
pub mod disk;
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

pub use self::barriers::BarrierStore;

/// A shared or persistent tier below L1.
///
/// A tier that is down makes a slower cache, not an outage: each call ends within the tier's own deadline, and a breaker
/// answers at once while it is known to be down.
pub trait Tier: Send + Sync + 'static {
    /// Its name in `Cache-Status`, logs and metrics: `redis`, `disk`.
    fn name(&self) -> &'static str;

    /// The entries under these keys, in their order; none where there is nothing, or nothing that can be read. What was
    /// stored under another key's text is not answered.
    ///
    /// # Errors
    /// When the tier could not be asked.
    fn get<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, TierError>>;

    /// As [`Self::get`], and in the same round trip the tenant's highest purge sequence.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn get_with_sequence<'a>(
        &'a self,
        tenant: &'a str,
        keys: &'a [CacheKey],
    ) -> BoxFuture<'a, Result<TierRead, TierError>> {
        let _ = tenant;
        Box::pin(async move { Ok(TierRead { entries: self.get(keys).await?, sequence: None }) })
    }

    /// Whether it keeps the tenants' barriers beside their entries, so that [`Self::get_with_sequence`] brings the sequence
    /// and [`Terms::judged_at`] is compared.
    fn keeps_barriers(&self) -> bool {
        false
    }

    /// Stores an entry until `until` at the longest.
    ///
    /// # Errors
    /// When it could not be stored; what was there before may still be there.
    fn put<'a>(
        &'a self,
        key: &'a CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<(), TierError>>;

    /// As [`Self::put`], on terms that are checked in the same step where the tier can: so that a fill begun before a
    /// purge does not take the place of one begun after it, nor one that overslept its lease that of its successor.
    ///
    /// # Errors
    /// As [`Self::put`].
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

    /// Removes what is stored under a key.
    ///
    /// # Errors
    /// When it could not be removed.
    fn remove<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<(), TierError>>;

    /// What an operator wants to know of it.
    fn health(&self) -> TierHealth;
}

/// What a tier has under some keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TierRead {
    /// The entries, in the order of the keys.
    pub entries: Vec<Option<Entry>>,
    /// The tenant's highest purge sequence, read behind the entries: they are to be judged by every barrier up to it, and
    /// a fill that follows carries it. None where the tier keeps no barriers.
    pub sequence: Option<u64>,
}

/// On what terms an entry is to be stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// It was found visible under every barrier up to this sequence: not, if there are newer ones.
    pub judged_at: Option<u64>,
    /// The token of the lease it was fetched under: not, if an entry was stored under a later one.
    pub token: Option<u64>,
    /// Its version: not, if a newer one was stored.
    pub version: Option<VersionTerms>,
}

/// On what terms a version is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionTerms {
    /// The version.
    pub version: Version,
    /// The purge sequence that it was fetched under.
    pub sequence: u64,
    /// Versions that were fetched under a lower sequence have been purged: they do not count.
    pub reset_below: u64,
    /// What its entity tag comes to, where it has a strong one: the same tag is the same content.
    pub tag: Option<KeyHash>,
}

/// What became of an entry that was to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is stored, or its time is over already.
    Yes,
    /// It is stored, over an older version with other content.
    Replaced,
    /// Nothing was stored: there are barriers up to this sequence by now. To be judged again, and then offered again.
    Behind(u64),
    /// Nothing was stored: the holder of a later lease was faster.
    Fenced,
    /// Nothing was stored: a newer version was.
    Older,
}

/// What an operator wants to know of a tier.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct TierHealth {
    /// Whether it is asked at all: false while the breaker is open.
    pub available: bool,
    /// Calls that failed since the start.
    pub errors: u64,
    /// Stored bytes that could not be read (and were treated as a miss) since the start.
    pub unreadable: u64,
    /// Bytes it holds, where it knows.
    pub stored_bytes: Option<u64>,
    /// Entries it holds, where it knows.
    pub entries: Option<u64>,
    /// Why it was last unavailable.
    pub last_error: Option<String>,
    /// What the disk refused to take, where it writes to one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disk: Vec<DiskReport>,
    /// How far the tier's clock is ahead of the node's, in milliseconds, where it has one.
    pub clock_skew_ms: Option<i64>,
}

/// Why a tier could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TierError {
    /// It did not answer within its deadline.
    #[error("{tier} did not answer within {deadline_ms} ms")]
    Deadline {
        /// The tier's name.
        tier: &'static str,
        /// Its deadline in milliseconds.
        deadline_ms: u64,
    },
    /// It was not asked, because it failed just now.
    #[error("{tier} failed a moment ago and is not asked for now")]
    Open {
        /// The tier's name.
        tier: &'static str,
    },
    /// It answered with an error.
    #[error("{tier}: {reason}")]
    Failed {
        /// The tier's name.
        tier: &'static str,
        /// What it said.
        reason: String,
    },
}
