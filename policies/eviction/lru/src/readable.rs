//! The policy without what makes it fast, easier to read. A test checks that both decide alike.

use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Replacement, Shard};
use sandbar_guest::settings::NoSettings;

/// The policy of one shard: a list, in which what was read moves to the hot end.
#[derive(Debug)]
pub(crate) struct Readable;

impl Replacement for Readable {
    type Settings = NoSettings;
    type Entries = Lists;

    fn configure(_: NoSettings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, Lists), String> {
        Ok((Self, Lists::new(1)))
    }

    fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
        lists.push(0, arrival.slot, arrival.weight_bytes, ());
    }

    fn hit(&mut self, lists: &mut Lists, slot: u32) {
        lists.move_to(0, slot);
    }

    fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
        lists.coldest(0)
    }
}

sandbar_guest::export_eviction!(Shard<Readable>);
