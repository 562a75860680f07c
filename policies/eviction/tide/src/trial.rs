//! Trials: each view runs a miniature cache for a small, fixed sample of the keys, and the one that hits most is followed.
//!
//! A cache of 1/n of the size that sees 1/n of the keys hits about as often as the whole.

use crate::Settings;
use crate::keys::Keys;
use crate::pools::{Newcomer, Pools};
use crate::view::{VIEWS, View};
use crate::worth;

/// Entries that a miniature cache has, about.
const ENTRIES: u32 = 512;
/// Keys that are known to the trials at most: resident or lately gone in one of them.
const KEYS_MAX: u32 = 5 * ENTRIES;
/// Scores are halved in this many requests per entry of a miniature cache, but not in fewer than 500.
const HALF_LIFE: f32 = 16.0;
const HALF_LIFE_REQUESTS_MIN: f32 = 500.0;
/// Verdicts are this many requests apart.
const PERIOD: u32 = 16;
/// How much better the next view has to be, in standard deviations of the score.
const MARGIN: f32 = 0.5;

/// The trials of all views.
#[derive(Debug)]
pub(crate) struct Trials {
    /// A key is in the sample if its spread hash is not above this.
    sample_max: u64,
    capacity_bytes: u64,
    keys: Keys,
    runs: Vec<Run>,
    followed: usize,
    /// Requests until the next verdict.
    wait: u32,
    decay: f32,
    by_cost: bool,
}

/// A view's miniature cache.
#[derive(Debug)]
struct Run {
    view: View,
    entries: Pools<()>,
    /// By the key's number.
    ghosts: Vec<Ghost>,
    score: f32,
}

/// What had been evicted before an entry left, in bytes modulo 2^56, and 8 bits of reads.
#[derive(Clone, Copy, Debug)]
struct Ghost(u64);

impl Trials {
    /// Miniatures of a cache as it is now.
    pub(crate) fn new(whole: &Pools<u64>, capacity_bytes: u64, settings: &Settings) -> Self {
        let share = (f64::from(ENTRIES) / f64::from(whole.len().max(1))).min(1.0);
        let sample_max = (share * u64::MAX as f64) as u64;
        let mut keys = Keys::new(KEYS_MAX);
        let runs = VIEWS.map(|view| {
            let view = view.with_size(settings.size);
            let mut entries = Pools::new(&view, settings.quiet);
            entries.copy(whole, |key| (spread(key) <= sample_max).then(|| (keys.number(key), ())));
            entries.take_view(&view);
            Run { view, entries, ghosts: vec![], score: 0.0 }
        });
        let half_life = (HALF_LIFE * whole.len().min(ENTRIES) as f32).max(HALF_LIFE_REQUESTS_MIN);
        Self {
            sample_max,
            capacity_bytes: (capacity_bytes as f64 * share) as u64,
            keys,
            runs: runs.into(),
            followed: 0,
            wait: PERIOD,
            decay: (-(PERIOD as f32) / half_life).exp2(),
            by_cost: settings.cost,
        }
    }

    /// The same trials for a cache that has far more or far fewer entries by now.
    pub(crate) fn renewed(&self, whole: &Pools<u64>, capacity_bytes: u64, settings: &Settings) -> Self {
        let mut renewed = Self::new(whole, capacity_bytes, settings);
        renewed.followed = self.followed;
        for (run, old) in renewed.runs.iter_mut().zip(&self.runs) {
            run.score = old.score;
        }
        renewed
    }

    /// Whether the sample is too large or too small for a cache of so many entries.
    pub(crate) fn is_outgrown(&self, whole_len: u32) -> bool {
        let len = f64::from(whole_len) * (self.sample_max as f64 / u64::MAX as f64);
        len > f64::from(2 * ENTRIES) || self.sample_max < u64::MAX && len < f64::from(ENTRIES / 2)
    }

    #[cfg(test)]
    pub(crate) fn keys_known(&self) -> u32 {
        self.keys.len()
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> u32 {
        self.runs[0].entries.len()
    }

    /// Whether the key is in the sample.
    #[inline]
    pub(crate) fn samples(&self, key_hash: u64) -> bool {
        spread(key_hash) <= self.sample_max
    }

    /// A request for a key of the sample. Answers with another view where that has done better than the one that is
    /// followed.
    pub(crate) fn request(&mut self, key_hash: u64, weight_bytes: u64, level: u8, has_cost: bool) -> Option<View> {
        let number = self.keys.request(key_hash, |number| self.runs.iter().any(|run| run.entries.contains(number)));
        if let Some(forgotten) = number.forgotten {
            self.runs.iter_mut().for_each(|run| run.forget(forgotten));
        }
        let gain = if has_cost && self.by_cost { worth::cost_factor(weight_bytes, level) } else { 1.0 };
        for run in &mut self.runs {
            if run.request(number.number, weight_bytes, level, self.capacity_bytes) {
                run.score += gain;
            }
        }
        self.wait -= 1;
        if self.wait > 0 {
            return None;
        }
        self.wait = PERIOD;
        self.verdict()
    }

    fn verdict(&mut self) -> Option<View> {
        let now = self.runs[self.followed].score;
        let (best, run) = self.runs.iter().enumerate().max_by(|a, b| a.1.score.total_cmp(&b.1.score))?;
        let view = (run.score > now + MARGIN * now.max(1.0).sqrt()).then_some(run.view);
        if view.is_some() {
            self.followed = best;
        }
        self.runs.iter_mut().for_each(|run| run.score *= self.decay);
        view
    }
}

impl Run {
    /// Whether it hits.
    fn request(&mut self, number: u32, weight_bytes: u64, level: u8, capacity_bytes: u64) -> bool {
        if self.entries.touch(number).is_some() {
            return true;
        }
        if weight_bytes > capacity_bytes {
            return false;
        }
        let newcomer = self.newcomer(number, capacity_bytes);
        while self.entries.bytes() > capacity_bytes - weight_bytes {
            let Some(victim) = self.entries.victim() else { break };
            let ghost = Ghost::new(self.entries.evicted_bytes(), self.entries.reads(victim));
            self.entries.evict(victim);
            if self.ghosts.len() <= victim as usize {
                self.ghosts.resize(victim as usize + 1, Ghost::NONE);
            }
            self.ghosts[victim as usize] = ghost;
        }
        self.entries.push(number, weight_bytes, level, newcomer, ());
        false
    }

    fn newcomer(&self, number: u32, capacity_bytes: u64) -> Newcomer {
        let ghost = self.ghosts.get(number as usize).copied().unwrap_or(Ghost::NONE);
        match ghost.since(self.entries.evicted_bytes()) {
            Some(bytes) if bytes as f64 <= capacity_bytes as f64 * f64::from(self.view.memory) => ghost.newcomer(),
            _ => Newcomer::Unknown,
        }
    }

    fn forget(&mut self, number: u32) {
        self.entries.remove(number);
        if let Some(ghost) = self.ghosts.get_mut(number as usize) {
            *ghost = Ghost::NONE;
        }
    }
}

impl Ghost {
    const NONE: Self = Self(u64::MAX);

    fn new(evicted_bytes: u64, reads: u8) -> Self {
        Self(evicted_bytes << 8 | u64::from(reads))
    }

    fn since(self, evicted_bytes: u64) -> Option<u64> {
        (self.0 != Self::NONE.0).then(|| (evicted_bytes << 8).wrapping_sub(self.0 & !0xff) >> 8)
    }

    fn newcomer(self) -> Newcomer {
        Newcomer::returned(self.0 as u8)
    }
}

#[inline]
fn spread(key_hash: u64) -> u64 {
    key_hash.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
