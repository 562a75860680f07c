//! `random`: any entry leaves, each as likely as another.
//!
//! L. A. Belady: A study of replacement algorithms for a virtual-storage computer. IBM Systems Journal 5(2), 1966.
//!
//! A yardstick: it shows what it costs to know nothing of the entries. 20 bytes per entry.

mod bag;

use sandbar_guest::eviction::random::Random;
use sandbar_guest::eviction::{Arrival, Replacement, Shard};
use sandbar_guest::settings::NoSettings;

use bag::Bag;

/// The policy of one shard. (It is not called `Random` because that is what it draws from.)
#[derive(Debug)]
pub struct AnyOne {
    random: Random,
}

impl Replacement for AnyOne {
    type Settings = NoSettings;
    type Entries = Bag;

    fn configure(_: NoSettings, _capacity_bytes: u64, seed: u64) -> Result<(Self, Bag), String> {
        Ok((Self { random: Random::new(seed) }, Bag::default()))
    }

    #[inline]
    fn insert(&mut self, bag: &mut Bag, arrival: &Arrival) {
        bag.push(arrival.slot, arrival.weight_bytes);
    }

    #[inline]
    fn victim(&mut self, bag: &mut Bag) -> Option<u32> {
        bag.slot_at(self.random.below(bag.len()) as usize)
    }
}

sandbar_guest::export_eviction!(Shard<AnyOne>);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_guest::eviction::Eviction;

    #[test]
    fn each_entry_is_as_likely_to_leave_as_another() {
        let mut counts = [0u32; 4];
        for seed in 0..4000 {
            let mut policy = Shard::<AnyOne>::configure("", 4, seed).unwrap();
            let mut victims = vec![];
            for slot in 0..5 {
                policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
            }
            counts[victims[0] as usize] += 1;
        }
        assert!(counts.iter().all(|count| (880..1120).contains(count)), "{counts:?}");
    }
}
