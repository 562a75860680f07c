//! A shard that checks each answer of its eviction policy.

use std::collections::{BTreeMap, HashMap};

use sandbar_guest::eviction::{Arrival, Departure, Event, Knowledge, NEVER_MS, pack};
use sandbar_memory::eviction::{EvictionFactory, EvictionPolicy};

use super::Broken;
use super::draws::Draws;

/// How many entries a shard has room for at most.
const SLOTS: u32 = 4096;
/// How many slots of the order are asked for at once.
const SLICE: u32 = 7;
/// A slot that never has an entry.
const EMPTY_SLOT: u32 = SLOTS + 1;

/// A shard with its policy. Weights are small numbers of bytes: a policy knows no unit.
pub(super) struct Shard {
    policy: Box<dyn EvictionPolicy>,
    /// Ordered, so that what is drawn from it is the same each time.
    resident: BTreeMap<u32, Arrival>,
    slots: HashMap<u64, u32>,
    free: Vec<u32>,
    capacity_bytes: u64,
    pub(super) draws: Draws,
    now_ms: u64,
}

impl Shard {
    pub(super) fn new(factory: &dyn EvictionFactory, capacity_bytes: u64, seed: u64) -> Result<Self, Broken> {
        Ok(Self {
            policy: factory.make(capacity_bytes, seed)?,
            resident: BTreeMap::new(),
            slots: HashMap::new(),
            free: (0..SLOTS).collect(),
            capacity_bytes,
            draws: Draws::seeded(seed),
            now_ms: 0,
        })
    }

    /// Who is resident, with the hash of the key.
    pub(super) fn residents(&self) -> Vec<(u32, u64)> {
        self.resident.iter().map(|(slot, entry)| (*slot, entry.key_hash)).collect()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.resident.values().map(|entry| entry.weight_bytes).sum()
    }

    /// Tells the policy of an event and removes its victims.
    fn tell(&mut self, event: Event) -> Result<(), Broken> {
        let mut words = Vec::new();
        pack(event, &mut words);
        self.advance(&words, 0)
    }

    /// Has the policy give up so many bytes.
    pub(super) fn reclaim(&mut self, bytes: u64) -> Result<(), Broken> {
        self.advance(&[], bytes)
    }

    fn advance(&mut self, words: &[u64], reclaim_bytes: u64) -> Result<(), Broken> {
        let (mut victims, before) = (Vec::new(), self.bytes());
        self.policy.advance(self.now_ms, words, reclaim_bytes, &mut victims)?;
        for victim in victims {
            let Some(gone) = self.resident.remove(&victim) else {
                return Err(Broken(format!(
                    "it names slot {victim} as a victim, which has no entry or was named before"
                )));
            };
            self.slots.remove(&gone.key_hash);
            self.free.push(victim);
        }
        let (left, capacity) = (self.bytes(), self.capacity_bytes);
        if left > capacity {
            return Err(Broken(format!("its victims leave {left} bytes in a shard of {capacity}")));
        }
        if before.saturating_sub(left) < reclaim_bytes.min(before) {
            return Err(Broken(format!(
                "its victims are worth {} bytes where {reclaim_bytes} were to be freed",
                before.saturating_sub(left)
            )));
        }
        Ok(())
    }

    /// A request for a key: a read, or an arrival.
    pub(super) fn request(&mut self, key: u64, weight_bytes: u64) -> Result<(), Broken> {
        let key_hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        if let Some(&slot) = self.slots.get(&key_hash) {
            return self.tell(Event::Touched { slot });
        }
        let slot = self.free.pop().ok_or_else(|| Broken("it keeps more entries than have room".to_owned()))?;
        let expires_ms = if key.is_multiple_of(3) { NEVER_MS } else { self.now_ms + key % 1000 };
        let fetch_cost_us = key % 7 * 1000;
        self.arrive(Arrival { slot, key_hash, weight_bytes, fetch_cost_us, expires_ms, ..Arrival::default() })
    }

    fn arrive(&mut self, arrival: Arrival) -> Result<(), Broken> {
        self.slots.insert(arrival.key_hash, arrival.slot);
        self.resident.insert(arrival.slot, arrival);
        self.tell(Event::Arrived(arrival))
    }

    fn any(&mut self) -> Option<u32> {
        let nth = self.draws.below(self.resident.len().max(1) as u64) as usize;
        self.resident.keys().nth(nth).copied()
    }

    /// Something that can happen to a shard, at random.
    pub(super) fn step(&mut self) -> Result<(), Broken> {
        self.now_ms += 1;
        match self.draws.below(40) {
            0 => self.depart(),
            1 => self.change(),
            2 => {
                let bytes = self.draws.below(200);
                self.reclaim(bytes)
            }
            3 => self.tell(Event::Touched { slot: EMPTY_SLOT }),
            _ => {
                let (bits, low) = (self.draws.below(10), self.draws.below(1 << 20));
                let key = low >> (2 * bits);
                self.request(key, 1 + key % 40)
            }
        }
    }

    fn depart(&mut self) -> Result<(), Broken> {
        let Some(slot) = self.any() else { return Ok(()) };
        if let Some(gone) = self.resident.remove(&slot) {
            self.slots.remove(&gone.key_hash);
        }
        self.free.push(slot);
        let reason = [Departure::Expired, Departure::Purged, Departure::Evicted][self.draws.below(3) as usize];
        self.tell(Event::Departed { slot, reason })
    }

    fn change(&mut self) -> Result<(), Broken> {
        let Some(slot) = self.any() else { return Ok(()) };
        let (weight_bytes, expires_ms) = (1 + self.draws.below(60), self.now_ms + 50);
        if let Some(entry) = self.resident.get_mut(&slot) {
            (entry.weight_bytes, entry.expires_ms) = (weight_bytes, expires_ms);
        }
        self.tell(Event::Changed { slot, weight_bytes, expires_ms })
    }

    /// The policy's whole order, coldest first, asked for in slices.
    ///
    /// # Errors
    /// Where it does not name each resident entry once.
    pub(super) fn order(&mut self) -> Result<Vec<u32>, Broken> {
        let mut order: Vec<u32> = Vec::new();
        loop {
            let before = order.len();
            self.policy.order(order.last().copied(), SLICE, &mut order)?;
            if order.len() == before {
                break;
            }
            if order.len() > self.resident.len() {
                return Err(Broken(format!("its order goes on after all {} entries", self.resident.len())));
            }
        }
        let mut sorted = order.clone();
        sorted.sort_unstable();
        if !sorted.iter().eq(self.resident.keys()) {
            let missing = self.resident.keys().find(|slot| !sorted.contains(slot));
            let what = missing.map_or_else(|| "a slot twice".to_owned(), |slot| format!("all slots but {slot}"));
            return Err(Broken(format!("its order names {what}")));
        }
        Ok(order)
    }

    pub(super) fn hand_over(&mut self) -> Result<Knowledge, Broken> {
        Ok(self.policy.hand_over()?)
    }

    /// Puts a policy of `factory` in the place of the present one, as a swap does: it is told of what the old one has learnt, then of
    /// its entries, coldest first.
    pub(super) fn swap(
        &mut self,
        factory: &dyn EvictionFactory,
        capacity_bytes: u64,
        knowledge: &Knowledge,
    ) -> Result<(), Broken> {
        let order = self.order()?;
        self.capacity_bytes = capacity_bytes;
        self.policy = factory.make(capacity_bytes, 1)?;
        self.policy.take_over(knowledge)?;
        let mut waiting = std::mem::take(&mut self.resident);
        for (place, slot) in order.iter().enumerate() {
            let rank = u8::try_from(1 + place * 254 / order.len()).unwrap_or(u8::MAX);
            let reads = knowledge.reads.get(*slot as usize).copied().unwrap_or(0);
            if let Some(entry) = waiting.remove(slot) {
                self.arrive(Arrival { rank, reads, ..entry })?;
            }
        }
        Ok(())
    }
}
