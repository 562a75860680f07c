//! What every eviction policy has to keep to, whatever it decides.

use std::collections::HashMap;

use sandbar_guest::eviction::{Arrival, Departure, Event, NEVER_MS, pack};

use sandbar_policies::eviction::{NATIVE, Native, NativeEviction, native};

/// A shard that checks each answer.
struct Shard {
    policy: Box<dyn NativeEviction>,
    resident: HashMap<u32, (u64 /* key */, u64 /* weight */)>,
    slots: HashMap<u64, u32>,
    free: Vec<u32>,
    capacity_bytes: u64,
    random: u64,
}

impl Shard {
    fn new(native: &Native, capacity_bytes: u64, seed: u64) -> Self {
        let policy = native.make("", capacity_bytes, seed).expect("no settings are fine");
        let random = seed.wrapping_mul(2).wrapping_add(1);
        Self {
            policy,
            resident: HashMap::new(),
            slots: HashMap::new(),
            free: (0..4096).collect(),
            capacity_bytes,
            random,
        }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn bytes(&self) -> u64 {
        self.resident.values().map(|entry| entry.1).sum()
    }

    fn advance(&mut self, now_ms: u64, events: &[Event], reclaim_bytes: u64) {
        let mut words = vec![];
        events.iter().for_each(|event| pack(*event, &mut words));
        let mut victims = vec![];
        let before = self.bytes();
        self.policy.advance(now_ms, &words, reclaim_bytes, &mut victims);
        for victim in victims {
            let (key, _) = self.resident.remove(&victim).expect("a victim is resident");
            self.slots.remove(&key);
            self.free.push(victim);
        }
        assert!(self.bytes() <= self.capacity_bytes, "{} > {}", self.bytes(), self.capacity_bytes);
        assert!(before - self.bytes() >= reclaim_bytes.min(before), "reclaimed too little");
    }

    fn request(&mut self, now_ms: u64, key: u64, weight_bytes: u64) {
        if let Some(&slot) = self.slots.get(&key) {
            return self.advance(now_ms, &[Event::Touched { slot }], 0);
        }
        let slot = self.free.pop().expect("enough slots");
        self.slots.insert(key, slot);
        self.resident.insert(slot, (key, weight_bytes));
        let expires_ms = if key.is_multiple_of(3) { NEVER_MS } else { now_ms + key % 1000 };
        let key_hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let arrival =
            Arrival { slot, key_hash, weight_bytes, fetch_cost_us: key % 7 * 1000, expires_ms, ..Arrival::default() };
        self.advance(now_ms, &[Event::Arrived(arrival)], 0);
    }

    fn any(&mut self) -> Option<u32> {
        let mut slots: Vec<u32> = self.resident.keys().copied().collect();
        slots.sort_unstable();
        let nth = self.draw(slots.len().max(1) as u64) as usize;
        slots.get(nth).copied()
    }

    /// Everything that can happen, at random.
    fn step(&mut self, now_ms: u64) {
        match self.draw(40) {
            0 => {
                let Some(slot) = self.any() else { return };
                let (key, _) = self.resident.remove(&slot).expect("it is resident");
                self.slots.remove(&key);
                self.free.push(slot);
                let reason = [Departure::Expired, Departure::Purged, Departure::Evicted][self.draw(3) as usize];
                self.advance(now_ms, &[Event::Departed { slot, reason }], 0);
            }
            1 => {
                let Some(slot) = self.any() else { return };
                let weight_bytes = 1 + self.draw(60);
                self.resident.get_mut(&slot).expect("it is resident").1 = weight_bytes;
                self.advance(now_ms, &[Event::Changed { slot, weight_bytes, expires_ms: now_ms + 50 }], 0);
            }
            2 => {
                let bytes = self.draw(200);
                self.advance(now_ms, &[], bytes);
            }
            3 => self.advance(now_ms, &[Event::Touched { slot: 4_000 }], 0),
            _ => {
                let (bits, low) = (self.draw(10), self.draw(1 << 20));
                let key = low >> (2 * bits);
                self.request(now_ms, key, 1 + key % 40);
            }
        }
    }

    fn check_order(&self) {
        let mut seen: Vec<u32> = vec![];
        loop {
            let slice = self.policy.order(seen.last().copied(), 7);
            if slice.is_empty() {
                break;
            }
            seen.extend(slice);
        }
        let mut slots: Vec<u32> = self.resident.keys().copied().collect();
        slots.sort_unstable();
        seen.sort_unstable();
        assert_eq!(seen, slots, "each resident slot is named once");
    }
}

#[test]
fn every_policy_keeps_the_contract() {
    for native in NATIVE {
        for (seed, capacity_bytes) in [(1, 1000), (2, 100), (3, 5000), (4, 1)] {
            let mut shard = Shard::new(native, capacity_bytes, seed);
            for step in 0..20_000 {
                shard.step(step);
                if step % 500 == 0 {
                    shard.check_order();
                }
            }
            shard.check_order();
            let all = shard.bytes();
            shard.advance(0, &[], all);
            assert!(shard.resident.is_empty(), "{} gives up everything when told to", native.name);
        }
    }
}

#[test]
fn a_reclaim_of_everything_and_more_ends() {
    for native in NATIVE {
        let mut shard = Shard::new(native, 100, 1);
        (0..50).for_each(|key| shard.request(0, key, 3));
        shard.advance(0, &[], u64::MAX);
        assert!(shard.resident.is_empty(), "{}", native.name);
    }
}

#[test]
fn the_same_seed_gives_the_same_victims() {
    for native in NATIVE {
        let run = || {
            let mut shard = Shard::new(native, 700, 9);
            (0..5_000).for_each(|step| shard.step(step));
            let mut slots: Vec<u32> = shard.resident.keys().copied().collect();
            slots.sort_unstable();
            slots
        };
        assert_eq!(run(), run(), "{}", native.name);
    }
}

#[test]
fn an_unknown_setting_is_named() {
    for native in NATIVE {
        let Err(error) = native.make(r#"{"no_such_setting": 1}"#, 100, 0) else { panic!("{} took it", native.name) };
        assert!(error.contains("no_such_setting"), "{error}");
    }
    assert!(native("no-such-policy", "", 1, 0).is_none());
}
