//! What all replacement policies have in common: weights, capacity, and the loop that makes room.

use super::entries::Entries;
use super::{Arrival, Departure, Eviction, Knowledge, Replacement};

/// The entries of one shard under a [`Replacement`] policy.
#[derive(Debug)]
pub struct Shard<P: Replacement> {
    policy: P,
    entries: P::Entries,
    capacity_bytes: u64,
}

impl<P: Replacement> Shard<P> {
    #[inline]
    fn remove(&mut self, slot: u32) -> bool {
        if !self.entries.contains(slot) {
            return false;
        }
        self.policy.leaving(&mut self.entries, slot);
        self.entries.remove(slot)
    }

    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.total_bytes() > bytes {
            let Some(slot) = self.policy.victim(&mut self.entries) else { break };
            // A policy that names an entry that is not resident might do so for ever.
            if !self.remove(slot) {
                break;
            }
            victims.push(slot);
        }
    }
}

impl<P: Replacement> Eviction for Shard<P> {
    fn configure(settings: &str, capacity_bytes: u64, seed: u64) -> Result<Self, String> {
        let (policy, entries) = P::configure(crate::settings::parse(settings)?, capacity_bytes, seed)?;
        Ok(Self { policy, entries, capacity_bytes })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if self.entries.contains(slot) {
            self.policy.hit(&mut self.entries, slot);
        }
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.remove(arrival.slot);
        if arrival.weight_bytes > self.capacity_bytes {
            return victims.push(arrival.slot);
        }
        self.evict_down_to(self.capacity_bytes - arrival.weight_bytes, victims);
        self.policy.insert(&mut self.entries, &arrival);
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, expires_ms: u64, victims: &mut Vec<u32>) {
        if self.entries.contains(slot) {
            self.entries.set_weight(slot, weight_bytes);
            self.policy.changed(&mut self.entries, slot, expires_ms);
            self.evict_down_to(self.capacity_bytes, victims);
        }
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        self.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.entries.total_bytes().saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.policy.order(&self.entries, after, limit)
    }

    fn hand_over(&self) -> Knowledge {
        self.policy.hand_over(&self.entries)
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        self.policy.take_over(knowledge);
    }
}

#[cfg(test)]
mod tests {
    use super::super::list::Lists;
    use super::*;
    use crate::settings::NoSettings;

    /// Segmented LRU in bytes, which notes what leaves; `stubborn` names a victim that is not there.
    #[derive(Default)]
    struct Segmented {
        left: Vec<u32>,
        stubborn: bool,
    }

    impl Replacement for Segmented {
        type Settings = NoSettings;
        type Entries = Lists;

        fn configure(_settings: NoSettings, _capacity_bytes: u64, seed: u64) -> Result<(Self, Lists), String> {
            Ok((Self { stubborn: seed == 13, ..Self::default() }, Lists::new(2)))
        }

        fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
            assert!(!lists.contains(arrival.slot), "its slot is free");
            lists.push(0, arrival.slot, arrival.weight_bytes, ());
        }

        fn hit(&mut self, lists: &mut Lists, slot: u32) {
            assert!(lists.contains(slot), "only of residents");
            lists.move_to(1, slot);
        }

        fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
            if self.stubborn { Some(99) } else { lists.coldest(0).or(lists.coldest(1)) }
        }

        fn leaving(&mut self, lists: &mut Lists, slot: u32) {
            assert!(lists.contains(slot), "it is still there");
            self.left.push(slot);
        }
    }

    /// Slots 0, 1 and 2, of weights 3, 3 and 4, the first of them read.
    fn full(seed: u64) -> Shard<Segmented> {
        let mut shard = Shard::configure("", 10, seed).unwrap();
        for (slot, weight_bytes) in [(0, 3), (1, 3), (2, 4)] {
            assert!(arrive(&mut shard, slot, weight_bytes).is_empty());
        }
        shard.touched(0, 0);
        shard
    }

    fn arrive(shard: &mut Shard<Segmented>, slot: u32, weight_bytes: u64) -> Vec<u32> {
        let mut victims = vec![];
        shard.arrived(0, Arrival { slot, weight_bytes, ..Arrival::default() }, &mut victims);
        victims
    }

    #[test]
    fn victims_make_room_for_what_arrives() {
        let mut shard = full(0);
        assert_eq!(arrive(&mut shard, 3, 5), [1, 2]);
        assert_eq!(shard.order(None, 9), [3, 0]);
        assert!(arrive(&mut shard, 3, 2).is_empty(), "what was in the slot has left");
        assert_eq!(shard.policy.left, [1, 2, 3]);
        assert_eq!(shard.entries.total_bytes(), 5);
    }

    #[test]
    fn what_is_heavier_than_the_capacity_is_refused() {
        let mut shard = full(0);
        assert_eq!(arrive(&mut shard, 3, 11), [3]);
        assert_eq!(arrive(&mut shard, 2, 11), [2], "the entry that it would have replaced is gone");
        assert_eq!((shard.order(None, 9), shard.policy.left), (vec![1, 0], vec![2]));
    }

    #[test]
    fn a_change_and_a_reclaim_evict_what_they_have_to() {
        let mut shard = full(0);
        let mut victims = vec![];
        shard.changed(0, 0, 4, 0, &mut victims);
        assert_eq!(victims, [1]);
        shard.changed(0, 7, 90, 0, &mut victims);
        shard.touched(0, 7);
        shard.departed(7, Departure::Purged);
        assert_eq!(victims, [1], "slot 7 is not resident");
        shard.reclaim(0, 1, &mut victims);
        assert_eq!(victims, [1, 2]);
        shard.reclaim(0, u64::MAX, &mut victims);
        assert_eq!((victims, shard.entries.total_bytes()), (vec![1, 2, 0], 0));
    }

    #[test]
    fn a_victim_that_is_not_there_ends_the_search() {
        let mut shard = full(13);
        assert!(arrive(&mut shard, 3, 5).is_empty());
        assert_eq!(shard.order(None, 9), [1, 2, 3, 0]);
    }
}
