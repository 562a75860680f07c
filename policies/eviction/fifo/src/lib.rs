//! `fifo`: the entry that arrived first leaves first, read or not.
//!
//! L. A. Belady: A study of replacement algorithms for a virtual-storage computer. IBM Systems Journal 5(2), 1966.
//!
//! 16 bytes per slot.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Replacement, Shard};
use sandbar_guest::settings::NoSettings;

/// The policy of one shard.
#[derive(Debug)]
pub struct Fifo;

impl Replacement for Fifo {
    type Settings = NoSettings;
    type Entries = Lists;

    fn configure(_: NoSettings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, Lists), String> {
        Ok((Self, Lists::new(1)))
    }

    fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
        lists.push(0, arrival.slot, arrival.weight_bytes, ());
    }

    fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
        lists.coldest(0)
    }
}

sandbar_guest::export_eviction!(Shard<Fifo>);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_guest::eviction::Eviction;

    #[test]
    fn reads_change_nothing() {
        let mut policy = Shard::<Fifo>::configure("", 2, 0).unwrap();
        let mut victims = vec![];
        for slot in 0..3 {
            policy.touched(0, 0);
            policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        }
        assert_eq!(victims, [0]);
    }
}
