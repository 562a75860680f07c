//! The same eviction policy gives the same decisions as a component in the engine and compiled in: whatever happens,
//! the same victims in the same order, and the same order to hand over.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use sandbar::clock::SystemClock;
use sandbar::memory::eviction::{EvictionFactory, EvictionPolicy};
use sandbar::memory::native::NativeEviction;
use sandbar::policy::{Binding, Engine, EngineConfig, Role, TenantPolicies};
use sandbar_guest::eviction::{Arrival, Departure, Event, pack};

/// Each stock policy once as a guest and once compiled in.
static PAIRS: LazyLock<Vec<[Arc<dyn EvictionFactory>; 2]>> = LazyLock::new(|| {
    let engine =
        Engine::new(&EngineConfig { instances_max: 64, core_share_percent: 0, ..EngineConfig::default() }).unwrap();
    let pair = |name: &'static str| {
        let configured = [Binding::stock(Role::Eviction, name)];
        let clock = Arc::new(SystemClock);
        let guest =
            TenantPolicies::open(Arc::clone(&engine), name, &configured, Default::default(), None, clock).unwrap();
        let native = NativeEviction::new(name, "").unwrap().unwrap();
        [guest.eviction(), Arc::new(native) as _]
    };
    sandbar_policies::eviction::NATIVE.iter().map(|native| pair(native.name)).collect()
});

/// What a shard does in one step; a number stands for a choice among what is there.
#[derive(Clone, Debug)]
enum Step {
    Read(usize),
    Insert {
        key: u64,
        weight_bytes: u64,
        fetch_cost_us: u64,
        lifetime_ms: u64,
    },
    Change(usize, u64),
    Remove(usize, u8),
    /// The batch is handed over, and this much more is wanted.
    Advance {
        after_ms: u64,
        reclaim_bytes: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let insert = (0..200_u64, 1..120_u64, 0..5_000_u64, 0..100_000_u64);
    prop_oneof![
        8 => any::<usize>().prop_map(Step::Read),
        6 => insert.prop_map(|(key, weight_bytes, fetch_cost_us, lifetime_ms)| {
            Step::Insert { key, weight_bytes, fetch_cost_us, lifetime_ms }
        }),
        1 => (any::<usize>(), 1..150_u64).prop_map(|(index, weight)| Step::Change(index, weight)),
        1 => (any::<usize>(), 0..3_u8).prop_map(|(index, reason)| Step::Remove(index, reason)),
        3 => (0..5_000_u64, 0..300_u64).prop_map(|(after_ms, reclaim_bytes)| {
            Step::Advance { after_ms, reclaim_bytes: if reclaim_bytes < 200 { 0 } else { reclaim_bytes } }
        }),
    ]
}

/// The host's side of a shard: which slot holds which key, and which slots are free.
#[derive(Default)]
struct Shard {
    events: Vec<u64>,
    resident: Vec<u32>,
    keys: HashMap<u64, u32>,
    free: Vec<u32>,
    slots: u32,
    now_ms: u64,
}

impl Shard {
    fn note(&mut self, step: &Step) {
        match *step {
            Step::Read(index) => {
                if let Some(slot) = self.pick(index) {
                    pack(Event::Touched { slot }, &mut self.events);
                }
            }
            Step::Insert { key, weight_bytes, fetch_cost_us, lifetime_ms } => {
                if self.keys.contains_key(&key) {
                    return;
                }
                let slot = self.free.pop().unwrap_or_else(|| {
                    self.slots += 1;
                    self.slots - 1
                });
                self.keys.insert(key, slot);
                self.resident.push(slot);
                let (key_hash, expires_ms) = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15), self.now_ms + lifetime_ms);
                // Some are handed over.
                let rank = if key % 4 == 0 { key as u8 } else { 0 };
                let reads = if rank > 0 { (key >> 8) as u8 } else { 0 };
                let arrival = Arrival { slot, key_hash, weight_bytes, fetch_cost_us, expires_ms, rank, reads };
                pack(Event::Arrived(arrival), &mut self.events);
            }
            Step::Change(index, weight_bytes) => {
                if let Some(slot) = self.pick(index) {
                    let expires_ms = self.now_ms + 1_000;
                    pack(Event::Changed { slot, weight_bytes, expires_ms }, &mut self.events);
                }
            }
            Step::Remove(index, reason) => {
                if let Some(slot) = self.pick(index) {
                    let reason = [Departure::Expired, Departure::Purged, Departure::Evicted][usize::from(reason)];
                    pack(Event::Departed { slot, reason }, &mut self.events);
                    self.forget(slot);
                }
            }
            Step::Advance { .. } => {}
        }
    }

    fn pick(&self, index: usize) -> Option<u32> {
        (!self.resident.is_empty()).then(|| self.resident[index % self.resident.len()])
    }

    fn forget(&mut self, slot: u32) {
        self.resident.retain(|resident| *resident != slot);
        self.keys.retain(|_, resident| *resident != slot);
        self.free.push(slot);
    }
}

fn same_decisions(guest: &mut dyn EvictionPolicy, native: &mut dyn EvictionPolicy, steps: &[Step]) {
    let mut shard = Shard { now_ms: 1_700_000_000_000, ..Shard::default() };
    for step in steps {
        shard.note(step);
        let Step::Advance { after_ms, reclaim_bytes } = *step else { continue };
        shard.now_ms += after_ms;
        let (mut by_guest, mut by_native) = (Vec::new(), Vec::new());
        guest.advance(shard.now_ms, &shard.events, reclaim_bytes, &mut by_guest).unwrap();
        native.advance(shard.now_ms, &shard.events, reclaim_bytes, &mut by_native).unwrap();
        assert_eq!(by_guest, by_native);
        shard.events.clear();
        by_native.into_iter().for_each(|slot| shard.forget(slot));
        let (mut by_guest, mut by_native) = (Vec::new(), Vec::new());
        guest.order(None, 1_000, &mut by_guest).unwrap();
        native.order(None, 1_000, &mut by_native).unwrap();
        assert_eq!(by_guest, by_native);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn guest_and_native_evict_the_same(steps in prop::collection::vec(step(), 1..600), seed: u64) {
        let successors = PAIRS.iter().cycle().skip(seed as usize % PAIRS.len());
        for ([guest, native], [next_guest, next_native]) in PAIRS.iter().zip(successors) {
            let mut guest = guest.make(2_000, seed).unwrap();
            let mut native = native.make(2_000, seed).unwrap();
            same_decisions(&mut *guest, &mut *native, &steps);
            let knowledge = guest.hand_over().unwrap();
            let by_native = native.hand_over().unwrap();
            // Logarithms may differ in their last bits.
            assert_eq!((&knowledge.reads, &knowledge.ghosts), (&by_native.reads, &by_native.ghosts));
            assert_eq!(knowledge.private.len(), by_native.private.len());
            let [mut guest, mut native] = [next_guest, next_native].map(|next| next.make(1_500, seed).unwrap());
            guest.take_over(&knowledge).unwrap();
            native.take_over(&knowledge).unwrap();
            same_decisions(&mut *guest, &mut *native, &steps);
        }
    }
}
