//! `clock`: first in, first out, but what was read gets another round.
//!
//! F. J. Corbató: A paging experiment with the Multics system. MIT Project MAC, 1968.
//!
//! 16 bytes per slot; a read only sets a mark.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Departure, Eviction};
use serde::Deserialize;

/// How the reads count.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// An entry gets a round for each read, but no more than this many.
    pub rounds_max: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rounds_max: 1 }
    }
}

/// The policy of one shard.
#[derive(Debug)]
pub struct Clock {
    /// Marks are the rounds that an entry has left.
    entries: Lists,
    capacity_bytes: u64,
    rounds_max: u8,
}

/// The only list.
const ALL: u8 = 0;

impl Clock {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.bytes(ALL) > bytes {
            let Some(slot) = self.entries.coldest(ALL) else { break };
            match self.entries.mark(slot) {
                0 => {
                    self.entries.remove(slot);
                    victims.push(slot);
                }
                rounds => {
                    self.entries.set_mark(slot, rounds - 1);
                    self.entries.move_to(ALL, slot);
                }
            }
        }
    }
}

impl Eviction for Clock {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings { rounds_max } = sandbar_guest::settings::parse(settings)?;
        Ok(Self { entries: Lists::new(1), capacity_bytes, rounds_max })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if self.entries.contains(slot) {
            self.entries.set_mark(slot, self.entries.mark(slot).saturating_add(1).min(self.rounds_max));
        }
    }

    fn arrived(&mut self, now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.entries.remove(arrival.slot);
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
        self.entries.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.entries.bytes(ALL).saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.entries.order_by(after, limit, self.rounds_max, |_, rounds| rounds)
    }
}

sandbar_guest::export_eviction!(Clock);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_gets_another_round() {
        let mut policy = Clock::configure("", 3, 0).unwrap();
        let mut victims = vec![];
        for slot in 0..3 {
            policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        }
        policy.touched(0, 0);
        assert_eq!(policy.order(None, 9), [1, 2, 0]);
        for slot in 3..6 {
            policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        }
        assert_eq!(victims, [1, 2, 0]);
    }
}
