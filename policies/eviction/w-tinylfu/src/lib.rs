//! `w-tinylfu`: a small window for new entries; an entry gets from there into the main part if it was asked for more
//! often than the entry that it would replace. The window's size is found by hill climbing.
//!
//! G. Einziger, R. Friedman, B. Manes: TinyLFU: a highly efficient cache admission policy. ACM Transactions on Storage
//! 13(4), 2017. G. Einziger, O. Eytan, R. Friedman, B. Manes: Adaptive software cache management. Middleware 2018.
//!
//! 24 bytes per slot and a sketch of 8 to 16 bytes per entry.

use sandbar_guest::eviction::knowledge::{Reader, Writer};
use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::places::Places;
use sandbar_guest::eviction::sketch::Sketch;
use sandbar_guest::eviction::{Arrival, Departure, Eviction, Knowledge};
use serde::Deserialize;

mod climber;

use climber::Climber;

/// Shares of the window and the main part.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of the capacity that the window begins with.
    pub window: f64,
    /// Share of the main part that is protected.
    pub protected: f64,
    /// Whether the window's share is adapted.
    pub climber: Switch,
}

/// Whether the window's share is adapted: `on` or `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// The share is adapted by hill climbing.
    #[default]
    On,
    /// The share stays what it is.
    Off,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: 0.01, protected: 0.8, climber: Switch::On }
    }
}

/// The policy of one shard.
#[derive(Debug)]
pub struct WTinyLfu {
    /// Values are key hashes.
    entries: Lists<u64>,
    sketch: Sketch,
    climber: Option<Climber>,
    /// The window's share that the settings ask for.
    window: f64,
    window_bytes: u64,
    protected_share: f64,
    capacity_bytes: u64,
    /// Places of the entries that are handed over.
    places: Places,
}

/// The form in which private knowledge is handed over: a new name whenever what is written changes.
const FORM: &str = "w-tinylfu 2";

/// The list of entries that are new in the main part, by recency.
const PROBATION: u8 = 0;
/// The list of entries that are new in the cache, by recency.
const WINDOW: u8 = 1;
/// The list of entries that were read in the main part, by recency.
const PROTECTED: u8 = 2;
/// Counts are halved after this many reads per entry.
const SAMPLE_FACTOR: u64 = 10;
/// The window's share to begin with where entries are handed over, if it is to be adapted and not larger anyway: a step of
/// the climb takes ten times as many requests as there are entries, and meanwhile much is kept out that would be read.
const WINDOW_WHEN_FULL: f64 = 0.1;

impl WTinyLfu {
    /// Entries that are too much for the window move into the main part. While all entries together are too much, such
    /// a candidate is compared with the coldest entry on probation, and the one that was asked for less leaves.
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        self.pass_on(victims, bytes);
        while self.entries.total_bytes() > bytes {
            let Some(slot) = self.coldest() else { break };
            self.entries.remove(slot);
            victims.push(slot);
        }
    }

    fn pass_on(&mut self, victims: &mut Vec<u32>, bytes: u64) {
        while self.entries.bytes(WINDOW) > self.window_bytes {
            let Some(candidate) = self.entries.coldest(WINDOW) else { break };
            let rival = self.entries.coldest(PROBATION).or(self.entries.coldest(PROTECTED));
            let is_over = self.entries.total_bytes() > bytes;
            match rival {
                Some(rival) if is_over => {
                    let candidate_wins = self.count(candidate) > self.count(rival);
                    let loser = if candidate_wins { rival } else { candidate };
                    self.entries.remove(loser);
                    victims.push(loser);
                }
                _ => self.entries.move_to(PROBATION, candidate),
            }
        }
    }

    /// Sizes the sketch: its table for the entries that are resident, its sample as if the capacity were used up.
    fn size_sketch(&mut self) {
        let (len, bytes) = (u64::from(self.entries.total_len()), self.entries.total_bytes());
        self.sketch.grow(len);
        self.sketch
            .set_sample((self.capacity_bytes as f64 / bytes.max(1) as f64 * (SAMPLE_FACTOR * len) as f64) as u64);
    }

    fn coldest(&self) -> Option<u32> {
        [PROBATION, PROTECTED, WINDOW].into_iter().find_map(|list| self.entries.coldest(list))
    }

    fn count(&self, slot: u32) -> u64 {
        self.sketch.count(*self.entries.value(slot))
    }

    fn demote(&mut self) {
        let main_bytes = self.capacity_bytes - self.window_bytes;
        let protected_bytes = (main_bytes as f64 * self.protected_share) as u64;
        while self.entries.bytes(PROTECTED) > protected_bytes {
            let Some(slot) = self.entries.coldest(PROTECTED) else { break };
            self.entries.move_to(PROBATION, slot);
        }
    }

    fn take_on(&mut self, own: &mut Reader<'_>) -> Option<()> {
        let sketch = Sketch::read(own)?;
        let window = own.float()?;
        let climber = if own.byte()? == 0 { None } else { Some(Climber::read(own)?) };
        self.places = Places::read(own, 3)?;
        self.sketch = sketch;
        let climber = climber.filter(|_| window == self.window);
        if let (Some(mine), Some(climber)) = (&mut self.climber, climber) {
            self.window_bytes = share(self.capacity_bytes, climber.share());
            *mine = climber;
        }
        Some(())
    }

    /// Takes over from a policy of another kind. Of a ghost it is known that its key was asked for.
    fn begin_full(&mut self, knowledge: &Knowledge) {
        self.sketch.grow(knowledge.ghosts.len() as u64);
        for ghost in &knowledge.ghosts {
            self.sketch.add(ghost.key_hash);
            self.count_reads(ghost.key_hash, ghost.reads);
        }
        if let Some(climber) = &mut self.climber {
            *climber = Climber::new(climber.share().max(WINDOW_WHEN_FULL));
            self.window_bytes = share(self.capacity_bytes, climber.share());
        }
    }

    /// Counts reads of any age. The sketch would have halved old ones by now, so it is given their logarithm.
    fn count_reads(&mut self, key_hash: u64, reads: u8) {
        (0..(u16::from(reads) + 1).ilog2()).for_each(|_| _ = self.sketch.add(key_hash));
    }

    fn note(&mut self, key_hash: u64, is_hit: bool) {
        self.sketch.add(key_hash);
        let Some(climber) = &mut self.climber else { return };
        if let Some(window_share) = climber.note(is_hit, u64::from(self.entries.total_len())) {
            self.window_bytes = share(self.capacity_bytes, window_share);
            self.demote();
            // Entries that are too much for the window move on with the next arrival; room in it is filled by arrivals.
        }
    }
}

impl Eviction for WTinyLfu {
    fn configure(settings: &str, capacity_bytes: u64, seed: u64) -> Result<Self, String> {
        let Settings { window, protected, climber } = sandbar_guest::settings::parse(settings)?;
        for (key, share) in [("window", window), ("protected", protected)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("setting `{key}`: {share} is not a share from 0 to 1"));
            }
        }
        Ok(Self {
            entries: Lists::new(3),
            sketch: Sketch::new(0, u64::MAX, seed),
            climber: (climber == Switch::On).then(|| Climber::new(window)),
            window,
            window_bytes: share(capacity_bytes, window),
            protected_share: protected,
            capacity_bytes,
            places: Places::default(),
        })
    }

    fn touched(&mut self, _now_ms: u64, slot: u32) {
        let Some(list) = self.entries.list(slot) else { return };
        self.note(*self.entries.value(slot), true);
        if list == WINDOW {
            self.entries.move_to(WINDOW, slot);
        } else {
            self.entries.move_to(PROTECTED, slot);
            self.demote();
        }
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, key_hash, weight_bytes, .. } = arrival;
        self.entries.remove(slot);
        if let Some((list, _)) = self.places.of(&arrival).filter(|_| weight_bytes <= self.capacity_bytes) {
            self.entries.push(list, slot, weight_bytes, key_hash);
            self.size_sketch();
            return self.evict_down_to(self.capacity_bytes, victims);
        }
        self.note(key_hash, false);
        self.count_reads(key_hash, arrival.reads);
        if weight_bytes > self.capacity_bytes {
            return victims.push(slot);
        }
        self.entries.push(WINDOW, slot, weight_bytes, key_hash);
        self.size_sketch();
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        self.entries.set_weight(slot, weight_bytes);
        self.demote();
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
        self.sketch.write(&mut own);
        own.float(self.window);
        own.byte(self.climber.is_some().into());
        if let Some(climber) = &self.climber {
            climber.write(&mut own);
        }
        Places::write(&self.entries, &mut own);
        Knowledge { private: own.finish(), ..Knowledge::default() }
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        let taken_on = Reader::new(&knowledge.private, FORM).and_then(|mut own| self.take_on(&mut own));
        if taken_on.is_none() {
            self.begin_full(knowledge);
        }
    }
}

/// A share of the capacity in bytes; at least 1, so that there is a window at all.
fn share(capacity_bytes: u64, share: f64) -> u64 {
    ((capacity_bytes as f64 * share) as u64).clamp(1, capacity_bytes.max(1)).min(capacity_bytes)
}

sandbar_guest::export_eviction!(WTinyLfu);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_has_to_be_asked_for_more_often_than_its_rival() {
        let mut policy = WTinyLfu::configure(r#"{"climber": "off"}"#, 10, 0).unwrap();
        let mut arrive = |slot: u32| {
            let mut victims = vec![];
            let key_hash = u64::from(slot) << 40;
            policy.arrived(0, Arrival { slot, key_hash, weight_bytes: 1, ..Arrival::default() }, &mut victims);
            victims
        };
        (0..10).for_each(|slot| assert!(arrive(slot).is_empty()));
        assert_eq!(arrive(10), [9], "asked for as often as 0");
        assert_eq!(arrive(9), [10]);
        assert_eq!(arrive(10), [0], "9 was asked for twice by now");
    }

    #[test]
    fn wrong_settings_are_named() {
        assert!(WTinyLfu::configure(r#"{"window": -1}"#, 10, 0).unwrap_err().contains("window"));
        assert!(WTinyLfu::configure(r#"{"climber": "maybe"}"#, 10, 0).unwrap_err().contains("climber"));
    }
}
