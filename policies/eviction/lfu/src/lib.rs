//! `lfu`: the entry that was read least leaves first, and what was popular long ago ages.
//!
//! M. Arlitt, L. Cherkasova, J. Dilley, R. Friedrich, T. Jin: Evaluating content management techniques for web proxy
//! caches. ACM SIGMETRICS Performance Evaluation Review 27(4), 2000 (dynamic ageing: a new entry begins where the last
//! victim ended). In O(1): K. Shah, A. Mitra, D. Matani: An O(1) algorithm for implementing the LFU cache eviction
//! scheme, 2010.
//!
//! 24 bytes per slot.

use sandbar_guest::eviction::heirlooms::Heirlooms;
use sandbar_guest::eviction::knowledge::{KNOWLEDGE_BYTES_MAX, Reader, Writer};
use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Knowledge, Replacement, Shard};
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

/// Whether counts age: `on` or `off`.
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
    counts: Counts,
    last_victim_count: u64,
    ageing: Ageing,
    /// Counts of the entries that are handed over.
    heirlooms: Heirlooms<u64>,
}

/// One list, by count, then by the time at which an entry came to its count; values are numbers in `counts`.
type Entries = Lists<u32>;

/// The form in which private knowledge is handed over: a new name whenever what is written changes.
const FORM: &str = "lfu 1";
/// Slots whose counts are written, at most 10 bytes each.
const SLOTS_MAX: u32 = KNOWLEDGE_BYTES_MAX as u32 / 16;

/// Upper bound of a count that is taken over: above it there is room for all reads that are to come.
const COUNT_MAX: u64 = 1 << 48;

/// The only list.
const ALL: u8 = 0;

impl Lfu {
    fn count(&self, entries: &Entries, slot: u32) -> u64 {
        self.counts.count(*entries.value(slot))
    }

    /// Gives an entry that is handed over its old count, but none below the highest so far: entries are handed over in
    /// the order of their counts.
    fn enter_last(&mut self, entries: &Entries, count: u64, slot: u32) -> (u32, Option<u32>) {
        let hottest = entries.hottest(ALL);
        let highest = hottest.map(|hottest| *entries.value(hottest));
        (self.counts.enter_last(highest, count, slot), hottest)
    }

    fn take_on(&mut self, own: &mut Reader<'_>) -> Option<()> {
        let last_victim_count = own.number()?.min(COUNT_MAX);
        let slots = own.count()?;
        let counts = (0..slots).map(|_| Some(Some(own.number()?.min(COUNT_MAX)).filter(|count| *count > 0)));
        self.heirlooms = counts.collect::<Option<_>>()?;
        self.last_victim_count = last_victim_count;
        Some(())
    }
}

impl Replacement for Lfu {
    type Settings = Settings;
    type Entries = Entries;

    fn configure(settings: Settings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, Entries), String> {
        let Settings { ageing } = settings;
        let policy = Self { counts: Counts::default(), last_victim_count: 0, ageing, heirlooms: Heirlooms::default() };
        Ok((policy, Lists::new(1)))
    }

    fn insert(&mut self, entries: &mut Entries, arrival: &Arrival) {
        let (number, anchor) = match self.heirlooms.of(arrival) {
            Some(count) => self.enter_last(entries, count, arrival.slot),
            None => self.counts.enter(self.last_victim_count + 1, arrival.slot),
        };
        entries.push(ALL, arrival.slot, arrival.weight_bytes, number);
        entries.place_after(ALL, arrival.slot, anchor);
    }

    #[inline]
    fn hit(&mut self, entries: &mut Entries, slot: u32) {
        let old = *entries.value(slot);
        let (new, anchor) = self.counts.enter_next(old, slot);
        let colder = entries.colder(slot);
        entries.place_after(ALL, slot, Some(anchor));
        *entries.value_mut(slot) = new;
        self.counts.leave(old, slot, colder);
    }

    #[inline]
    fn victim(&mut self, entries: &mut Entries) -> Option<u32> {
        let slot = entries.coldest(ALL)?;
        if self.ageing == Ageing::On {
            self.last_victim_count = self.count(entries, slot);
        }
        Some(slot)
    }

    #[inline]
    fn leaving(&mut self, entries: &mut Entries, slot: u32) {
        self.counts.leave(*entries.value(slot), slot, entries.colder(slot));
    }

    fn hand_over(&self, entries: &Entries) -> Knowledge {
        let count = |slot| if entries.contains(slot) { self.count(entries, slot) } else { 0 };
        let mut own = Writer::new(FORM);
        own.number(self.last_victim_count);
        let slots = entries.slots().min(SLOTS_MAX);
        own.number(slots);
        (0..slots).for_each(|slot| own.number(count(slot)));
        Knowledge { private: own.finish(), ..Knowledge::default() }
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        _ = Reader::new(&knowledge.private, FORM).and_then(|mut own| self.take_on(&mut own));
    }
}

sandbar_guest::export_eviction!(Shard<Lfu>);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_guest::eviction::{Departure, Eviction};

    fn arrive(policy: &mut Shard<Lfu>, slot: u32) -> Vec<u32> {
        let mut victims = vec![];
        policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        victims
    }

    #[test]
    fn what_was_read_least_leaves_and_among_those_what_came_there_first() {
        let mut policy = Shard::<Lfu>::configure(r#"{"ageing": "off"}"#, 4, 0).unwrap();
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
        let mut policy = Shard::<Lfu>::configure("", 2, 0).unwrap();
        arrive(&mut policy, 0);
        (0..5).for_each(|_| policy.touched(0, 0));
        let gone: Vec<u32> = (1..20).flat_map(|slot| arrive(&mut policy, slot)).collect();
        assert!(gone.contains(&0), "{gone:?}");
    }
}
