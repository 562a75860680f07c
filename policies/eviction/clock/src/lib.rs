//! `clock`: first in, first out, but an entry that was read gets another round.
//!
//! F. J. Corbató: A paging experiment with the Multics system. MIT Project MAC, 1968.
//!
//! 16 bytes per slot; a read only sets a mark.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Replacement, Shard};
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

/// The policy of one shard. Marks are the rounds that an entry has left.
#[derive(Debug)]
pub struct Clock {
    rounds_max: u8,
}

/// The only list.
const ALL: u8 = 0;

impl Replacement for Clock {
    type Settings = Settings;
    type Entries = Lists;

    fn configure(settings: Settings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, Lists), String> {
        Ok((Self { rounds_max: settings.rounds_max }, Lists::new(1)))
    }

    #[inline]
    fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
        lists.push(ALL, arrival.slot, arrival.weight_bytes, ());
        if arrival.is_hotter_than(Arrival::COLD_SHARE) {
            self.hit(lists, arrival.slot);
        }
    }

    #[inline]
    fn hit(&mut self, lists: &mut Lists, slot: u32) {
        lists.set_mark(slot, lists.mark(slot).saturating_add(1).min(self.rounds_max));
    }

    #[inline]
    fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
        loop {
            let slot = lists.coldest(ALL)?;
            let Some(rounds) = lists.mark(slot).checked_sub(1) else { return Some(slot) };
            lists.set_mark(slot, rounds);
            lists.move_to(ALL, slot);
        }
    }

    fn order(&self, lists: &Lists, after: Option<u32>, limit: u32) -> Vec<u32> {
        lists.order_by(after, limit, self.rounds_max, |_, rounds| rounds)
    }
}

sandbar_guest::export_eviction!(Shard<Clock>);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_guest::eviction::Eviction;

    #[test]
    fn what_was_read_gets_another_round() {
        let mut policy = Shard::<Clock>::configure("", 3, 0).unwrap();
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
