//! `sieve`: a hand moves over the queue and evicts entries that were not read; no entry is ever moved.
//!
//! Y. Zhang, J. Yang, Y. Yue, Y. Vigfusson, K. V. Rashmi: SIEVE is simpler than LRU. NSDI 2024.
//!
//! 16 bytes per slot; a read only sets a mark.

use sandbar_guest::eviction::knowledge::{KNOWLEDGE_BYTES_MAX, Reader, Writer};
use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::places::Places;
use sandbar_guest::eviction::{Arrival, Departure, Eviction, Knowledge};
use serde::Deserialize;

/// There is nothing to set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The policy of one shard.
#[derive(Debug)]
pub struct Sieve {
    /// Entries in order of arrival; the mark says that an entry was read since the hand passed.
    entries: Lists,
    /// The entry at which the hand is; with none, the hand is at the entry that arrived first.
    hand: Option<u32>,
    capacity_bytes: u64,
    /// Marks of the entries that are handed over.
    places: Places,
    /// The order in which those entries arrived once, until an entry has to leave: they are handed over in another one.
    queue: Vec<u32>,
    /// The entry of `queue` at which the predecessor's hand was.
    hand_at: Option<u32>,
}

/// The form in which private knowledge is handed over: a new name whenever what is written changes.
const FORM: &str = "sieve 1";

/// The coldest share of the entries handed over by a policy of another kind, which counts as not read.
const UNREAD_SHARE: f64 = 0.3;

/// The only list.
const ALL: u8 = 0;

impl Sieve {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        if self.entries.bytes(ALL) > bytes && !self.queue.is_empty() {
            self.entries.put_first(ALL, &std::mem::take(&mut self.queue));
            self.hand = self.hand_at.take().filter(|hand| self.entries.contains(*hand));
        }
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

    fn take_on(&mut self, own: &mut Reader<'_>) -> Option<()> {
        let places = Places::read(own, 1)?;
        let hand = own.number()?.checked_sub(1).and_then(|hand| hand.try_into().ok());
        self.queue = (0..own.count()?).map(|_| own.short()).collect::<Option<_>>()?;
        (self.places, self.hand_at) = (places, hand);
        Some(())
    }

    /// Where a round of the hand begins.
    fn first(&self) -> Option<u32> {
        self.hand.or(self.entries.coldest(ALL))
    }

    /// The entry that comes next in a round of the hand; none where the round is over.
    fn next(&self, slot: u32) -> Option<u32> {
        self.entries.hotter(slot).or(self.entries.coldest(ALL)).filter(|next| Some(*next) != self.first())
    }

    /// The entries in order of arrival, as many as may be written for a successor.
    fn in_order_of_arrival(&self) -> Vec<u32> {
        let mut is_queued = vec![false; self.entries.slots() as usize];
        let mut all = self.queue.clone();
        all.retain(|slot| {
            is_queued.get_mut(*slot as usize).is_some_and(|is_queued| !std::mem::replace(is_queued, true))
        });
        all.extend(self.entries.order(None, u32::MAX).into_iter().filter(|slot| !is_queued[*slot as usize]));
        all.truncate(KNOWLEDGE_BYTES_MAX / 16);
        all
    }

    /// Takes an entry out. A hand that is at it moves on.
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
        Ok(Self {
            entries: Lists::new(1),
            hand: None,
            capacity_bytes,
            places: Places::default(),
            queue: vec![],
            hand_at: None,
        })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if self.entries.contains(slot) {
            self.entries.set_mark(slot, 1);
        }
    }

    fn arrived(&mut self, now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.remove(arrival.slot);
        let place = self.places.of(&arrival);
        if arrival.weight_bytes > self.capacity_bytes {
            return victims.push(arrival.slot);
        }
        self.evict_down_to(self.capacity_bytes - arrival.weight_bytes, victims);
        self.entries.push(ALL, arrival.slot, arrival.weight_bytes, ());
        if place.map_or(arrival.is_hotter_than(UNREAD_SHARE), |(_, was_read)| was_read > 0) {
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
        let (mut was_read, mut at) = match after {
            None => (0, self.first()),
            Some(slot) if self.entries.contains(slot) => (self.entries.mark(slot), self.next(slot)),
            Some(_) => return vec![],
        };
        let mut slots = Vec::new();
        while slots.len() < limit as usize {
            match at {
                Some(slot) if self.entries.mark(slot) == was_read => slots.push(slot),
                None if was_read == 1 => break,
                _ => {}
            }
            (was_read, at) = at.map_or_else(|| (1, self.first()), |slot| (was_read, self.next(slot)));
        }
        slots
    }

    fn hand_over(&self) -> Knowledge {
        let mut own = Writer::new(FORM);
        Places::write(&self.entries, &mut own);
        let hand = if self.queue.is_empty() { self.hand } else { self.hand_at };
        own.number(hand.map_or(0, |hand| u64::from(hand) + 1));
        let queue = self.in_order_of_arrival();
        own.number(queue.len() as u64);
        queue.iter().for_each(|slot| own.number(*slot));
        Knowledge { reads: self.entries.marks(), private: own.finish(), ..Knowledge::default() }
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        _ = Reader::new(&knowledge.private, FORM).and_then(|mut own| self.take_on(&mut own));
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
        assert_eq!(policy.order(None, 9), [5, 6, 0, 1]);
        policy.touched(0, 6);
        assert_eq!(policy.order(None, 9), [5, 0, 1, 6]);
        assert_eq!((policy.order(Some(5), 2), policy.order(Some(1), 2)), (vec![0, 1], vec![6]));
    }
}
