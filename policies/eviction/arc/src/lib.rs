//! `arc`: recency and frequency in two lists whose sizes are learned from what was evicted too early.
//!
//! N. Megiddo, D. S. Modha: ARC: a self-tuning, low overhead replacement cache. FAST 2003.
//!
//! 24 bytes per slot, and ghosts of about 32 bytes for as many entries as fit in.

use sandbar_guest::eviction::ghosts::Ghosts;
use sandbar_guest::eviction::knowledge::{Ghost, Reader, Writer};
use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::places::Places;
use sandbar_guest::eviction::{Arrival, Departure, Eviction, Knowledge};
use serde::Deserialize;

/// How the share of the two lists is learned.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether a step of learning is as large as the entry that it was learned from. The paper knows only pages; a step
    /// of one byte, as simulators take it, learns next to nothing.
    pub step_by_weight: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { step_by_weight: true }
    }
}

/// The policy of one shard.
#[derive(Debug)]
pub struct Arc {
    /// Values are key hashes.
    entries: Lists<u64>,
    /// Ghosts of the entries that were evicted from each list (`B1`, `B2`).
    ghosts: [Ghosts; 2],
    /// How much of the capacity the list of recent entries should have (`p`).
    recent_target_bytes: f64,
    capacity_bytes: u64,
    step_by_weight: bool,
    /// Places of the entries that are handed over.
    places: Places,
}

/// The form in which private knowledge is handed over: a new name whenever what is written changes.
const FORM: &str = "arc 1";

/// The list of entries that were asked for once (`T1`).
const RECENT: u8 = 0;
/// The list of entries that were asked for more than once (`T2`).
const FREQUENT: u8 = 1;

impl Arc {
    fn recent_ghosts(&mut self) -> &mut Ghosts {
        &mut self.ghosts[usize::from(RECENT)]
    }

    fn frequent_ghosts(&mut self) -> &mut Ghosts {
        &mut self.ghosts[usize::from(FREQUENT)]
    }

    /// Moves the target if the entry was evicted too early; answers with the list that it was evicted from.
    fn learn(&mut self, key_hash: u64, weight_bytes: u64) -> Option<u8> {
        let [recent, frequent] = [self.ghosts[0].bytes() as f64, self.ghosts[1].bytes() as f64];
        let unit = if self.step_by_weight { weight_bytes as f64 } else { 1.0 };
        if self.recent_ghosts().take(key_hash).is_some() {
            let step = (frequent / recent).max(1.0) * unit;
            self.recent_target_bytes = (self.recent_target_bytes + step).min(self.capacity_bytes as f64);
            return Some(RECENT);
        }
        if self.frequent_ghosts().take(key_hash).is_some() {
            let step = (recent / frequent).max(1.0) * unit;
            self.recent_target_bytes = (self.recent_target_bytes - step).max(0.0);
            return Some(FREQUENT);
        }
        None
    }

    /// `REPLACE` of the paper.
    fn replace(&mut self, found_in: Option<u8>, victims: &mut Vec<u32>) {
        let recent_bytes = self.entries.bytes(RECENT) as f64;
        let is_over = recent_bytes > self.recent_target_bytes
            || recent_bytes == self.recent_target_bytes && found_in == Some(FREQUENT);
        let from_recent = !self.entries.is_empty(RECENT) && is_over || self.entries.is_empty(FREQUENT);
        let list = if from_recent { RECENT } else { FREQUENT };
        let Some(slot) = self.entries.coldest(list) else { return };
        let Some(gone) = self.entries.remove(slot) else { return };
        self.ghosts[usize::from(list)].push(gone.value, gone.weight_bytes, ());
        victims.push(slot);
    }

    /// Makes room for an entry that has no ghost, and keeps the ghosts within their bound.
    fn make_room_for_new(&mut self, weight_bytes: u64, victims: &mut Vec<u32>) {
        let seen_once_bytes = self.entries.bytes(RECENT) + self.recent_ghosts().bytes();
        if seen_once_bytes + weight_bytes <= self.capacity_bytes {
            let all_bytes = seen_once_bytes + self.entries.bytes(FREQUENT) + self.frequent_ghosts().bytes();
            if all_bytes >= self.capacity_bytes.saturating_mul(2) {
                self.frequent_ghosts().pop();
            }
            return self.replace(None, victims);
        }
        if self.recent_ghosts().pop().is_some() {
            return self.replace(None, victims);
        }
        match self.entries.coldest(RECENT) {
            Some(slot) => {
                self.entries.remove(slot);
                victims.push(slot);
            }
            None => self.replace(None, victims),
        }
    }

    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.total_bytes() > bytes && self.entries.total_len() > 0 {
            self.replace(None, victims);
        }
        self.bound_ghosts();
    }

    fn take_on(&mut self, own: &mut Reader<'_>) -> Option<()> {
        let (target_bytes, of_bytes) = (own.float()?, own.number()?);
        let places = Places::read(own, 2)?;
        // Exactly 1 where the capacity is the same.
        let scale = self.capacity_bytes as f64 / of_bytes.max(1) as f64;
        self.recent_target_bytes = (target_bytes * scale).clamp(0.0, self.capacity_bytes as f64);
        self.places = places;
        Some(())
    }

    /// Drops ghosts beyond their bound: entries that leave without an arrival must not pile them up.
    fn bound_ghosts(&mut self) {
        let bound_bytes = self.capacity_bytes.saturating_mul(2);
        let bytes = |policy: &Self| policy.entries.total_bytes() + policy.ghosts[0].bytes() + policy.ghosts[1].bytes();
        while bytes(self) > bound_bytes && (self.frequent_ghosts().pop().or(self.recent_ghosts().pop())).is_some() {}
    }
}

impl Eviction for Arc {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings { step_by_weight } = sandbar_guest::settings::parse(settings)?;
        let ghosts = [Ghosts::new(u64::MAX), Ghosts::new(u64::MAX)];
        Ok(Self {
            entries: Lists::new(2),
            ghosts,
            recent_target_bytes: 0.0,
            capacity_bytes,
            step_by_weight,
            places: Places::default(),
        })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        self.entries.move_to(FREQUENT, slot);
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, key_hash, weight_bytes, .. } = arrival;
        self.entries.remove(slot);
        if weight_bytes > self.capacity_bytes {
            return victims.push(slot);
        }
        if let Some((list, _)) = self.places.of(&arrival) {
            while self.entries.total_bytes() + weight_bytes > self.capacity_bytes {
                self.replace(None, victims);
            }
            return self.entries.push(list, slot, weight_bytes, key_hash);
        }
        let found_in = self.learn(key_hash, weight_bytes);
        while self.entries.total_bytes() + weight_bytes > self.capacity_bytes {
            match found_in {
                Some(_) => self.replace(found_in, victims),
                None => self.make_room_for_new(weight_bytes, victims),
            }
        }
        let list = if found_in.is_some() || arrival.is_hotter_than(Arrival::COLD_SHARE) { FREQUENT } else { RECENT };
        self.entries.push(list, slot, weight_bytes, key_hash);
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
        let ghosts = |list: u8| {
            let ghost = move |(key_hash, weight_bytes, ())| Ghost { key_hash, weight_bytes, reads: list };
            self.ghosts[usize::from(list)].iter().map(ghost)
        };
        let mut own = Writer::new(FORM);
        own.float(self.recent_target_bytes);
        own.number(self.capacity_bytes);
        Places::write(&self.entries, &mut own);
        // Which ghosts left first is not known; those of entries that were seen once come first: they are missed least.
        let ghosts = ghosts(RECENT).chain(ghosts(FREQUENT)).collect();
        Knowledge { ghosts, private: own.finish(), ..Knowledge::default() }
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        let capacity_bytes = self.capacity_bytes;
        for ghost in knowledge.ghosts.iter().filter(|ghost| ghost.weight_bytes <= capacity_bytes) {
            self.ghosts[usize::from(ghost.reads.min(1))].push(ghost.key_hash, ghost.weight_bytes, ());
            self.bound_ghosts();
        }
        let Some(mut own) = Reader::new(&knowledge.private, FORM) else { return };
        _ = self.take_on(&mut own);
    }
}

sandbar_guest::export_eviction!(Arc);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(policy: &mut Arc, slot: u32, key_hash: u64) -> Vec<u32> {
        let mut victims = vec![];
        policy.arrived(0, Arrival { slot, key_hash, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        victims
    }

    #[test]
    fn it_learns_from_what_it_evicted_too_early() {
        let mut policy = Arc::configure("", 4, 0).unwrap();
        (0..4).for_each(|slot| assert!(arrive(&mut policy, slot, u64::from(slot)).is_empty()));
        [0, 1].into_iter().for_each(|slot| policy.touched(0, slot));
        assert_eq!(arrive(&mut policy, 4, 4), [2]);
        assert_eq!(policy.recent_target_bytes, 0.0);
        assert_eq!(arrive(&mut policy, 2, 2), [3]);
        assert_eq!(policy.recent_target_bytes, 1.0);
        assert_eq!(policy.entries.list(2), Some(FREQUENT));
    }
}
