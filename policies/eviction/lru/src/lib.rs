//! `lru`: the entry that was read longest ago leaves first.
//!
//! R. L. Mattson, J. Gecsei, D. R. Slutz, I. L. Traiger: Evaluation techniques for storage hierarchies. IBM Systems
//! Journal 9(2), 1970.
//!
//! Exact, and yet without a list: a read stamps its slot, and the order is made when an entry has to leave. 14 bytes
//! per slot. `readable.rs` has a version that is easier to read and decides alike.

#[cfg(test)]
mod readable;
mod recency;
mod sorted;

use sandbar_guest::eviction::{Arrival, Departure, Eviction};
use serde::Deserialize;

use self::recency::{Recency, grow};

/// There is nothing to set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The policy of one shard.
#[derive(Debug)]
pub struct Lru {
    recency: Recency,
    /// Weights by slot.
    weights: Vec<Weight>,
    bytes: u64,
    capacity_bytes: u64,
}

/// A weight in bytes, at most 256 TiB.
#[derive(Clone, Copy, Debug, Default)]
struct Weight([u16; 3]);

impl Lru {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.bytes > bytes {
            let Some(slot) = self.recency.pop() else { break };
            self.bytes -= self.weights[slot as usize].bytes();
            victims.push(slot);
        }
    }
}

impl Eviction for Lru {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings {} = sandbar_guest::settings::parse(settings)?;
        Ok(Self { recency: Recency::default(), weights: Vec::new(), bytes: 0, capacity_bytes })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        self.recency.touch(std::iter::once(slot));
    }

    #[inline]
    fn touched_in_turn(&mut self, _now_ms: u64, slots: impl ExactSizeIterator<Item = u32>) {
        self.recency.touch(slots);
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.departed(arrival.slot, Departure::Purged);
        let weight = Weight::new(arrival.weight_bytes);
        if arrival.weight_bytes > self.capacity_bytes {
            return victims.push(arrival.slot);
        }
        self.evict_down_to(self.capacity_bytes.saturating_sub(weight.bytes()), victims);
        let index = arrival.slot as usize;
        if index >= self.weights.len() {
            grow(&mut self.weights, index + 1);
        }
        self.weights[index] = weight;
        self.bytes += weight.bytes();
        self.recency.insert(arrival.slot);
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        if self.recency.contains(slot) {
            let weight = &mut self.weights[slot as usize];
            let before = std::mem::replace(weight, Weight::new(weight_bytes));
            self.bytes = self.bytes - before.bytes() + weight.bytes();
        }
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        if self.recency.contains(slot) {
            self.recency.remove(slot);
            self.bytes -= self.weights[slot as usize].bytes();
        }
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.bytes.saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.recency.order(after, limit)
    }
}

impl Weight {
    const MAX: u64 = (1 << 48) - 1;

    fn new(bytes: u64) -> Self {
        let bytes = bytes.min(Self::MAX);
        Self([bytes as u16, (bytes >> 16) as u16, (bytes >> 32) as u16])
    }

    fn bytes(self) -> u64 {
        let [low, middle, high] = self.0.map(u64::from);
        low | middle << 16 | high << 32
    }
}

sandbar_guest::export_eviction!(Lru);

#[cfg(test)]
mod tests {
    use sandbar_guest::eviction::Shard;

    use super::readable::Readable;
    use super::*;

    #[test]
    fn the_entry_read_longest_ago_leaves_first() {
        let mut lru = Lru::configure("", 3, 0).unwrap();
        let mut victims = vec![];
        for slot in 0..3 {
            lru.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        }
        lru.touched(0, 0);
        lru.arrived(0, Arrival { slot: 3, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        assert_eq!(victims, [1]);
        assert_eq!(lru.order(None, 9), [2, 0, 3]);
    }

    fn draw(random: &mut u64, below: u64) -> u64 {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        *random % below
    }

    /// Tells a policy of one of the things that can happen.
    fn tell(policy: &mut impl Eviction, mut random: u64, victims: &mut Vec<u32>) {
        let what = draw(&mut random, 100);
        let (slot, weight_bytes) = (draw(&mut random, 50) as u32, draw(&mut random, 30));
        match what {
            0..50 => policy.touched(0, slot),
            50..80 => policy.arrived(0, Arrival { slot, weight_bytes, ..Arrival::default() }, victims),
            80 => policy.arrived(0, Arrival { slot, weight_bytes: 301, ..Arrival::default() }, victims),
            81..90 => policy.changed(0, slot, weight_bytes, 0, victims),
            90..97 => policy.departed(slot, Departure::Expired),
            _ => policy.reclaim(0, weight_bytes, victims),
        }
    }

    #[test]
    fn it_decides_as_the_readable_one() {
        for seed in 1..5 {
            let mut fast = Lru::configure("", 300, seed).unwrap();
            let mut readable = Shard::<Readable>::configure("", 300, seed).unwrap();
            let (mut by_fast, mut by_readable, mut random) = (vec![], vec![], seed);
            for _ in 0..20_000 {
                draw(&mut random, 1);
                tell(&mut fast, random, &mut by_fast);
                tell(&mut readable, random, &mut by_readable);
                assert_eq!(by_fast, by_readable);
                assert_eq!(fast.order(None, 99), readable.order(None, 99));
            }
            assert!(by_fast.len() > 2_000, "{} victims say little", by_fast.len());
        }
    }

    #[test]
    fn weights_keep_48_bits() {
        assert_eq!(size_of::<Weight>(), 6);
        for bytes in [0, 1, 0x1234_5678_9abc, Weight::MAX] {
            assert_eq!(Weight::new(bytes).bytes(), bytes);
        }
        assert_eq!(Weight::new(u64::MAX).bytes(), Weight::MAX);
    }
}
