//! L1: entries in memory, sharded by key hash, evicted by the tenant's policy and bounded by the host.
//!
//! A shard is a table behind a readers-writer lock and a policy behind a lock of its own.
//! - **Hit**: the table's shared lock, look up, clone the value, note the slot in the read buffer. The reader that fills the
//!   buffer *tries* the policy's lock and hands the reads over; if somebody is there, reads are dropped.
//! - **Insert**: the table's exclusive lock, take a slot, queue the arrival. When a batch is due it *tries* the policy's
//!   lock. If the slack is used up as well, an insert asks the policy before its entry is taken in; if somebody is there,
//!   the host evicts in the order of insertion, so that nobody waits for a guest.
//!
//! Lock discipline:
//! 1. Order: policy, then table. Whoever holds a table's lock takes no other.
//! 2. A policy is called with its own lock held and no other.
//! 3. Requests only ever *try* the policy's lock. [`Memory::swap_eviction`] and [`Memory::set_capacity_bytes`] wait for it.
//! 4. The only foreign code that runs under the table's lock is the clone of a value (it should be an `Arc`) and the
//!    condition of [`Memory::remove_if`] and [`Memory::sweep`]. Values are dropped when all locks are released.
//!
//! What a policy sees, shard by shard: the events in the order in which they happened; with `read_buffer_len` 1 and one
//! thread each request at once and exactly (nothing is charged or kept beyond the capacity then, so a replay gives what a
//! plain simulator gives). A slot is given to another entry only after the departure was handed over, or after the policy
//! named it as victim. After that it may still be told of a read, a change or a departure that happened before the host
//! removed the victim, always before the slot's next arrival; it ignores that, as it does for victims of the same batch.
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

use sandbar_base::Fault;
use sandbar_base::KeyHash;
use sandbar_base::Timestamp;
pub use sandbar_guest::eviction::Departure;

use self::shard::Shard;
pub use self::split::shards_of_at_least;
use self::split::{SHARDS_MAX, Split};
pub use self::stats::MemoryStats;
use self::sync::Mutex;
use self::table::Candidate;
use crate::eviction::EvictionFactory;

/// What an entry costs beside its own weight, in bytes: a slot of 28, a bucket of 33 in a hash table that is between 42 and
/// 83 % full while entries come and go (57 on average), and what the native default keeps for it: 32 and two ghosts of 24 or
/// 25. Other policies keep less (`lru` 16), but any of them may be stood in for, and an entry weighs the same under each.
pub const ENTRY_OVERHEAD_BYTES: u64 = 166;

/// Shards are not made smaller than this by default, in bytes: an entry as large as a shard can still be taken in, and a
/// policy that learns (`tide`, `arc`, the climber of `w-tinylfu`) does so from the requests of its shard alone.
pub const SHARD_BYTES_MIN: u64 = 24 << 20;

/// Slots that a sweep looks at under one lock.
const SWEEP_SLICE: u32 = 256;

/// How a memory tier is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryConfig {
    /// What the entries may weigh together, overhead included, in bytes. Each shard gets its part, the last one nearly twice
    /// that of the first, and may exceed it by 1/64 until its policy has answered (not at all where `read_buffer_len` is 1).
    pub capacity_bytes: u64,
    /// Shards, at most 64. By default as many as there are with [`SHARD_BYTES_MIN`] at least. One takes at most 2^30 entries.
    pub shards: Option<usize>,
    /// Reads of a thread in a shard that are handed over together, if nothing else happens: an arrival or departure takes the
    /// reads before it along, so that the policy knows them when it names victims. A shard with fewer than 16 times as many
    /// entries hands over fewer, but not fewer than 64; and where many threads run, no more than 512. 1 makes a policy see
    /// each event at once.
    pub read_buffer_len: usize,
    /// What is random in policies follows from it.
    pub seed: u64,
    /// What each entry is charged beside its weight, in bytes.
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

/// What a policy is told of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it weighs in bytes, without the engine's overhead; 1 TiB is too much.
    pub weight_bytes: u64,
    /// How long it took to fetch, in microseconds.
    pub fetch_cost_us: u64,
    /// The end of its freshness lifetime. The engine keeps it for the policy and does not act on it. From the year 2109 on
    /// it counts as never, and a policy that takes over learns it to about a second.
    pub expires: Timestamp,
}

impl Default for Facts {
    fn default() -> Self {
        Self { weight_bytes: 0, fetch_cost_us: 0, expires: Timestamp::from_millis(u64::MAX) }
    }
}

/// A swap of the eviction policy that was done.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Swapped {
    /// Name of the policy that left.
    pub from: String,
    /// Name of the policy that took over.
    pub to: String,
    /// Entries that were resident when the last shard had changed over.
    pub entries: u64,
    /// What the policy that took over failed with when it was told what the one that left had learnt, in some shard; it
    /// was told of the entries alone there.
    pub misled: Option<Fault>,
}

/// A memory tier: entries by the hash of their key.
pub struct Memory<V> {
    shards: Box<[Shard<V>]>,
    split: Split,
    entry_overhead_bytes: u64,
    /// The policy that is bound; held during a swap or a change of capacity, so that there is one at a time.
    bound: Mutex<Arc<dyn EvictionFactory>>,
}

impl<V: Clone + Send + Sync + 'static> Memory<V> {
    /// An empty tier. Policies are made when a shard first needs one.
    pub fn new(config: &MemoryConfig, eviction: Arc<dyn EvictionFactory>) -> Self {
        let shards = config.shards.unwrap_or_else(|| shards_of_at_least(SHARD_BYTES_MIN, config.capacity_bytes));
        let shards = shards.clamp(1, SHARDS_MAX);
        let split = Split::new(shards);
        let shard = |index: usize| {
            let seed = config.seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Shard::new(split.part(index, config.capacity_bytes), config.read_buffer_len, seed, Arc::clone(&eviction))
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

    /// The value of a key: a hit, noted for the policy.
    #[inline]
    pub fn get(&self, key: KeyHash, now: Timestamp) -> Option<V> {
        self.shard(key).get(key, now)
    }

    /// The value of a key; the policy isn't told.
    pub fn peek(&self, key: KeyHash) -> Option<V> {
        self.shard(key).peek(key)
    }

    /// Takes an entry in, in place of an older one of its key. False where it wasn't: it weighs more than a shard's
    /// capacity, or the policy refused it at once; an older one is gone all the same. After `true` the policy may still
    /// decide against it.
    pub fn insert(&self, key: KeyHash, value: V, facts: Facts, now: Timestamp) -> bool {
        let weight_bytes = facts.weight_bytes.saturating_add(self.entry_overhead_bytes);
        self.shard(key).insert(&Candidate { key, weight_bytes, facts }, value, now)
    }

    /// Removes a key's entry.
    pub fn remove(&self, key: KeyHash, reason: Departure, now: Timestamp) -> Option<V> {
        self.shard(key).remove_where(key, reason, now, |_| true)
    }

    /// Removes a key's entry if `condition` holds; says whether it did. The condition is asked under the shard's lock.
    pub fn remove_if(
        &self,
        key: KeyHash,
        reason: Departure,
        now: Timestamp,
        condition: impl FnOnce(&V) -> bool,
    ) -> bool {
        self.shard(key).remove_where(key, reason, now, condition).is_some()
    }

    /// Removes each entry that was resident when it began and that `keep` does not hold for; answers how many. Goes over
    /// the tier in slices: nobody waits longer than for 256 calls of `keep`.
    pub fn sweep(&self, now: Timestamp, keep: impl Fn(KeyHash, &V) -> bool) -> usize {
        self.shards.iter().map(|shard| sweep_shard(shard, now, &keep)).sum()
    }

    /// Removes each entry that was resident when it began.
    pub fn clear(&self, now: Timestamp) {
        self.sweep(now, |_, _| false);
    }

    /// Binds another eviction policy, which takes over the entries in the order of the old one. Blocks for as long as
    /// that takes: it is nothing for a thread that serves requests. Those never wait for it; while a shard changes over,
    /// its reads go unnoted and the host makes room in the order of insertion.
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

    /// Changes the capacity; the number of shards stays. Where it shrinks, the policy's victims leave before this returns.
    /// Blocks like [`Memory::swap_eviction`].
    pub fn set_capacity_bytes(&self, bytes: u64, now: Timestamp) {
        let _one_at_a_time = self.bound.lock();
        for (index, shard) in self.shards.iter().enumerate() {
            shard.resize(self.split.part(index, bytes), now);
        }
    }

    /// Number of resident entries.
    fn len(&self) -> u64 {
        self.shards.iter().map(|shard| shard.table.read().len() as u64).sum()
    }

    /// What it holds and has done.
    pub fn stats(&self) -> MemoryStats {
        let mut stats = MemoryStats { shards: self.shards.len() as u64, ..MemoryStats::default() };
        for shard in &self.shards {
            stats.add_seat(&shard.counts);
            let table = shard.table.read();
            stats.entries += table.len() as u64;
            stats.resident_bytes += table.resident_bytes;
            stats.capacity_bytes += table.capacity_bytes;
            stats.slack_bytes += table.slack_bytes();
            stats.add_table(&table.counts);
        }
        // Not while a swap is going on: a reader of statistics would wait for it.
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

fn sweep_shard<V: Clone>(shard: &Shard<V>, now: Timestamp, keep: &impl Fn(KeyHash, &V) -> bool) -> usize {
    let mut first = 0;
    let mut swept = 0;
    loop {
        let mut garbage = Vec::new();
        if !shard.sweep_slice(first, SWEEP_SLICE, now, keep, &mut garbage) {
            return swept;
        }
        swept += garbage.len();
        first += SWEEP_SLICE;
    }
}
