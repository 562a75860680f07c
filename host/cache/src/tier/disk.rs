//! The embedded L2: a log of segments on a disk, for when no Redis is configured. A laptop needs no server then, and a
//! restart keeps its cache.
//!
//! - Bounded: everything in its directory takes [`DiskConfig::capacity_bytes`] at most, as `du` counts, however much was
//!   written (`log`).
//! - Safe: a record that was torn by a crash, or damaged, is a miss; a process that is killed loses nothing it had
//!   stored. Entries are not synced to the platter one by one (a cache may lose its newest on a power failure); purges
//!   are, before they are acknowledged (`barriers`).
//! - Polite: all that blocks runs on threads of its own, behind bounded queues; a read that takes too long is given up.

mod barriers;
mod home;
mod index;
mod log;
mod opened;
mod segment;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use sandbar_base::clock::{Clock, Timestamp};
use sandbar_base::disk_trouble::DiskTrouble;
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use};
use sandbar_http::entry::Entry;
use sandbar_http::key::{CacheKey, KeyHash};
use tokio::sync::Semaphore;

use self::barriers::BarrierBook;
use self::index::Location;
use self::log::{Gauges, LogLimits};
use self::opened::Opened;
use self::segment::Segment;
use self::writer::NotDone;
use super::codec::{self, Unreadable};
use super::{Tier, TierError, TierHealth, TierRead};
use crate::barrier::{Barrier, Purge};
use crate::tier::{BarrierStore, Recorded};

const NAME: &str = "disk";
/// The smallest capacity that makes sense: purge records alone may take up to as much.
const CAPACITY_BYTES_MIN: u64 = 8 << 20;
const SEGMENT_BYTES_MAX: u64 = 64 << 20;

/// A disk tier's settings.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// A directory that nothing else uses; created if need be.
    pub path: PathBuf,
    /// Bytes that all files in the directory may take together; at least 8 MiB. One entry may take a sixteenth of the
    /// capacity, and at most 64 MiB.
    pub capacity_bytes: u64,
    /// Entries at most; 128 bytes of memory are reserved for each. By default one per 2 KiB of capacity, as far as a
    /// sixteenth of `budget` allows.
    pub entries_max: Option<usize>,
    /// How long a read may take; 250 ms by default.
    pub read_deadline: Duration,
    /// How long recording a purge may take; 5 s by default.
    pub purge_deadline: Duration,
    /// Reads at the same time; 32 by default. Further ones wait, within their deadline.
    pub reads_max: usize,
    /// Entries that may wait to be written; 1,024 by default. Further ones are not stored.
    pub queue_len: usize,
    /// Bytes that may wait to be written; 64 MiB by default. Further entries are not stored.
    pub queue_bytes: u64,
    /// From how many bytes on entries are compressed; 16 KiB by default. With `None` none are.
    pub compress_above_bytes: Option<usize>,
    /// No entry is kept for longer, and no purge record needs to be; 30 days by default.
    pub lifetime_max: Duration,
    /// The memory budget to which the index is charged, and entries before they are read; unbounded by default.
    pub budget: Arc<MemoryBudget>,
}

impl DiskConfig {
    /// The default settings for a directory and its capacity.
    pub fn new(path: impl Into<PathBuf>, capacity_bytes: u64) -> Self {
        Self {
            path: path.into(),
            capacity_bytes,
            entries_max: None,
            read_deadline: Duration::from_millis(250),
            purge_deadline: Duration::from_secs(5),
            reads_max: 32,
            queue_len: 1024,
            queue_bytes: 64 << 20,
            compress_above_bytes: Some(16 << 10),
            lifetime_max: Duration::from_secs(30 * 86_400),
            budget: MemoryBudget::unbounded(),
        }
    }
}

/// The embedded L2.
#[derive(Debug)]
pub struct DiskTier {
    config: DiskConfig,
    /// None while another process has the directory.
    opened: ArcSwapOption<Opened>,
    clock: Arc<dyn Clock>,
    reads: Arc<Semaphore>,
    purges: Arc<Semaphore>,
    gauges: Arc<Gauges>,
    counters: Counters,
    entries_trouble: Arc<DiskTrouble>,
    purges_trouble: Arc<DiskTrouble>,
    /// The memory that is reserved for the index.
    _index_room: Reserved,
}

#[derive(Debug, Default)]
struct Counters {
    errors: AtomicU64,
    errors_in_a_row: AtomicU64,
    dropped_puts: AtomicU64,
    unreadable: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// After so many failures in a row the tier is reported as unavailable. It is still asked, because a disk fails fast.
const ERRORS_IN_A_ROW: u64 = 8;

impl DiskTier {
    /// Opens the entries and barriers in the directory, if there are any. Blocks: it reads the headers of all that is
    /// stored, some hundred thousand a second.
    ///
    /// # Errors
    /// When the directory can't be used or belongs to another process, in words for an operator. Damaged files are not
    /// an error: they are dropped, with a warning.
    pub fn open(config: &DiskConfig, clock: Arc<dyn Clock>) -> Result<Arc<Self>, TierError> {
        if config.capacity_bytes < CAPACITY_BYTES_MIN {
            return Err(failed(format!("a capacity of {CAPACITY_BYTES_MIN} bytes is the least")));
        }
        let (gauges, limits) = (Arc::<Gauges>::default(), limits(config));
        let index_bytes = limits.entries_max as u64 * INDEX_ENTRY_BYTES;
        let index_room = config.budget.reserve(Use::Tables, index_bytes);
        let index_room =
            index_room.ok_or_else(|| failed("there is no room for its index (memory.total)".to_owned()))?;
        let trouble = |what, meanwhile| Arc::new(DiskTrouble::new(what, &config.path, meanwhile));
        let entries_trouble = trouble("stored responses", "they are kept in memory alone");
        let purges_trouble = trouble("purges", "they hold here, and a restart would forget them");
        let opened = Opened::open(config, limits, &clock, &gauges, &entries_trouble).map_err(failed)?;
        Ok(Arc::new(Self {
            config: config.clone(),
            opened: ArcSwapOption::from_pointee(opened),
            clock,
            reads: Arc::new(Semaphore::new(config.reads_max.max(1))),
            purges: Arc::new(Semaphore::new(1)),
            gauges,
            counters: Counters::default(),
            entries_trouble,
            purges_trouble,
            _index_room: index_room,
        }))
    }

    /// Lets another process have the directory: writes what is queued, closes its files. From then on nothing is found
    /// here, nothing is stored, and no purge can be recorded, until [`Self::take_back`]. Blocks.
    ///
    /// # Errors
    /// When the operating system does not let the directory go, in words for an operator.
    #[doc(hidden)]
    pub fn give_up(&self) -> Result<(), TierError> {
        let Some(opened) = self.opened.swap(None) else { return Ok(()) };
        opened.close().map_err(failed)
    }

    /// Takes the directory again, with what another process has left in it. Blocks, as [`Self::open`] does.
    ///
    /// # Errors
    /// As [`Self::open`]: the tier stays empty then.
    #[doc(hidden)]
    pub fn take_back(&self) -> Result<(), TierError> {
        if self.opened.load().is_some() {
            return Ok(());
        }
        let limits = limits(&self.config);
        let opened = Opened::open(&self.config, limits, &self.clock, &self.gauges, &self.entries_trouble);
        self.opened.store(Some(Arc::new(opened.map_err(failed)?)));
        Ok(())
    }

    /// Entries that were not stored because the queue was full, since the start.
    pub fn dropped_puts(&self) -> u64 {
        self.counters.dropped_puts.load(Ordering::Relaxed)
    }

    /// Segments (each a sixteenth of the capacity, at most 64 MiB) dropped for lack of room since the start.
    pub fn evicted_segments(&self) -> u64 {
        self.gauges.evicted_segments.load(Ordering::Relaxed)
    }

    async fn read(&self, keys: &[CacheKey]) -> Result<Vec<Option<Entry>>, TierError> {
        let now = self.clock.now();
        let mut entries: Vec<Option<Entry>> = keys.iter().map(|_| None).collect();
        let Some(index) = self.opened.load().as_ref().map(|opened| Arc::clone(&opened.index)) else {
            return Ok(entries);
        };
        let mut found = Vec::new();
        for (position, key) in keys.iter().enumerate() {
            if let Some((segment, place)) = index.find(key.hash(), now) {
                found.push(Placed { position, key: key.clone(), segment, place });
            }
        }
        if found.is_empty() {
            return Ok(entries);
        }
        let permit = within(self.config.read_deadline, Arc::clone(&self.reads).acquire_owned());
        // A read past its deadline keeps its permit until the disk answers: a hanging disk occupies no more threads.
        let reading = permit.then(|permit| async {
            let permit = permit?.map_err(|_| closed())?;
            let budget = Arc::clone(&self.config.budget);
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                found.into_iter().map(|placed| placed.read(&budget)).collect::<Vec<_>>()
            });
            task.await.map_err(|error| failed(error.to_string()))
        });
        for (found, result) in within(self.config.read_deadline, reading).await?? {
            match result {
                Ok(entry) => entries[found.position] = Some(entry),
                Err(Unreadable::NoRoom) => {}
                Err(_) => {
                    self.counters.unreadable.fetch_add(1, Ordering::Relaxed);
                    index.remove_at(found.key.hash(), &found.place);
                }
            }
        }
        Ok(entries)
    }

    async fn write(&self, key: KeyHash, entry: Arc<Entry>, until: Timestamp) -> Result<(), TierError> {
        let latest = self.clock.now().saturating_add(self.config.lifetime_max);
        let opened = self.present()?;
        self.done(opened.writer.put(key, entry, until.min(latest)).await)
    }

    async fn erase(&self, key: KeyHash) -> Result<(), TierError> {
        let opened = self.present()?;
        self.done(opened.writer.remove(key).await)
    }

    /// The directory, unless another process has it.
    fn present(&self) -> Result<Arc<Opened>, TierError> {
        self.opened.load_full().ok_or_else(|| failed("another process has taken its directory over".to_owned()))
    }

    fn done(&self, result: Result<(), NotDone>) -> Result<(), TierError> {
        let reason = match result {
            Ok(()) => return Ok(()),
            Err(NotDone::Full) => {
                self.counters.dropped_puts.fetch_add(1, Ordering::Relaxed);
                "the queue is full".to_owned()
            }
            Err(NotDone::Refused(reason)) => reason,
            Err(NotDone::Gone) => "its thread has ended".to_owned(),
        };
        Err(failed(reason))
    }

    /// Runs one transaction of the barrier book on a blocking thread.
    async fn book<T: Send + 'static>(
        &self,
        work: impl FnOnce(&BarrierBook) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, TierError> {
        let (opened, purges) = (self.present()?, Arc::clone(&self.purges));
        let (trouble, clock) = (Arc::clone(&self.purges_trouble), Arc::clone(&self.clock));
        let working = async move {
            let permit = purges.acquire_owned().await.map_err(|_| closed())?;
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                work(&opened.book).inspect_err(|error| match error {
                    redb::Error::Io(error) => trouble.refused(error, clock.now()),
                    other => trouble.refused(&std::io::Error::other(other.to_string()), clock.now()),
                })
            });
            task.await.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
        };
        within(self.config.purge_deadline, working).await?
    }

    fn count<T>(&self, result: Result<T, TierError>) -> Result<T, TierError> {
        match &result {
            Ok(_) => self.counters.errors_in_a_row.store(0, Ordering::Relaxed),
            Err(error) => {
                self.counters.errors.fetch_add(1, Ordering::Relaxed);
                self.counters.errors_in_a_row.fetch_add(1, Ordering::Relaxed);
                *self.counters.last_error.lock() = Some(error.to_string());
            }
        }
        result
    }
}

impl Tier for DiskTier {
    fn name(&self) -> &'static str {
        NAME
    }

    fn get<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, TierError>> {
        async { self.count(self.read(keys).await) }.boxed()
    }

    fn get_with_sequence<'a>(
        &'a self,
        tenant: &'a str,
        keys: &'a [CacheKey],
    ) -> BoxFuture<'a, Result<TierRead, TierError>> {
        async move {
            let entries = self.count(self.read(keys).await)?;
            Ok(TierRead { entries, sequence: self.opened.load().as_ref().map(|opened| opened.book.sequence(tenant)) })
        }
        .boxed()
    }

    fn put<'a>(
        &'a self,
        key: &'a CacheKey,
        entry: Arc<Entry>,
        until: Timestamp,
    ) -> BoxFuture<'a, Result<(), TierError>> {
        async move { self.count(self.write(key.hash(), entry, until).await) }.boxed()
    }

    fn remove<'a>(&'a self, key: &'a CacheKey) -> BoxFuture<'a, Result<(), TierError>> {
        async { self.count(self.erase(key.hash()).await) }.boxed()
    }

    fn health(&self) -> TierHealth {
        let counters = &self.counters;
        TierHealth {
            available: counters.errors_in_a_row.load(Ordering::Relaxed) < ERRORS_IN_A_ROW,
            errors: counters.errors.load(Ordering::Relaxed),
            unreadable: counters.unreadable.load(Ordering::Relaxed),
            stored_bytes: Some(self.gauges.stored_bytes.load(Ordering::Relaxed)),
            entries: self.opened.load().as_ref().map(|opened| opened.index.len() as u64),
            left_out: self.dropped_puts(),
            last_error: counters.last_error.lock().clone(),
            disk: vec![self.entries_trouble.report(self.clock.now()), self.purges_trouble.report(self.clock.now())],
            clock_skew_ms: None,
            servers: Vec::new(),
        }
    }
}

impl BarrierStore for DiskTier {
    /// False: only this process has the directory open.
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
        let (owner, purge) = (tenant.to_owned(), purge.clone());
        async move {
            let raised = self.book(move |book| book.raise(&owner, &purge, above, at)).await;
            if let Some(opened) = &*self.opened.load() {
                opened.writer.tidy();
            }
            self.count(raised)
        }
        .boxed()
    }

    fn raised_since<'a>(&'a self, tenant: &'a str, above: u64) -> BoxFuture<'a, Result<Vec<Barrier>, TierError>> {
        let tenant = tenant.to_owned();
        async move { self.count(self.book(move |book| book.raised_since(&tenant, above)).await) }.boxed()
    }
}

struct Placed {
    position: usize,
    key: CacheKey,
    segment: Arc<Segment>,
    place: Location,
}

impl Placed {
    fn read(self, budget: &Arc<MemoryBudget>) -> (Self, Result<Entry, Unreadable>) {
        let entry = self.entry(budget);
        (self, entry)
    }

    fn entry(&self, budget: &Arc<MemoryBudget>) -> Result<Entry, Unreadable> {
        let room = budget.reserve(Use::L2Reads, self.place.value_bytes.into()).ok_or(Unreadable::NoRoom)?;
        let value = self.segment.value(u64::from(self.place.offset), self.place.value_bytes);
        let value = value.map_err(|_| Unreadable::Damaged)?;
        codec::decode_within(value.into(), &self.key.shared_text(), 0, room)
    }
}

/// Bytes of memory per entry: its key and place in a hash table that may be growing, and up to twice its key in the
/// lists of the segments.
const INDEX_ENTRY_BYTES: u64 = 128;

/// The index takes at most this part, a sixteenth, of the memory budget.
const INDEX_DIVISOR: u64 = 16;

/// Bytes of capacity per entry by default: entries that are smaller on average do not use all of the capacity.
const ENTRY_BYTES_MEAN: u64 = 2 << 10;

fn limits(config: &DiskConfig) -> LogLimits {
    let in_memory = config.budget.total_bytes() / INDEX_DIVISOR / INDEX_ENTRY_BYTES;
    let entries = usize::try_from(in_memory.min(config.capacity_bytes / ENTRY_BYTES_MEAN)).unwrap_or(usize::MAX);
    LogLimits {
        dir: config.path.clone(),
        capacity_bytes: config.capacity_bytes,
        segment_bytes: (config.capacity_bytes / 16).min(SEGMENT_BYTES_MAX),
        entries_max: config.entries_max.unwrap_or(entries).max(1),
    }
}

async fn within<T>(deadline: Duration, work: impl Future<Output = T>) -> Result<T, TierError> {
    let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    tokio::time::timeout(deadline, work).await.map_err(|_| TierError::Deadline { tier: NAME, deadline_ms })
}

fn closed() -> TierError {
    failed("it is closing".to_owned())
}

const fn failed(reason: String) -> TierError {
    TierError::Failed { tier: NAME, reason }
}
