//! `2q`: new entries go through a queue; an entry that is asked for again after it left that queue is kept by recency.
//!
//! T. Johnson, D. Shasha: 2Q: a low overhead high performance buffer management replacement algorithm. VLDB 1994.
//!
//! 24 bytes per slot, and a ghost of about 32 bytes for each entry's worth of 50 % of the capacity.

use sandbar_guest::eviction::ghosts::Ghosts;
use sandbar_guest::eviction::knowledge::Writer;
use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::places::Places;
use sandbar_guest::eviction::{Arrival, Departure, Eviction, Knowledge};
use serde::Deserialize;

/// Settings of the policy. Shares are parts of the capacity, from 0 to 1.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of the queue of new entries (`Kin` in the paper).
    pub recent: f64,
    /// Share that the ghosts of that queue stand for (`Kout`).
    pub ghosts: f64,
    /// Whether an entry that is larger than the queue of new entries is admitted.
    pub admit_large: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { recent: 0.25, ghosts: 0.5, admit_large: true }
    }
}

/// The policy of one shard.
#[derive(Debug)]
pub struct TwoQ {
    /// Values are key hashes.
    entries: Lists<u64>,
    ghosts: Ghosts,
    capacity_bytes: u64,
    recent: f64,
    recent_bytes: u64,
    admit_large: bool,
    /// Places of the entries that are handed over.
    places: Places,
}

/// The form in which private knowledge is handed over: a new name whenever what is written changes.
const FORM: &str = "2q 1";

/// The list of new entries: first in, first out (`A1in`).
const RECENT: u8 = 0;
/// The list of entries that were asked for again: by recency (`Am`).
const FREQUENT: u8 = 1;

impl TwoQ {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.total_bytes() > bytes && self.entries.total_len() > 0 {
            let recent_is_over = self.entries.bytes(RECENT) > self.recent_bytes;
            let list = if recent_is_over || self.entries.is_empty(FREQUENT) { RECENT } else { FREQUENT };
            self.evict_from(list, victims);
        }
    }

    fn evict_from(&mut self, list: u8, victims: &mut Vec<u32>) {
        let Some(slot) = self.entries.coldest(list) else { return };
        let Some(gone) = self.entries.remove(slot) else { return };
        if list == RECENT {
            self.ghosts.push(gone.value, gone.weight_bytes, ());
        }
        victims.push(slot);
    }

    /// Makes room for one more among the frequent entries, which never take the room of the queue of new ones.
    fn make_room_among_frequent(&mut self, weight_bytes: u64, victims: &mut Vec<u32>) {
        let frequent_bytes = self.capacity_bytes - self.recent_bytes;
        while self.entries.bytes(FREQUENT) + weight_bytes > frequent_bytes && !self.entries.is_empty(FREQUENT) {
            self.evict_from(FREQUENT, victims);
        }
    }
}

impl Eviction for TwoQ {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings { recent, ghosts, admit_large } = sandbar_guest::settings::parse(settings)?;
        for (key, share) in [("recent", recent), ("ghosts", ghosts)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("setting `{key}`: {share} is not a share from 0 to 1"));
            }
        }
        let share = |share: f64| (capacity_bytes as f64 * share) as u64;
        Ok(Self {
            entries: Lists::new(2),
            ghosts: Ghosts::new(share(ghosts)),
            capacity_bytes,
            recent,
            recent_bytes: share(recent),
            admit_large,
            places: Places::default(),
        })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if self.entries.list(slot) == Some(FREQUENT) {
            self.entries.move_to(FREQUENT, slot);
        }
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, key_hash, weight_bytes, .. } = arrival;
        self.entries.remove(slot);
        let is_large = weight_bytes > self.recent_bytes;
        if weight_bytes > self.capacity_bytes || is_large && !self.admit_large {
            return victims.push(slot);
        }
        let was_kept = arrival.is_hotter_than(self.recent);
        let place = self.places.of(&arrival);
        let is_known = self.ghosts.take(key_hash).is_some() || place.map_or(was_kept, |(list, _)| list == FREQUENT);
        self.evict_down_to(self.capacity_bytes - weight_bytes, victims);
        if is_known && arrival.rank == 0 {
            self.make_room_among_frequent(weight_bytes, victims);
        }
        self.entries.push(if is_known { FREQUENT } else { RECENT }, slot, weight_bytes, key_hash);
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        self.entries.set_weight(slot, weight_bytes);
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        self.entries.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.entries.total_bytes().saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.entries.order(after, limit)
    }

    fn hand_over(&self) -> Knowledge {
        let mut own = Writer::new(FORM);
        Places::write(&self.entries, &mut own);
        Knowledge { ghosts: self.ghosts.to_hand_over(), private: own.finish(), ..Knowledge::default() }
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        self.ghosts.take_over(&knowledge.ghosts);
        self.places = Places::handed_over(knowledge, FORM, 2);
    }
}

sandbar_guest::export_eviction!(TwoQ);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_leaves_the_frequent_ones_alone() {
        let mut policy = TwoQ::configure("", 8, 0).unwrap();
        let mut arrive = |slot: u32, key_hash| {
            let mut victims = vec![];
            policy.arrived(0, Arrival { slot, key_hash, weight_bytes: 1, ..Arrival::default() }, &mut victims);
            victims
        };
        (0..8).for_each(|slot| assert!(arrive(slot, u64::from(slot)).is_empty()));
        assert_eq!(arrive(8, 8), [0]);
        assert_eq!(arrive(0, 0), [1], "its ghost was there: frequent now");
        let gone: Vec<u32> = (10..100).flat_map(|slot| arrive(slot, u64::from(slot))).collect();
        assert!(!gone.contains(&0));
    }
}
