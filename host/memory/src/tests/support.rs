//! Policies for tests, and a factory that hands them out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use sandbar_base::KeyHash;
use sandbar_base::Timestamp;
use sandbar_base::{Digest, Fault};
use sandbar_guest::eviction::{Arrival, Departure, Event, Eviction, Knowledge, advance, unpack};

use super::super::slab::State;
use super::super::{Facts, Memory, MemoryConfig};
use crate::eviction::{EvictionFactory, EvictionPolicy};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// The key of a number, well mixed.
pub(super) fn key(number: u64) -> KeyHash {
    let mixed = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    KeyHash(mixed ^ (mixed >> 67))
}

pub(super) fn facts(weight_bytes: u64) -> Facts {
    Facts { weight_bytes, ..Facts::default() }
}

/// One shard, no overhead, each event at once.
pub(super) fn exact(capacity_bytes: u64) -> MemoryConfig {
    MemoryConfig { capacity_bytes, shards: Some(1), read_buffer_len: 1, seed: 1, entry_overhead_bytes: 0 }
}

/// One shard, no overhead, batches.
pub(super) fn batched(capacity_bytes: u64) -> MemoryConfig {
    MemoryConfig { read_buffer_len: 64, ..exact(capacity_bytes) }
}

pub(super) fn keys_of<V: Clone + Send + Sync + 'static>(memory: &Memory<V>, below: u64) -> Vec<u64> {
    (0..below).filter(|number| memory.peek(key(*number)).is_some()).collect()
}

/// Asserts that the parts of each table agree with each other.
pub(super) fn assert_consistent<V: Clone + Send + Sync + 'static>(memory: &Memory<V>) {
    for shard in &memory.shards {
        let table = shard.table.read();
        let ordered: Vec<u32> = table.in_order_of_insertion().collect();
        assert_eq!(ordered.len(), table.len(), "the order of insertion and the map hold the same entries");
        let mut weight_bytes = 0;
        for slot in &ordered {
            let entry = table.slab.at(*slot);
            let bucket = table.bucket(*slot).expect("a slot in the order of insertion has an entry");
            assert_eq!(table.find(bucket.key).map(|found| found.slot), Some(*slot));
            weight_bytes += entry.weight_bytes();
        }
        assert_eq!(weight_bytes, table.resident_bytes);
        assert!(table.resident_bytes <= table.limit_bytes());
        let in_state = |state| (0..table.slab.len()).filter(|slot| table.slab.at(*slot).state() == state).count();
        assert_eq!(in_state(State::Resident), ordered.len());
        assert_eq!(in_state(State::Reserved), 0);
    }
}

/// A small random generator (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A policy that evicts the least recently used entry; time is the number of events.
#[derive(Debug, Default)]
pub(super) struct Lru {
    by_use: BTreeMap<u64, u32>,
    entries: HashMap<u32, (u64, u64)>,
    clock: u64,
    bytes: u64,
    capacity_bytes: u64,
}

impl Lru {
    fn evict(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        let mut freed = 0;
        while freed < bytes
            && let Some((_, slot)) = self.by_use.pop_first()
        {
            let (_, weight) = self.entries.remove(&slot).unwrap();
            freed += weight;
            victims.push(slot);
        }
        self.bytes -= freed;
    }
}

impl Eviction for Lru {
    fn configure(_settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        Ok(Self { capacity_bytes, ..Self::default() })
    }

    fn touched(&mut self, _now_ms: u64, slot: u32) {
        self.clock += 1;
        if let Some((used, _)) = self.entries.get_mut(&slot) {
            self.by_use.remove(used);
            *used = self.clock;
            self.by_use.insert(self.clock, slot);
        }
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.departed(arrival.slot, Departure::Purged);
        self.evict((self.bytes + arrival.weight_bytes).saturating_sub(self.capacity_bytes), victims);
        self.clock += 1;
        self.bytes += arrival.weight_bytes;
        self.entries.insert(arrival.slot, (self.clock, arrival.weight_bytes));
        self.by_use.insert(self.clock, arrival.slot);
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        if let Some((_, weight)) = self.entries.get_mut(&slot) {
            self.bytes = self.bytes - *weight + weight_bytes;
            *weight = weight_bytes;
        }
        self.evict(self.bytes.saturating_sub(self.capacity_bytes), victims);
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        if let Some((used, weight)) = self.entries.remove(&slot) {
            self.by_use.remove(&used);
            self.bytes -= weight;
        }
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict(bytes, victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        let first = after.map_or(0, |after| self.entries[&after].0 + 1);
        self.by_use.range(first..).map(|(_, slot)| *slot).take(limit as usize).collect()
    }
}

/// The events that a policy was told of, in order.
pub(super) type Log = Arc<Mutex<Vec<Event>>>;

/// The state of a slot, by the events that a watchful policy was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Held,
    /// Named as victim: the policy may still be told of the slot until the next arrival in it, or the departure.
    Named,
    Gone,
}

/// A policy that passes everything on to another one and notes every breach of the contract.
pub(super) struct Watchful<P> {
    inner: P,
    slots: HashMap<u32, Life>,
    breaches: Arc<Mutex<Vec<String>>>,
    log: Option<Log>,
}

impl<P> Watchful<P> {
    fn watch(&mut self, event: Event) {
        let (slot, fits, next) = match event {
            Event::Arrived(Arrival { slot, .. }) => (slot, [Life::Gone, Life::Named].as_slice(), Some(Life::Held)),
            Event::Touched { slot } | Event::Changed { slot, .. } => (slot, [Life::Held, Life::Named].as_slice(), None),
            Event::Departed { slot, .. } => (slot, [Life::Held, Life::Named].as_slice(), Some(Life::Gone)),
        };
        let life = self.slots.entry(slot).or_insert(Life::Gone);
        if !fits.contains(life) {
            self.breaches.lock().push(format!("{event:?} of a slot that is {life:?}"));
        }
        *life = next.unwrap_or(*life);
        if let Some(log) = &self.log {
            log.lock().push(event);
        }
    }
}

impl<P: Eviction + Send> EvictionPolicy for Watchful<P> {
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim: u64, victims: &mut Vec<u32>) -> Result<(), Fault> {
        let first = victims.len();
        for event in unpack(events) {
            self.watch(event);
        }
        advance(&mut self.inner, now_ms, events, reclaim, victims);
        for victim in &victims[first..] {
            // The victim may have departed later in the same batch.
            if let Some(life @ Life::Held) = self.slots.get_mut(victim) {
                *life = Life::Named;
            }
        }
        Ok(())
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        slots.extend(self.inner.order(after, limit));
        Ok(())
    }

    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        Ok(self.inner.hand_over())
    }

    fn take_over(&mut self, predecessor: &Knowledge) -> Result<(), Fault> {
        if !self.slots.is_empty() {
            self.breaches.lock().push("it takes over after its first event".to_owned());
        }
        self.inner.take_over(predecessor);
        Ok(())
    }
}

type Make = dyn Fn(u64, u64) -> Result<Box<dyn EvictionPolicy>, Fault> + Send + Sync;

/// A factory of test policies that notes the faults and breaches that it is told of.
pub(super) struct Factory {
    name: &'static str,
    make: Box<Make>,
    pub(super) trusted: AtomicBool,
    pub(super) made: AtomicU64,
    pub(super) faults: Mutex<Vec<Fault>>,
    pub(super) breaches: Arc<Mutex<Vec<String>>>,
    pub(super) log: Log,
    fallback: Option<Arc<Factory>>,
}

impl Factory {
    pub(super) fn new(
        name: &'static str,
        make: impl Fn(u64, u64) -> Result<Box<dyn EvictionPolicy>, Fault> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::with(name, Box::new(make), Arc::default(), Arc::default(), Some(Self::watchful_lru()))
    }

    pub(super) fn with_fallback(
        name: &'static str,
        make: impl Fn(u64, u64) -> Result<Box<dyn EvictionPolicy>, Fault> + Send + Sync + 'static,
        fallback: Arc<Self>,
    ) -> Arc<Self> {
        Self::with(name, Box::new(make), Arc::default(), Arc::default(), Some(fallback))
    }

    /// A watchful policy for a shard of this capacity.
    pub(super) fn watchful_lru_of(capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        Self::watchful_lru().make(capacity_bytes, seed)
    }

    /// One of its policies.
    pub(super) fn make_one(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        (self.make)(capacity_bytes, seed)
    }

    /// A factory of policies that evict the least recently used entry, watched and logged.
    pub(super) fn watchful_lru() -> Arc<Self> {
        Self::watchful::<Lru>("lru")
    }

    pub(super) fn watchful<P: Eviction + Send + 'static>(name: &'static str) -> Arc<Self> {
        let (breaches, log) = (Arc::new(Mutex::new(vec![])), Log::default());
        let (to_breaches, to_log) = (Arc::clone(&breaches), Arc::clone(&log));
        let make = move |capacity_bytes, seed| {
            let inner = P::configure("", capacity_bytes, seed).map_err(Fault::trap)?;
            let (breaches, log) = (Arc::clone(&to_breaches), Some(Arc::clone(&to_log)));
            Ok(Box::new(Watchful { inner, slots: HashMap::new(), breaches, log }) as Box<dyn EvictionPolicy>)
        };
        Self::with(name, Box::new(make), breaches, log, None)
    }

    fn with(
        name: &'static str,
        make: Box<Make>,
        breaches: Arc<Mutex<Vec<String>>>,
        log: Log,
        fallback: Option<Arc<Factory>>,
    ) -> Arc<Self> {
        let (trusted, made, faults) = (AtomicBool::new(true), AtomicU64::new(0), Mutex::default());
        Arc::new(Self { name, make, trusted, made, faults, breaches, log, fallback })
    }

    /// Asserts that there was no breach of the contract, and no fault.
    pub(super) fn assert_clean(&self) {
        assert_eq!(*self.breaches.lock(), Vec::<String>::new());
        assert_eq!(*self.faults.lock(), []);
    }

    pub(super) fn stand_in(&self) -> &Factory {
        self.fallback.as_deref().unwrap_or(self)
    }
}

impl EvictionFactory for Factory {
    fn name(&self) -> &str {
        self.name
    }

    fn digest(&self) -> Option<Digest> {
        None
    }

    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        self.made.fetch_add(1, Ordering::SeqCst);
        (self.make)(capacity_bytes, seed)
    }

    fn faulted(&self, fault: &Fault) {
        self.faults.lock().push(fault.clone());
    }

    fn is_trusted(&self) -> bool {
        self.trusted.load(Ordering::SeqCst)
    }

    fn fallback(&self) -> Arc<dyn EvictionFactory> {
        self.fallback.clone().unwrap_or_else(Self::watchful_lru)
    }
}
