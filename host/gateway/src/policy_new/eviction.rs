//! An eviction policy: which entries leave when memory is full.
//!
//! This one evicts the entry that was read longest ago, but lets an entry that was never read leave before all others. The SDK's
//! `Shard` takes care of weights, the capacity and reclaims.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Replacement, Shard};
use sandbar_guest::settings::NoSettings;

/// Entries that were never read.
const NEW: u8 = 0;
/// Entries that were, the one that was read longest ago first.
const READ: u8 = 1;

/// The policy of one shard.
#[derive(Debug)]
pub struct Policy;

impl Replacement for Policy {
    type Settings = NoSettings;
    type Entries = Lists;

    fn configure(_: NoSettings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, Lists), String> {
        Ok((Self, Lists::new(2)))
    }

    fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
        lists.push(NEW, arrival.slot, arrival.weight_bytes, ());
    }

    fn hit(&mut self, lists: &mut Lists, slot: u32) {
        lists.move_to(READ, slot);
    }

    fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
        lists.coldest(NEW).or_else(|| lists.coldest(READ))
    }
}

sandbar_guest::export_eviction!(Shard<Policy>);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_guest::eviction::Eviction;

    #[test]
    fn what_was_never_read_leaves_first() {
        let mut policy = Shard::<Policy>::configure("", 3, 0).expect("it takes no settings");
        let mut victims = vec![];
        for slot in 0..5 {
            policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
            policy.touched(0, 0);
        }
        assert_eq!(victims, [1, 2]);
    }
}
