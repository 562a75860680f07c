//! `sieve`: a hand moves over the queue and takes what was not read; nothing is ever moved.
//!
//! Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi: SIEVE is simpler than LRU. NSDI 2024.
//!
//! 16 bytes per slot; a read only sets a mark.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Departure, Eviction};
use serde::Deserialize;

/// There is nothing to set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The policy of one shard.
#[derive(Debug)]
pub struct Sieve {
    /// In order of arrival; the mark says that an entry was read since the hand passed.
    entries: Lists,
    /// Where the hand is; at the entry that arrived first where it is nowhere.
    hand: Option<u32>,
    capacity_bytes: u64,
}

/// The only list.
const ALL: u8 = 0;

impl Sieve {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.bytes(ALL) > bytes {
            let Some(slot) = self.hand.or(self.entries.coldest(ALL)) else { break };
            if self.entries.mark(slot) == 0 {
                self.remove(slot);
                victims.push(slot);
            } else {
                self.entries.set_mark(slot, 0);
                self.hand = self.entries.hotter(slot);
            }
        }
    }

    /// The hand steps aside.
    fn remove(&mut self, slot: u32) {
        let Some(removed_hand) = self.entries.contains(slot).then(|| self.entries.hotter(slot)) else { return };
        let is_next = self.hand.is_none() && self.entries.coldest(ALL) == Some(slot);
        if self.hand == Some(slot) || is_next {
            self.hand = removed_hand;
        }
        self.entries.remove(slot);
    }
}

impl Eviction for Sieve {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings {} = sandbar_guest::settings::parse(settings)?;
        Ok(Self { entries: Lists::new(1), hand: None, capacity_bytes })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if self.entries.contains(slot) {
            self.entries.set_mark(slot, 1);
        }
    }

    fn arrived(&mut self, now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.remove(arrival.slot);
        if arrival.weight_bytes > self.capacity_bytes {
            return victims.push(arrival.slot);
        }
        self.evict_down_to(self.capacity_bytes - arrival.weight_bytes, victims);
        self.entries.push(ALL, arrival.slot, arrival.weight_bytes, ());
        if arrival.is_hotter_than(Arrival::COLD_SHARE) {
            self.touched(now_ms, arrival.slot);
        }
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        self.entries.set_weight(slot, weight_bytes);
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        self.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.entries.bytes(ALL).saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.entries.order_by(after, limit, 1, |_, was_read| was_read)
    }
}

sandbar_guest::export_eviction!(Sieve);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(policy: &mut Sieve, slot: u32) -> Vec<u32> {
        let mut victims = vec![];
        policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        victims
    }

    #[test]
    fn the_hand_stays_where_it_took_something() {
        let mut policy = Sieve::configure("", 4, 0).unwrap();
        (0..4).for_each(|slot| assert!(arrive(&mut policy, slot).is_empty()));
        (0..2).for_each(|slot| policy.touched(0, slot));
        assert_eq!(arrive(&mut policy, 4), [2]);
        policy.departed(3, Departure::Purged);
        arrive(&mut policy, 5);
        assert_eq!(arrive(&mut policy, 6), [4], "0 and 1 are behind the hand");
        assert_eq!(policy.order(None, 9), [0, 1, 5, 6]);
    }
}
