//! `fifo`: the entry that arrived first leaves first, read or not.
//!
//! L. A. Belady: A study of replacement algorithms for a virtual-storage computer. IBM Systems Journal 5(2), 1966.
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
pub struct Fifo {
    entries: Lists,
    capacity_bytes: u64,
}

/// The only list.
const ALL: u8 = 0;

impl Fifo {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.bytes(ALL) > bytes {
            let Some(slot) = self.entries.coldest(ALL) else { break };
            self.entries.remove(slot);
            victims.push(slot);
        }
    }
}

impl Eviction for Fifo {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings {} = sandbar_guest::settings::parse(settings)?;
        Ok(Self { entries: Lists::new(1), capacity_bytes })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, _slot: u32) {}

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

sandbar_guest::export_eviction!(Fifo);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_change_nothing() {
        let mut policy = Fifo::configure("", 2, 0).unwrap();
        let mut victims = vec![];
        for slot in 0..3 {
            policy.touched(0, 0);
            policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        }
        assert_eq!(victims, [0]);
    }
}
