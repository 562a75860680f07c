//! L1, the memory tier: entries in memory, sharded by key hash, evicted by the tenant's policy and bounded by the host.
//!
//! A shard is a table behind a readers-writer lock and a policy behind a lock of its own.
//! - **Hit**: take the table's shared lock, look up, clone the value, note the slot in the read buffer. The reader that
//!   fills the buffer *tries* the policy's lock and hands the reads over; if the lock is taken, reads are dropped.
//! - **Insert**: take the table's exclusive lock, take a slot, queue the arrival. When a batch is due the insert
//!   *tries* the policy's lock. If the slack is used up as well, it asks the policy before its entry is taken in; if the
//!   lock is taken, the host evicts in the order of insertion, so that no request waits for a guest.
//!
//! Lock discipline: 1. Order: policy, then table. A thread that holds a table's lock takes no other lock. 2. A policy
//! is called with its own lock held and no other. 3. Requests only ever *try* the policy's lock.
//! [`Memory::swap_eviction`] and [`Memory::set_capacity_bytes`] wait for it. 4. The only foreign code that runs under
//! the table's lock is the clone of a value (it should be an `Arc`) and the conditions of [`Memory::remove_if`],
//! [`Memory::sweep`], [`Memory::survey`] and [`Memory::hottest`]. Values are dropped when all locks are released.
//!
//! What a policy sees, shard by shard: the events in the order in which they happened; with `read_buffer_len` 1 and one
//! thread, each request at once and exactly (nothing is charged or kept beyond the capacity then, so a replay gives the
//! same results as a plain simulator). A slot is reused for another entry only after the departure was handed over, or
//! after the policy named the slot as victim. After naming a victim the policy may still be told of a read, a change or
//! a departure that happened before the host removed it, always before the slot's next arrival; the policy ignores such
//! events, as it does for victims of the same batch.
//!
//! ```
//! # use std::sync::Arc;
//! # use sandbar_base::Timestamp;
//! # use sandbar_base::KeyHash;
//! # use sandbar_memory::eviction::EvictionFactory;
//! use sandbar_memory::{Facts, Memory, MemoryConfig};
//!
//! # fn example(eviction: Arc<dyn EvictionFactory>) {
//! let memory = Memory::new(&MemoryConfig { capacity_bytes: 64 << 20, ..MemoryConfig::default() }, eviction);
//! let (key, now) = (KeyHash::of("key"), Timestamp::from_millis(0));
//! memory.insert(key, Arc::new("value"), Facts { weight_bytes: 5, ..Facts::default() }, now);
//! assert_eq!(memory.get(key, now), Some(Arc::new("value")));
//! # }
//! ```

pub mod eviction;
mod index;
mod left;
#[cfg(feature = "stock")]
pub mod native;
mod pending;
mod reads;
mod seat;
mod shard;
pub mod simulator;
mod slab;
mod split;
mod stats;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_base::Fault;
use sandbar_base::KeyHash;
use sandbar_base::Timestamp;

pub use self::left::{Left, Removal, Witness};

use self::left::{Garbage, Watched};
use self::shard::{Ranked, Shard};
pub use self::split::shards_of_at_least;
use self::split::{SHARDS_MAX, Split};
pub use self::stats::MemoryStats;
use self::sync::Mutex;
use self::table::Candidate;
use crate::eviction::EvictionFactory;

/// What an entry costs besides its own weight, in bytes: a slot of 28, a bucket of 33 in a hash table that is between
/// 42 and 83 % full while entries come and go (57 on average), and what the native default keeps per entry: 32 and two
/// ghosts of 24 or 25. Other policies keep less (`lru` 16), but the default may stand in for any of them, and an entry
/// weighs the same under each.
pub const ENTRY_OVERHEAD_BYTES: u64 = 166;

/// The smallest shard that is made by default, in bytes: no entry larger than its shard can be taken in, and a policy
/// that learns (`tide`, `arc`, the climber of `w-tinylfu`) does so from the requests of its shard alone.
pub const SHARD_BYTES_MIN: u64 = 24 << 20;

/// How many slots a sweep looks at while it holds a shard's lock once.
const SWEEP_SLICE: u32 = 256;

/// How a memory tier is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// What the entries may weigh together, overhead included, in bytes. Each shard gets its part, the last one nearly
    /// twice that of the first, and may exceed it by 1/64 until its policy has answered (not at all where
    /// `read_buffer_len` is 1).
    pub capacity_bytes: u64,
    /// Number of shards, at most 64. By default as many as can have [`SHARD_BYTES_MIN`] each. A shard takes at most
    /// 2^30 entries.
    pub shards: Option<usize>,
    /// How many reads of a thread in a shard are handed over together, if nothing else happens: an arrival or departure
    /// takes the earlier reads along, so that the policy knows them when it names victims. A shard with fewer than 16
    /// times as many entries hands over fewer, but not fewer than 64; and where many threads run, no more than 512.
    /// With 1 a policy sees each event at once.
    pub read_buffer_len: usize,
    /// Seed of all randomness in policies.
    pub seed: u64,
    /// What each entry is charged besides its weight, in bytes.
    pub entry_overhead_bytes: u64,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            capacity_bytes: 64 << 20,
            shards: None,
            read_buffer_len: 1024,
            seed: 0,
            entry_overhead_bytes: ENTRY_OVERHEAD_BYTES,
        }
    }
}

/// What a policy is told of an entry, besides its key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Weight of the entry in bytes, without the engine's overhead; must be less than 1 TiB.
    pub weight_bytes: u64,
    /// How long the fetch took, in microseconds.
    pub fetch_cost_us: u64,
    /// The end of the freshness lifetime. The engine keeps it for the policy and does not act on it. From the year 2109
    /// on it counts as never, and a policy that takes over learns it to about a second.
    pub expires: Timestamp,
}

impl Default for Facts {
    fn default() -> Self {
        Self { weight_bytes: 0, fetch_cost_us: 0, expires: Timestamp::from_millis(u64::MAX) }
    }
}

/// The result of a successful swap of the eviction policy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Swapped {
    /// Name of the policy that left.
    pub from: String,
    /// Name of the policy that took over.
    pub to: String,
    /// Number of resident entries when the last shard had changed over.
    pub entries: u64,
    /// The fault, in some shard, of the new policy on the knowledge that the old one handed over; there the new policy
    /// was told only of the entries.
    pub misled: Option<Fault>,
}

/// A memory tier: values by the hash of their cache key.
pub struct Memory<V> {
    shards: Box<[Shard<V>]>,
    split: Split,
    entry_overhead_bytes: u64,
    /// The policy that is bound. The lock is held during a swap or a change of capacity, so that there is one at a
    /// time.
    bound: Mutex<Arc<dyn EvictionFactory>>,
}

impl<V: Clone + Send + Sync + 'static> Memory<V> {
    /// An empty tier. A shard's policy is made when it is first needed.
    pub fn new(config: &MemoryConfig, eviction: Arc<dyn EvictionFactory>) -> Self {
        Self::made(config, eviction, None)
    }

    /// Like [`Memory::new`], with a witness of all entries that leave.
    pub fn watched(config: &MemoryConfig, eviction: Arc<dyn EvictionFactory>, witness: Arc<dyn Witness<V>>) -> Self {
        Self::made(config, eviction, Some(Arc::new(witness)))
    }

    fn made(config: &MemoryConfig, eviction: Arc<dyn EvictionFactory>, watched: Watched<V>) -> Self {
        let shards = config.shards.unwrap_or_else(|| shards_of_at_least(SHARD_BYTES_MIN, config.capacity_bytes));
        let shards = shards.clamp(1, SHARDS_MAX);
        let split = Split::new(shards);
        let shard = |index: usize| {
            let seed = config.seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let capacity_bytes = split.part(index, config.capacity_bytes);
            Shard::new(capacity_bytes, config.read_buffer_len, seed, Arc::clone(&eviction), watched.clone())
        };
        Self {
            shards: (0..shards).map(shard).collect(),
            split,
            entry_overhead_bytes: config.entry_overhead_bytes,
            bound: Mutex::new(Arc::clone(&eviction)),
        }
    }

    #[inline]
    fn shard(&self, key: KeyHash) -> &Shard<V> {
        &self.shards[self.split.shard_of(key.0)]
    }

    /// The value of a key, if resident; the read is noted for the policy.
    #[inline]
    pub fn get(&self, key: KeyHash, now: Timestamp) -> Option<V> {
        self.shard(key).get(key, now)
    }

    /// The value of a key; the policy isn't told.
    pub fn peek(&self, key: KeyHash) -> Option<V> {
        self.shard(key).peek(key)
    }

    /// Inserts an entry, in place of an older one of its key. False where it was not admitted: it weighs more than its
    /// shard's capacity, or the policy refused it at once; an older entry is gone all the same. After `true` the policy
    /// may still decide against the entry.
    pub fn insert(&self, key: KeyHash, value: V, facts: Facts, now: Timestamp) -> bool {
        let weight_bytes = facts.weight_bytes.saturating_add(self.entry_overhead_bytes);
        self.shard(key).insert(&Candidate { key, weight_bytes, facts }, value, now)
    }

    /// Removes a key's entry.
    pub fn remove(&self, key: KeyHash, why: Removal, now: Timestamp) -> Option<V> {
        self.shard(key).remove_where(key, why, now, |_| true)
    }

    /// Removes a key's entry if `condition` holds; true if it was removed. The condition is called under the shard's
    /// lock.
    pub fn remove_if(&self, key: KeyHash, why: Removal, now: Timestamp, condition: impl FnOnce(&V) -> bool) -> bool {
        self.shard(key).remove_where(key, why, now, condition).is_some()
    }

    /// Removes each entry that was resident when the sweep began and for which `keep` does not hold; returns how many.
    /// It goes over the tier in slices: no request waits longer than for 256 calls of `keep`.
    pub fn sweep(&self, why: Removal, now: Timestamp, keep: impl Fn(KeyHash, &V) -> bool) -> usize {
        self.shards.iter().map(|shard| sweep_shard(shard, (why, now), &keep)).sum()
    }

    /// Shows `see` each entry that was resident when this call began, and is still when its turn comes. Goes over the tier in slices
    /// like [`Self::sweep`], with a lock that readers share; no policy is told.
    pub fn survey(&self, mut see: impl FnMut(KeyHash, &V)) {
        for shard in &self.shards {
            let mut first = 0;
            while shard.survey_slice(first, SWEEP_SLICE, &mut see) {
                first += SWEEP_SLICE;
            }
        }
    }

    /// The `len` entries that `counts` holds for and that the policy would evict last, the hottest first; of each shard by its place in
    /// the shard's order. Blocks like [`Memory::swap_eviction`]; requests wait for nothing, but while a shard's order is read, its
    /// reads are not noted and the host makes room in the order of insertion.
    pub fn hottest(&self, len: usize, counts: impl Fn(KeyHash, &V) -> bool, now: Timestamp) -> Vec<V> {
        let mut all: Vec<Ranked<V>> = self.shards.iter().flat_map(|shard| shard.hottest(len, &counts, now)).collect();
        all.sort_by(|a, b| a.place.total_cmp(&b.place));
        all.truncate(len);
        all.into_iter().map(|ranked| ranked.value).collect()
    }

    /// Removes each entry that was resident when this call began.
    pub fn clear(&self, now: Timestamp) {
        self.sweep(Removal::Cleared, now, |_, _| false);
    }

    /// Binds another eviction policy, which takes over the entries in the order of the old one. Blocks until all shards
    /// have changed over, so no thread that serves requests should call it. Requests never wait for a swap; while a
    /// shard changes over, its reads are not noted and the host makes room in the order of insertion.
    ///
    /// # Errors
    /// When the new policy failed in a shard: the old one is bound again in all of them.
    pub fn swap_eviction(&self, to: Arc<dyn EvictionFactory>, now: Timestamp) -> Result<Swapped, Fault> {
        let mut bound = self.bound.lock();
        let mut done = Vec::with_capacity(self.shards.len());
        let mut misled = None;
        for shard in &self.shards {
            match shard.swap(&to, now) {
                Ok(left) => {
                    misled = misled.or_else(|| left.misled.clone());
                    done.push((shard, left));
                }
                Err(fault) => {
                    done.into_iter().for_each(|(shard, left)| shard.put_back(left, now));
                    return Err(fault);
                }
            }
        }
        let from = std::mem::replace(&mut *bound, Arc::clone(&to));
        Ok(Swapped { from: from.name().to_owned(), to: to.name().to_owned(), entries: self.len(), misled })
    }

    /// Changes the capacity; the number of shards stays. Where it shrinks, the policy's victims are evicted before this
    /// returns. Blocks like [`Memory::swap_eviction`].
    pub fn set_capacity_bytes(&self, bytes: u64, now: Timestamp) {
        let _one_at_a_time = self.bound.lock();
        for (index, shard) in self.shards.iter().enumerate() {
            shard.resize(self.split.part(index, bytes), now);
        }
    }

    /// What the resident entries weigh, overhead included, and what they may weigh, in bytes.
    pub fn room(&self) -> (u64, u64) {
        let tables = self.shards.iter().map(|shard| shard.table.read());
        tables.fold((0, 0), |(held, may), table| (held + table.resident_bytes, may + table.capacity_bytes))
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Number of resident entries.
    fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.table.read().len() as u64).sum()
    }

    /// Figures of all shards together.
    pub fn stats(&self) -> MemoryStats {
        let mut stats = MemoryStats { shards: self.shards.len() as u64, ..MemoryStats::default() };
        for shard in &self.shards {
            stats.add_seat(&shard.counts);
            stats.shards_standing_in += u64::from(shard.stands_in.load(Ordering::Relaxed));
            let table = shard.table.read();
            stats.entries += table.len() as u64;
            stats.resident_bytes += table.resident_bytes;
            stats.capacity_bytes += table.capacity_bytes;
            stats.slack_bytes += table.slack_bytes();
            stats.add_table(&table.counts);
        }
        // Left empty while a swap is going on: the reader of statistics would have to wait for it.
        if let Some(bound) = self.bound.try_lock() {
            stats.policy = bound.name().to_owned();
            stats.policy_digest = bound.digest().map(|digest| digest.to_string());
        }
        stats
    }
}

impl<V> std::fmt::Debug for Memory<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

fn sweep_shard<V: Clone>(shard: &Shard<V>, why: (Removal, Timestamp), keep: &impl Fn(KeyHash, &V) -> bool) -> usize {
    let mut first = 0;
    let mut swept = 0;
    loop {
        let mut garbage = Garbage::new(&shard.watched);
        if !shard.sweep_slice(first, SWEEP_SLICE, why, keep, &mut garbage) {
            return swept;
        }
        swept += garbage.len();
        first += SWEEP_SLICE;
    }
}
