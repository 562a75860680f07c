//! `lfu`: the entry that was read least leaves first, and what was popular long ago ages.
//!
//! M. Arlitt, L. Cherkasova, J. Dilley, R. Friedrich, T. Jin: Evaluating content management techniques for web proxy
//! caches. ACM SIGMETRICS Performance Evaluation Review 27(4), 2000 (dynamic ageing: a new entry begins where the last
//! victim ended). In O(1): K. Shah, A. Mitra, D. Matani: An O(1) algorithm for implementing the LFU cache eviction
//! scheme, 2010.
//!
//! 24 bytes per slot.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Departure, Eviction};
use serde::Deserialize;

mod counts;

use counts::Counts;

/// Whether counts age.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Without ageing, an entry that was read often once stays for good.
    pub ageing: Ageing,
}

/// `on` or `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ageing {
    /// A new entry begins one above the count of the last victim.
    #[default]
    On,
    /// A new entry begins at 1.
    Off,
}

/// The policy of one shard.
#[derive(Debug)]
pub struct Lfu {
    /// One list by count, and by the time at which an entry came to its count; values are numbers in `counts`.
    entries: Lists<u32>,
    counts: Counts,
    last_victim_count: u64,
    ageing: Ageing,
    capacity_bytes: u64,
}

/// The only list.
const ALL: u8 = 0;

impl Lfu {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.bytes(ALL) > bytes {
            let Some(slot) = self.entries.coldest(ALL) else { break };
            if self.ageing == Ageing::On {
                self.last_victim_count = self.counts.count(*self.entries.value(slot));
            }
            self.remove(slot);
            victims.push(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        if self.entries.contains(slot) {
            let colder = self.entries.colder(slot);
            self.counts.leave(*self.entries.value(slot), slot, colder);
            self.entries.remove(slot);
        }
    }
}

impl Eviction for Lfu {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings { ageing } = sandbar_guest::settings::parse(settings)?;
        let (entries, counts) = (Lists::new(1), Counts::default());
        Ok(Self { entries, counts, last_victim_count: 0, ageing, capacity_bytes })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if !self.entries.contains(slot) {
            return;
        }
        let old = *self.entries.value(slot);
        let (new, anchor) = self.counts.enter_next(old, slot);
        let colder = self.entries.colder(slot);
        self.entries.place_after(ALL, slot, Some(anchor));
        *self.entries.value_mut(slot) = new;
        self.counts.leave(old, slot, colder);
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.remove(arrival.slot);
        if arrival.weight_bytes > self.capacity_bytes {
            return victims.push(arrival.slot);
        }
        self.evict_down_to(self.capacity_bytes - arrival.weight_bytes, victims);
        let (number, anchor) = self.counts.enter(self.last_victim_count + 1, arrival.slot);
        self.entries.push(ALL, arrival.slot, arrival.weight_bytes, number);
        self.entries.place_after(ALL, arrival.slot, anchor);
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
        self.entries.order(after, limit)
    }
}

sandbar_guest::export_eviction!(Lfu);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(policy: &mut Lfu, slot: u32) -> Vec<u32> {
        let mut victims = vec![];
        policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        victims
    }

    #[test]
    fn what_was_read_least_leaves_and_among_those_what_came_there_first() {
        let mut policy = Lfu::configure(r#"{"ageing": "off"}"#, 4, 0).unwrap();
        (0..4).for_each(|slot| assert!(arrive(&mut policy, slot).is_empty()));
        [2, 0, 2, 1, 3].into_iter().for_each(|slot| policy.touched(0, slot));
        assert_eq!(policy.order(None, 9), [0, 1, 3, 2]);
        policy.departed(3, Departure::Expired);
        arrive(&mut policy, 3);
        assert_eq!(arrive(&mut policy, 5), [3]);
        assert_eq!(arrive(&mut policy, 6), [5], "without ageing a new entry is always the poorest");
    }

    #[test]
    fn counts_age() {
        let mut policy = Lfu::configure("", 2, 0).unwrap();
        arrive(&mut policy, 0);
        (0..5).for_each(|_| policy.touched(0, 0));
        let gone: Vec<u32> = (1..20).flat_map(|slot| arrive(&mut policy, slot)).collect();
        assert!(gone.contains(&0), "{gone:?}");
    }
}
