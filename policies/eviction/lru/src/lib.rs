//! `lru`: the entry that was read longest ago leaves first.
//!
//! R. L. Mattson, J. Gecsei, D. R. Slutz, I. L. Traiger: Evaluation techniques for storage hierarchies. IBM Systems
//! Journal 9(2), 1970.
//!
//! 16 bytes per slot.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Departure, Eviction};
use serde::Deserialize;

/// There is nothing to set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The policy of one shard.
#[derive(Debug)]
pub struct Lru {
    entries: Lists,
    capacity_bytes: u64,
}

/// The only list.
const ALL: u8 = 0;

impl Lru {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.bytes(ALL) > bytes {
            let Some(slot) = self.entries.coldest(ALL) else { break };
            self.entries.remove(slot);
            victims.push(slot);
        }
    }
}

impl Eviction for Lru {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings {} = sandbar_guest::settings::parse(settings)?;
        Ok(Self { entries: Lists::new(1), capacity_bytes })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        self.entries.move_to(ALL, slot);
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.entries.remove(arrival.slot);
        if arrival.weight_bytes > self.capacity_bytes {
            return victims.push(arrival.slot);
        }
        self.evict_down_to(self.capacity_bytes - arrival.weight_bytes, victims);
        self.entries.push(ALL, arrival.slot, arrival.weight_bytes, ());
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        self.entries.set_weight(slot, weight_bytes);
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        self.entries.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.entries.bytes(ALL).saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.entries.order(after, limit)
    }
}

sandbar_guest::export_eviction!(Lru);

#[cfg(test)]
mod tests {
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
}
