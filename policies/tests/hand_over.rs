//! What a policy has learnt goes on to the one that replaces it, and nonsense in it does no harm.

use std::collections::HashMap;

use sandbar_guest::eviction::knowledge::Ghost;
use sandbar_guest::eviction::{Arrival, Event, Knowledge, pack};
use sandbar_policies::eviction::{NATIVE, Native, NativeEviction};

/// A shard that serves requests at random, some keys more often than others.
struct Shard {
    policy: Box<dyn NativeEviction>,
    resident: HashMap<u32, Arrival>,
    slots: HashMap<u64, u32>,
    free: Vec<u32>,
    capacity_bytes: u64,
    random: u64,
}

impl Shard {
    fn new(native: &Native, capacity_bytes: u64) -> Self {
        let policy = native.make("", capacity_bytes, 1).expect("no settings are fine");
        let (resident, slots, free) = (HashMap::new(), HashMap::new(), (0..4096).collect());
        Self { policy, resident, slots, free, capacity_bytes, random: 1 }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Answers with the victims, each of which was resident.
    fn advance(&mut self, words: &[u64]) -> Vec<u32> {
        let mut victims = vec![];
        self.policy.advance(0, words, 0, &mut victims);
        for victim in &victims {
            let gone = self.resident.remove(victim).expect("a victim is resident");
            self.slots.remove(&gone.key_hash);
            self.free.push(*victim);
        }
        let bytes: u64 = self.resident.values().map(|entry| entry.weight_bytes).sum();
        assert!(bytes <= self.capacity_bytes);
        victims
    }

    fn request(&mut self) -> Vec<u32> {
        let (bits, low) = (self.draw(10), self.draw(1 << 14));
        let key_hash = (low >> bits).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let event = match self.slots.get(&key_hash) {
            Some(slot) => Event::Touched { slot: *slot },
            None => {
                let slot = self.free.pop().expect("enough slots");
                let (weight_bytes, fetch_cost_us) = (1 + low % 40, low % 7 * 1_000);
                let expires_ms = 1_000_000 + low;
                let arrival = Arrival { slot, key_hash, weight_bytes, fetch_cost_us, expires_ms, ..Arrival::default() };
                self.slots.insert(key_hash, slot);
                self.resident.insert(slot, arrival);
                Event::Arrived(arrival)
            }
        };
        let mut words = vec![];
        pack(event, &mut words);
        self.advance(&words)
    }

    /// Replaces the policy by another one, which is told of `knowledge`.
    fn replace(&mut self, native: &Native, capacity_bytes: u64, knowledge: &Knowledge) {
        let order = self.policy.order(None, u32::MAX);
        self.capacity_bytes = capacity_bytes;
        self.policy = native.make("", capacity_bytes, 1).expect("no settings are fine");
        self.policy.take_over(knowledge);
        // The entries of which the policy has not been told yet don't count.
        let mut waiting = std::mem::take(&mut self.resident);
        for (place, slot) in order.iter().enumerate() {
            let rank = (1 + place * 254 / order.len()) as u8;
            let reads = knowledge.reads.get(*slot as usize).copied().unwrap_or(0);
            let arrival = Arrival { rank, reads, ..waiting.remove(slot).expect("it is resident") };
            self.resident.insert(*slot, arrival);
            let mut words = vec![];
            pack(Event::Arrived(arrival), &mut words);
            self.advance(&words);
        }
        assert!(waiting.is_empty());
    }
}

/// Policies that do not go on exactly where their predecessor was: `random` has another seed, `clock` another queue.
const NOT_EXACT: [&str; 2] = ["random", "clock"];

#[test]
fn a_policy_that_replaces_itself_goes_on_as_if_nothing_had_happened() {
    for native in NATIVE.iter().filter(|native| !NOT_EXACT.contains(&native.name)) {
        let (mut stays, mut swaps) = (Shard::new(native, 5_000), Shard::new(native, 5_000));
        for round in 0..4 {
            for _ in 0..10_000 {
                assert_eq!(stays.request(), swaps.request(), "{} in round {round}", native.name);
            }
            let knowledge = swaps.policy.hand_over();
            swaps.replace(native, 5_000, &knowledge);
        }
    }
}

#[test]
fn any_policy_takes_over_from_any_other_at_any_capacity() {
    for (from, to) in NATIVE.iter().flat_map(|from| NATIVE.iter().map(move |to| (from, to))) {
        for capacity_bytes in [1_000, 5_000, 20_000] {
            let mut shard = Shard::new(from, 5_000);
            (0..3_000).for_each(|_| _ = shard.request());
            let before = shard.resident.len();
            let knowledge = shard.policy.hand_over();
            shard.replace(to, capacity_bytes, &knowledge);
            let is_kept = capacity_bytes < 5_000 || shard.resident.len() == before;
            assert!(is_kept, "{} to {}: {} of {before}", from.name, to.name, shard.resident.len());
            (0..3_000).for_each(|_| _ = shard.request());
        }
    }
}

#[test]
fn nonsense_in_what_is_handed_over_breaks_nothing() {
    for native in NATIVE {
        for round in 0..60 {
            let mut shard = Shard::new(native, 2_000);
            (0..2_000).for_each(|_| _ = shard.request());
            let mut knowledge = shard.policy.hand_over();
            shard.random = round + 1;
            spoil(&mut shard, &mut knowledge);
            shard.replace(native, [2_000, 300, 9_000][round as usize % 3], &knowledge);
            (0..1_000).for_each(|_| _ = shard.request());
            let again = shard.policy.hand_over();
            shard.replace(native, 2_000, &again);
        }
    }
}

/// Spoils knowledge: changes bytes, cuts bytes off, puts in ghosts that can't be.
fn spoil(shard: &mut Shard, knowledge: &mut Knowledge) {
    let form = 1 + knowledge.private.first().map_or(0, |len| usize::from(*len));
    for _ in 0..shard.draw(20) {
        let at = form + shard.draw(knowledge.private.len().max(form + 1) as u64 - form as u64) as usize;
        let byte = [0, 1, 0x7f, 0x80, 0xff, shard.draw(256) as u8][shard.draw(6) as usize];
        if let Some(spoilt) = knowledge.private.get_mut(at) {
            *spoilt = byte;
        }
    }
    if shard.draw(4) == 0 {
        knowledge.private.truncate(form + shard.draw(knowledge.private.len() as u64 + 1) as usize);
    }
    if shard.draw(4) == 0 {
        let weights = [0, 1, 1 << 20, (1 << 56) - 1];
        let ghost = |number: u64| Ghost {
            key_hash: number / 2,
            weight_bytes: weights[number as usize % 4],
            reads: number as u8,
        };
        knowledge.ghosts = (0..3_000).map(ghost).collect();
    }
    if shard.draw(4) == 0 {
        knowledge.reads = vec![0xff; 5_000];
    }
}
