//! Trials: each view runs a miniature cache for a small, fixed sample of the keys, and the one that hits most is followed.
//!
//! A cache of 1/n of the size that sees 1/n of the keys hits about as often as the whole. Which n it is for these keys,
//! the whole says: the share of it that they have.

use crate::constants::{
    entries_max, half_life, half_life_requests_min, held_reads_min, kept_by_switch, keys_max, lately, margin, patience,
    period, switch_half_lives, switches_max,
};
use crate::duel::Duel;
use crate::keys::{Keys, Numbered};
use crate::pools::{Newcomer, Pools};
use crate::view::View;
use crate::worth;

mod heirloom;
mod sample;
mod settled;
mod share;

use sample::Sample;
use settled::Settled;
use share::Share;

/// The trials of all views.
#[derive(Debug)]
pub(crate) struct Trials {
    sample: Sample,
    whole_bytes: u64,
    /// Of the whole cache, what the sample has.
    share: Share,
    keys: Keys,
    settled: Settled,
    runs: Vec<Run>,
    duel: Duel,
    followed: usize,
    /// Requests since that view was taken.
    followed_for: u32,
    /// Switches lately.
    switches: f32,
    /// Requests until the next verdict.
    wait: u32,
    by_cost: bool,
}

/// A view's miniature cache.
#[derive(Debug)]
struct Run {
    view: View,
    entries: Pools<()>,
    /// By the key's number.
    ghosts: Vec<Ghost>,
}

/// What the trials say to a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer {
    /// Another view, where that has done better than the one that is followed.
    pub view: Option<View>,
    /// How often the entry was read, where the cache is to hold it whenever it can.
    pub held: Option<u8>,
    /// Whether there is another sample now, so that [`Trials::begin_share`] is due.
    pub is_resampled: bool,
}

/// What is kept of an entry that left.
#[derive(Clone, Copy, Debug)]
struct Ghost {
    /// What had been evicted before it; more than there can be where there is no ghost.
    evicted_bytes: u64,
    /// When it was read last, on the clock of evictions.
    read: u32,
    reads: u8,
}

impl Trials {
    /// Miniatures of an empty cache: all keys are in the sample, until there are too many. The view `first` is followed.
    pub(crate) fn new(capacity_bytes: u64, views: &[View], by_cost: bool, first: usize, salt: u64) -> Self {
        let runs: Vec<Run> =
            views.iter().map(|view| Run { view: *view, entries: Pools::new(view), ghosts: vec![] }).collect();
        Self {
            sample: Sample::all(salt),
            whole_bytes: capacity_bytes,
            share: Share::new(1.0),
            keys: Keys::new(keys_max()),
            settled: Settled::new(runs.len()),
            duel: Duel::new(runs.len()),
            runs,
            followed: first,
            followed_for: 0,
            switches: 0.0,
            wait: period(),
            by_cost,
        }
    }

    /// Halves the sample where a miniature has become too large, doubles it where all have become small; whether it did.
    fn fit_sample(&mut self) -> bool {
        let len = self.runs.iter().map(|run| run.entries.len()).max().unwrap_or(0);
        if len > entries_max() {
            self.sample.halve();
            let sample = self.sample;
            for number in self.keys.retain(|key_hash| sample.has(key_hash)) {
                self.forget(number);
            }
        } else if !self.sample.has_all() && len < entries_max() / 4 {
            self.sample.double();
        } else {
            return false;
        }
        self.runs.iter_mut().for_each(|run| run.entries.take_view(&run.view));
        true
    }

    /// Counts anew what the cache holds: all of its keys and their weights.
    pub(crate) fn begin_share(&mut self, entries: impl Iterator<Item = (u64, u64)>) {
        self.share = Share::new(self.sample.share());
        entries.for_each(|(key_hash, weight_bytes)| self.came(key_hash, weight_bytes));
    }

    /// An entry came into the cache.
    #[inline]
    pub(crate) fn came(&mut self, key_hash: u64, weight_bytes: u64) {
        self.share.came(self.samples(key_hash), weight_bytes);
    }

    /// An entry left the cache.
    #[inline]
    pub(crate) fn left(&mut self, key_hash: u64, weight_bytes: u64) {
        self.share.left(self.samples(key_hash), weight_bytes);
    }

    /// Whether it is this view that is followed.
    pub(crate) fn follows(&self, view: usize) -> bool {
        self.followed == view
    }

    /// Follows a view, whatever is known of it.
    pub(crate) fn follow(&mut self, view: usize) {
        (self.followed, self.followed_for) = (view, 0);
    }

    /// The view that is followed.
    pub(crate) fn followed(&self) -> View {
        self.runs[self.followed].view
    }

    #[cfg(test)]
    pub(crate) fn keys_known(&self) -> u32 {
        self.keys.len()
    }

    /// Whether the miniature that is followed holds a key of the sample.
    #[cfg(test)]
    pub(crate) fn holds(&mut self, key_hash: u64) -> bool {
        let number = self.keys.request(key_hash, |_| true).number;
        self.runs[self.followed].entries.contains(number)
    }

    #[cfg(test)]
    pub(crate) fn entries(&self) -> u32 {
        self.runs[0].entries.len()
    }

    /// Whether the key is in the sample.
    #[inline]
    pub(crate) fn samples(&self, key_hash: u64) -> bool {
        self.sample.has(key_hash)
    }

    /// A request for a key of the sample; `handed_over` says how an entry begins that another policy had.
    pub(crate) fn request(
        &mut self,
        key_hash: u64,
        weight_bytes: u64,
        level: u8,
        has_cost: bool,
        handed_over: Option<Newcomer>,
    ) -> Answer {
        let Numbered { number, forgotten } = self.keys.request(key_hash, |number| self.settled.is_held(number));
        if let Some(forgotten) = forgotten {
            self.forget(forgotten);
        }
        let lately = (self.runs[0].entries.len() as f32 * lately()) as u32;
        if self.settled.skips(number, lately) {
            return Answer::default();
        }
        self.followed_for = self.followed_for.saturating_add(1);
        let was_held = self.is_held(number);
        let mut hits = 0;
        let capacity_bytes = self.share.of(self.whole_bytes);
        for (index, run) in self.runs.iter_mut().enumerate() {
            let left = |number| self.settled.left(number, index);
            let is_hit = run.request(number, weight_bytes, level, capacity_bytes, handed_over, left);
            hits |= u32::from(is_hit) << index;
        }
        self.settled.show(number, self.held_by(number));
        let by_cost = has_cost && self.by_cost;
        self.duel.note(hits, || if by_cost { worth::cost_factor(weight_bytes, level) } else { 1.0 });
        let reads = was_held.then(|| self.runs[self.followed].entries.reads_of(number));
        let held = reads.filter(|reads| *reads >= held_reads_min());
        self.share.follow();
        self.wait -= 1;
        if self.wait > 0 {
            return Answer { held, ..Answer::default() };
        }
        self.wait = period();
        Answer { is_resampled: self.fit_sample(), view: self.verdict(), held }
    }

    fn forget(&mut self, number: u32) {
        self.runs.iter_mut().for_each(|run| run.forget(number));
        self.settled.forget(number);
    }

    /// The views whose miniatures hold a key, a bit for each.
    fn held_by(&self, number: u32) -> u32 {
        self.runs.iter().rev().fold(0, |held_by, run| held_by << 1 | u32::from(run.entries.contains(number)))
    }

    /// Whether the followed miniature holds an entry since before it was followed. Where all keys are in the sample, that
    /// is what the cache would hold if it had followed it all along, and what the miniature's promise rests on: without
    /// it, what fills a loop's place at the time of the switch stays there.
    fn is_held(&self, number: u32) -> bool {
        let age = || self.runs[self.followed].entries.age_in_requests(number);
        self.sample.has_all() && age().is_some_and(|age| age >= self.followed_for)
    }

    fn verdict(&mut self) -> Option<View> {
        let better = self.duel.better(self.followed, margin());
        let half_life = (half_life() * self.runs[0].entries.len() as f32).max(half_life_requests_min());
        let half_lives = period() as f32 / half_life;
        self.duel.age((-half_lives / (1.0 + patience() * self.switches)).exp2());
        self.switches *= (-half_lives / switch_half_lives()).exp2();
        self.follow(better?);
        self.duel.forget(kept_by_switch() + (1.0 - kept_by_switch()) * (self.switches / switches_max()).min(1.0));
        self.switches += 1.0;
        Some(self.followed())
    }
}

impl Run {
    /// Whether it hits; calls `left` with what leaves.
    fn request(
        &mut self,
        number: u32,
        weight_bytes: u64,
        level: u8,
        capacity_bytes: u64,
        handed_over: Option<Newcomer>,
        mut left: impl FnMut(u32),
    ) -> bool {
        if self.entries.touch(number).is_some() {
            return true;
        }
        if weight_bytes > capacity_bytes {
            return false;
        }
        let newcomer = handed_over.unwrap_or_else(|| self.newcomer(number, capacity_bytes));
        self.entries.push(number, weight_bytes, level, newcomer, ());
        while self.entries.bytes() > capacity_bytes {
            let Some(victim) = self.entries.victim() else { break };
            let ghost = Ghost {
                evicted_bytes: self.entries.evicted_bytes(),
                read: self.entries.read(victim),
                reads: self.entries.reads_to_keep(victim),
            };
            self.entries.evict(victim);
            left(victim);
            if self.ghosts.len() <= victim as usize {
                self.ghosts.resize(victim as usize + 1, Ghost::NONE);
            }
            self.ghosts[victim as usize] = ghost;
        }
        false
    }

    fn newcomer(&self, number: u32, capacity_bytes: u64) -> Newcomer {
        let ghost = self.ghosts.get(number as usize).copied().unwrap_or(Ghost::NONE);
        let since_bytes = self.entries.evicted_bytes().checked_sub(ghost.evicted_bytes);
        match since_bytes {
            Some(bytes) if (bytes as f64) < capacity_bytes as f64 * f64::from(self.view.memory) => {
                self.entries.returned(ghost.reads, ghost.read)
            }
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
    const NONE: Self = Self { evicted_bytes: u64::MAX, read: 0, reads: 0 };
}
