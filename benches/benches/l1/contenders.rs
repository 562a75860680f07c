//! L1 and its peers behind one small trait. Each gets the same keys, which are hashes already, and so a hasher that
//! takes 64 bits of them as they are; the same values; and as many shards as quick_cache takes on this machine.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use sandbar::clock::Timestamp;
use sandbar::http::key::KeyHash;
use sandbar::memory::eviction::EvictionFactory;
use sandbar::memory::{ENTRY_OVERHEAD_BYTES, Facts, Memory, MemoryConfig};

use crate::guest;
use crate::workload::{self, ENTRIES, Operation, Value, Workload};
use crate::{run, timing};

/// A cache under test.
pub(crate) trait Contender: Send + Sync {
    fn get(&self, key: KeyHash) -> Option<Value>;

    fn insert(&self, key: KeyHash, value: Value);

    /// A remark to print below the table.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// A cache under test whose type is erased: dynamic dispatch then costs once per round and not per operation.
pub(crate) trait Field {
    /// The name in the table.
    fn name(&self) -> &'static str;

    /// Runs the operations, one list per thread; answers with nanoseconds per operation of a thread.
    fn race(&self, operations: &[Vec<Operation>]) -> f64;

    /// Runs the operations on this thread and reads no clock, which does not work under valgrind.
    fn work_off(&self, operations: &[Operation]);

    /// A remark to print below the table.
    fn remark(&self) -> Option<String>;
}

struct Named<C>(&'static str, C);

impl<C: Contender> Field for Named<C> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn race(&self, operations: &[Vec<Operation>]) -> f64 {
        let ns = timing::race(operations, |share| run(&self.1, share));
        ns as f64 / operations[0].len() as f64
    }

    fn work_off(&self, operations: &[Operation]) {
        run(&self.1, operations);
    }

    fn remark(&self) -> Option<String> {
        self.1.remark().map(|remark| format!("{}: {remark}", self.0))
    }
}

type Make = fn(Workload) -> Box<dyn Field>;

/// All contenders.
pub(crate) fn all() -> Vec<(&'static str, Make)> {
    vec![
        ("sandbar lru native", |workload| filled("sandbar lru native", L1::new(workload, native("lru")))),
        ("sandbar lru guest", |workload| filled("sandbar lru guest", L1::new(workload, guest::lru()))),
        ("sandbar tide native", |workload| filled("sandbar tide native", L1::new(workload, native("tide")))),
        ("sandbar s3-fifo native", |workload| filled("sandbar s3-fifo native", L1::new(workload, native("s3-fifo")))),
        ("quick_cache", |workload| filled("quick_cache", quick_cache(workload))),
        ("foyer lru", |workload| filled("foyer lru", foyer(workload, foyer_memory::LruConfig::default()))),
        ("foyer s3-fifo", |workload| filled("foyer s3-fifo", foyer(workload, foyer_memory::S3FifoConfig::default()))),
        ("moka", |workload| filled("moka", moka(workload))),
        ("mini-moka", |workload| filled("mini-moka", mini_moka(workload))),
    ]
}

fn filled<C: Contender + 'static>(name: &'static str, contender: C) -> Box<dyn Field> {
    (0..ENTRIES as u32).for_each(|number| contender.insert(workload::key(number), workload::value()));
    Box::new(Named(name, contender))
}

/// Shards that quick_cache makes on this machine.
fn shards() -> usize {
    let shards = std::thread::available_parallelism().map_or(1, usize::from) * 4;
    shards.next_power_of_two()
}

/// L1 in its production configuration, but for the number of shards.
struct L1 {
    memory: Memory<Value>,
}

const FACTS: Facts = Facts { weight_bytes: 64, fetch_cost_us: 1000, expires: Timestamp::from_millis(u64::MAX) };
const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

impl L1 {
    fn new(workload: Workload, eviction: Arc<dyn EvictionFactory>) -> Self {
        let capacity_bytes = workload.room() as u64 * (FACTS.weight_bytes + ENTRY_OVERHEAD_BYTES);
        let config = MemoryConfig { capacity_bytes, shards: Some(shards()), ..MemoryConfig::default() };
        Self { memory: Memory::new(&config, eviction) }
    }
}

impl Contender for L1 {
    #[inline]
    fn get(&self, key: KeyHash) -> Option<Value> {
        self.memory.get(key, NOW)
    }

    #[inline]
    fn insert(&self, key: KeyHash, value: Value) {
        self.memory.insert(key, value, FACTS, NOW);
    }

    fn remark(&self) -> Option<String> {
        let stats = self.memory.stats();
        assert_eq!(stats.faults, 0, "{stats:?}");
        Some(format!(
            "{} entries, {} reads reached the policy, {} were dropped, {} calls, evicted {} by policy and {} by host",
            stats.entries,
            stats.reads_noted,
            stats.reads_dropped,
            stats.advances,
            stats.evicted_by_policy,
            stats.evicted_by_host
        ))
    }
}

/// The stock policy `name`, compiled in.
fn native(name: &str) -> Arc<dyn EvictionFactory> {
    let policy = sandbar::memory::native::NativeEviction::new(name, "").expect("a stock policy");
    Arc::new(policy.expect("the settings are its own"))
}

/// A hasher that takes the upper half of a key, which is a hash already.
#[derive(Clone, Copy, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = (hash >> 64) as u64;
    }
}

type AsItIsBuilder = BuildHasherDefault<AsItIs>;

type QuickCache = quick_cache::sync::Cache<KeyHash, Value, quick_cache::UnitWeighter, AsItIsBuilder>;

fn quick_cache(workload: Workload) -> QuickCache {
    let (room, lifecycle) = (workload.room(), quick_cache::sync::DefaultLifecycle::default());
    QuickCache::with(room, room as u64, quick_cache::UnitWeighter, AsItIsBuilder::default(), lifecycle)
}

impl Contender for QuickCache {
    #[inline]
    fn get(&self, key: KeyHash) -> Option<Value> {
        self.get(&key)
    }

    #[inline]
    fn insert(&self, key: KeyHash, value: Value) {
        self.insert(key, value);
    }
}

type Foyer = foyer_memory::Cache<KeyHash, Value, AsItIsBuilder>;

fn foyer(workload: Workload, eviction: impl Into<foyer_memory::EvictionConfig>) -> Foyer {
    foyer_memory::CacheBuilder::new(workload.room())
        .with_shards(shards())
        .with_eviction_config(eviction)
        .with_hash_builder(AsItIsBuilder::default())
        .build()
}

impl Contender for Foyer {
    #[inline]
    fn get(&self, key: KeyHash) -> Option<Value> {
        self.get(&key).map(|entry| Arc::clone(entry.value()))
    }

    #[inline]
    fn insert(&self, key: KeyHash, value: Value) {
        self.insert(key, value);
    }
}

type Moka = moka::sync::Cache<KeyHash, Value, AsItIsBuilder>;

fn moka(workload: Workload) -> Moka {
    moka::sync::Cache::builder().max_capacity(workload.room() as u64).build_with_hasher(AsItIsBuilder::default())
}

impl Contender for Moka {
    #[inline]
    fn get(&self, key: KeyHash) -> Option<Value> {
        self.get(&key)
    }

    #[inline]
    fn insert(&self, key: KeyHash, value: Value) {
        self.insert(key, value);
    }
}

type MiniMoka = mini_moka::sync::Cache<KeyHash, Value, AsItIsBuilder>;

fn mini_moka(workload: Workload) -> MiniMoka {
    mini_moka::sync::Cache::builder().max_capacity(workload.room() as u64).build_with_hasher(AsItIsBuilder::default())
}

impl Contender for MiniMoka {
    #[inline]
    fn get(&self, key: KeyHash) -> Option<Value> {
        self.get(&key)
    }

    #[inline]
    fn insert(&self, key: KeyHash, value: Value) {
        self.insert(key, value);
    }
}
