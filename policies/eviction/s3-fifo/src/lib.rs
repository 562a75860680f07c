//! `s3-fifo`: a small queue for entries on probation, a main queue for those that were read there, ghosts of the
//! others.
//!
//! J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi: FIFO queues are all you need for cache eviction. SOSP 2023.
//!
//! 24 bytes per slot, and a ghost of about 32 bytes for each entry's worth of 90 % of the capacity.

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
    /// Share of the small queue.
    pub small: f64,
    /// Share that the ghosts stand for.
    pub ghosts: f64,
    /// How often an entry must be read in the small queue to get into the main one.
    pub promote_after: u8,
    /// Whether an entry that is as large as the small queue, or larger, is admitted. Refusing it favours small entries,
    /// as the paper's own simulator does.
    pub admit_large: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { small: 0.1, ghosts: 0.9, promote_after: 2, admit_large: true }
    }
}

/// The policy of one shard.
#[derive(Debug)]
pub struct S3Fifo {
    /// Marks count reads, up to [`READS_MAX`]; values are key hashes.
    entries: Lists<u64>,
    ghosts: Ghosts,
    capacity_bytes: u64,
    small_bytes: u64,
    settings: Settings,
    /// Places of the entries that are handed over.
    places: Places,
}

/// The form in which private knowledge is handed over: a new name whenever what is written changes.
const FORM: &str = "s3-fifo 1";

const SMALL: u8 = 0;
const MAIN: u8 = 1;
const READS_MAX: u8 = 3;

impl S3Fifo {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.entries.total_bytes() > bytes && self.entries.total_len() > 0 {
            let main_is_over = self.entries.bytes(MAIN) > self.capacity_bytes - self.small_bytes;
            victims.extend(if main_is_over || self.entries.is_empty(SMALL) {
                self.evict_from_main()
            } else {
                self.evict_from_small()
            });
        }
    }

    /// Evicts an entry of the small queue; none where all of its entries moved to the main one.
    fn evict_from_small(&mut self) -> Option<u32> {
        while let Some(slot) = self.entries.coldest(SMALL) {
            if self.entries.mark(slot) < self.settings.promote_after {
                let gone = self.entries.remove(slot)?;
                self.ghosts.push(gone.value, gone.weight_bytes, ());
                return Some(slot);
            }
            self.entries.set_mark(slot, 0);
            self.entries.move_to(MAIN, slot);
        }
        None
    }

    fn evict_from_main(&mut self) -> Option<u32> {
        loop {
            let slot = self.entries.coldest(MAIN)?;
            let reads = self.entries.mark(slot);
            if reads == 0 {
                self.entries.remove(slot);
                return Some(slot);
            }
            self.entries.set_mark(slot, reads - 1);
            self.entries.move_to(MAIN, slot);
        }
    }
}

impl Eviction for S3Fifo {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let settings: Settings = sandbar_guest::settings::parse(settings)?;
        for (key, share) in [("small", settings.small), ("ghosts", settings.ghosts)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("setting `{key}`: {share} is not a share from 0 to 1"));
            }
        }
        if settings.promote_after > READS_MAX {
            return Err(format!("setting `promote_after`: reads are counted up to {READS_MAX} only"));
        }
        let share = |share: f64| (capacity_bytes as f64 * share) as u64;
        Ok(Self {
            entries: Lists::new(2),
            ghosts: Ghosts::new(share(settings.ghosts)),
            capacity_bytes,
            small_bytes: share(settings.small),
            settings,
            places: Places::default(),
        })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if self.entries.contains(slot) {
            let reads = self.entries.mark(slot);
            self.entries.set_mark(slot, (reads + 1).min(READS_MAX));
        }
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, key_hash, weight_bytes, .. } = arrival;
        let place = self.places.of(&arrival);
        let was_kept = arrival.is_hotter_than(self.settings.small);
        self.entries.remove(slot);
        let is_large = weight_bytes >= self.small_bytes;
        if weight_bytes > self.capacity_bytes || is_large && !self.settings.admit_large {
            return victims.push(slot);
        }
        let is_known = self.ghosts.take(key_hash).is_some() || was_kept;
        let (list, reads) = place.unwrap_or((if is_known { MAIN } else { SMALL }, 0));
        self.evict_down_to(self.capacity_bytes - weight_bytes, victims);
        self.entries.push(list, slot, weight_bytes, key_hash);
        self.entries.set_mark(slot, reads.min(READS_MAX));
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
        Knowledge { reads: self.entries.marks(), ghosts: self.ghosts.to_hand_over(), private: own.finish() }
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        self.ghosts.take_over(&knowledge.ghosts);
        self.places = Places::handed_over(knowledge, FORM, 2);
    }
}

sandbar_guest::export_eviction!(S3Fifo);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(policy: &mut S3Fifo, slot: u32, key_hash: u64) -> Vec<u32> {
        let mut victims = vec![];
        policy.arrived(0, Arrival { slot, key_hash, weight_bytes: 1, ..Arrival::default() }, &mut victims);
        victims
    }

    #[test]
    fn what_was_not_read_leaves_and_comes_back_into_the_main_queue() {
        let mut policy = S3Fifo::configure("", 20, 0).unwrap();
        (0..20).for_each(|slot| assert!(arrive(&mut policy, slot, u64::from(slot)).is_empty()));
        (0..2).for_each(|_| policy.touched(0, 0));
        policy.touched(0, 1);
        assert_eq!(arrive(&mut policy, 20, 20), [1], "0 is promoted, one read is not enough for 1");
        assert_eq!(arrive(&mut policy, 1, 1), [2]);
        assert_eq!(policy.entries.list(0), Some(MAIN));
        assert_eq!(policy.entries.list(1), Some(MAIN), "its ghost was there");
    }

    #[test]
    fn large_entries_are_refused_if_so_set() {
        let mut policy = S3Fifo::configure(r#"{"admit_large": false}"#, 100, 0).unwrap();
        let mut victims = vec![];
        policy.arrived(0, Arrival { slot: 3, weight_bytes: 10, ..Arrival::default() }, &mut victims);
        policy.arrived(0, Arrival { slot: 4, weight_bytes: 9, ..Arrival::default() }, &mut victims);
        assert_eq!(victims, [3]);
    }

    #[test]
    fn wrong_settings_are_named() {
        for (settings, key) in [(r#"{"small": 2}"#, "small"), (r#"{"promote_after": 4}"#, "promote_after")] {
            assert!(S3Fifo::configure(settings, 100, 0).unwrap_err().contains(key));
        }
    }
}
