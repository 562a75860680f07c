//! `tide`, the house policy: entries of the same experience and the same worth share a pool; what has waited longest for
//! its pool leaves. How long each pool may wait is tried out all the time.
//!
//! - An entry's **experience** is how often it was read: never, since it came back, once, 2 to 3 times, 4 to 7 ... A read
//!   right after the last one says nothing and doesn't count. Its **worth** is what its fetch cost per byte. A pool is a
//!   list by recency.
//! - The victim is the entry whose age, counted in evictions, is the most in proportion to its pool's **reach**. That one
//!   rule, with other reaches, is LRU, LFU with ageing, a small probation queue, GreedyDual-Size-Frequency, or a mixture.
//! - A table of reaches is a **view** (`view`). All of them run on a small sample of the keys in miniature caches
//!   (`trial`), and the cache follows the one that would have hit most. Because the victim follows from lists and reaches
//!   alone, taking another view takes effect at once, and no entry moves.
//!
//! Ideas from: J. Yang et al., S3-FIFO, SOSP 2023 (quick demotion). E. J. O'Neil et al., LRU-K, SIGMOD 1993 (correlated
//! reads). L. Cherkasova, GDSF, 1998. A. Blankstein et al., Hyperbolic caching, ATC 2017 (worth by age). M. K. Qureshi et al.,
//! Adaptive insertion policies, ISCA 2007 (lucky newcomers). C. Waldspurger et al., Cache modeling and optimization using
//! miniature simulations, ATC 2017.
//!
//! 32 bytes per slot, a ghost of about 24 bytes for what left lately (as many as two caches hold), and at most 2.8 MiB for
//! the trials. O(1) per event: an eviction looks at the coldest entry of each pool that is in use, at most 250.

use sandbar_guest::eviction::heirlooms::Heirlooms;
use sandbar_guest::eviction::random::Random;
use sandbar_guest::eviction::{Arrival, Departure, Eviction, Knowledge};
use serde::Deserialize;

mod constants;
mod duel;
mod ghosts;
mod heirloom;
mod keys;
mod pools;
mod trial;
mod view;
mod worth;

use constants::{read_share_min, trial_entries, unproved_share};
use ghosts::{Ghost, Ghosts};
use pools::{Entry, Heirloom, Newcomer, Pools};
use trial::Trials;
use view::View;
pub use view::ViewName;
use worth::Worth;

/// What to leave out; the defaults suit all traffic.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether an entry that took longer to fetch is worth more.
    pub cost: bool,
    /// Whether a smaller entry is worth more, so that objects are hit rather than bytes.
    pub size: bool,
    /// Whether other views are tried and followed.
    pub adapt: bool,
    /// Whether what left lately is remembered.
    pub ghosts: bool,
    /// Whether newcomers may stay by luck, under the views for loops.
    pub luck: bool,
    /// The views to try, for experiments: the first one rules until another has done better. All of them where this is not
    /// set.
    pub views: Option<Vec<ViewName>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cost: true, size: true, adapt: true, ghosts: true, luck: true, views: None }
    }
}

/// The policy of one shard.
#[derive(Debug)]
pub struct Tide {
    entries: Pools<u64>,
    ghosts: Ghosts,
    /// None where nothing is to be tried, or not yet: an idle shard should cost next to nothing.
    trials: Option<Trials>,
    worth: Worth,
    view: View,
    /// Which of the views rules until another one has done better.
    first: usize,
    capacity_bytes: u64,
    /// Draws the keys on which views are tried.
    salt: u64,
    settings: Settings,
    /// What was known of the entries that are handed over.
    heirlooms: Heirlooms<Heirloom>,
}

impl Tide {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        if self.entries.bytes() <= bytes {
            return;
        }
        if self.entries.evicted_bytes() == 0 {
            self.begin_evicting();
        }
        while self.entries.bytes() > bytes {
            let Some(slot) = self.entries.victim() else { break };
            let ghost = Ghost {
                evicted_bytes: self.entries.evicted_bytes(),
                read: self.entries.read(slot),
                reads: self.entries.reads_to_keep(slot),
            };
            let Some(gone) = self.entries.evict(slot) else { break };
            self.note_left(gone);
            if self.settings.ghosts {
                self.ghosts.push(gone.key, ghost);
            }
            victims.push(slot);
        }
    }

    /// Where hardly anything was read before the cache was full, keys come back later than recency could keep them, if they do.
    /// So what came first is held on to, as if it were a loop, until trials know better. Not where some entries are worth more
    /// than others: worth is a better guess than order.
    #[cold]
    #[inline(never)]
    fn begin_evicting(&mut self) {
        let is_decided = self.first > 0 || self.trials.as_ref().is_some_and(|trials| !trials.follows(self.first));
        let hardly_read = self.entries.read_share() < read_share_min();
        let Some(loops) = view::for_loops(&self.settings) else { return };
        if is_decided || !hardly_read || !self.entries.are_of_one_level() || !self.settings.adapt {
            return;
        }
        self.first = loops;
        if let Some(trials) = &mut self.trials {
            trials.follow(loops);
        }
        self.follow_first();
    }

    /// Ranks by the view to begin with.
    fn follow_first(&mut self) {
        let Ok(views) = view::chosen(&self.settings) else { return };
        self.view = views[self.first];
        self.entries.take_view(&self.view);
    }

    /// How an entry begins.
    fn newcomer(&mut self, key_hash: u64) -> Newcomer {
        let ghost = self.ghosts.take(key_hash, self.entries.evicted());
        let Some((ghost, since_bytes)) = ghost else { return Newcomer::Unknown };
        if (since_bytes as f64) < self.capacity_bytes as f64 * f64::from(self.view.memory) {
            self.entries.returned(ghost.reads, ghost.read)
        } else {
            Newcomer::Unknown
        }
    }

    /// Shows a request to the trials, and follows them: answers with the reads of an entry that the cache is to hold. Most
    /// requests are not for a key of the sample.
    #[inline]
    fn try_out(&mut self, key_hash: u64, weight_bytes: u64, level: u8, handed_over: Option<Newcomer>) -> Option<u8> {
        let is_sampled = self.trials.as_ref().is_none_or(|trials| trials.samples(key_hash));
        is_sampled.then(|| self.try_out_sampled(key_hash, weight_bytes, level, handed_over))?
    }

    #[inline(never)]
    fn try_out_sampled(
        &mut self,
        key_hash: u64,
        weight_bytes: u64,
        level: u8,
        handed_over: Option<Newcomer>,
    ) -> Option<u8> {
        if self.trials.is_none() {
            self.trials = self.begin_trials();
        }
        let has_cost = self.worth.has_cost();
        let trials = self.trials.as_mut()?;
        let answer = trials.request(key_hash, weight_bytes, level, has_cost, handed_over);
        if answer.is_resampled {
            trials.begin_share(self.entries.weights());
        }
        if let Some(view) = answer.view {
            self.entries.take_view(&view);
            self.view = view;
        }
        answer.held
    }

    /// The trials, where there are to be any and it is time.
    #[cold]
    fn begin_trials(&self) -> Option<Trials> {
        let is_time = self.entries.len() >= trial_entries() || self.entries.evicted_bytes() > 0;
        (self.settings.adapt && is_time).then(|| {
            let views = view::chosen(&self.settings).expect("they were chosen before");
            let mut trials = Trials::new(self.capacity_bytes, &views, self.settings.cost, self.first, self.salt);
            trials.begin_share(self.entries.weights());
            trials
        })
    }

    fn note_came(&mut self, key_hash: u64, weight_bytes: u64) {
        if let Some(trials) = &mut self.trials {
            trials.came(key_hash, weight_bytes);
        }
    }

    fn note_left(&mut self, entry: Entry<u64>) {
        if let Some(trials) = &mut self.trials {
            trials.left(entry.key, entry.weight_bytes);
        }
    }

    fn remove(&mut self, slot: u32) {
        if let Some(gone) = self.entries.remove(slot) {
            self.note_left(gone);
        }
    }
}

/// How an entry begins that a policy of another kind hands over; none where it is new. What was kept there has been read, or
/// was as good: under views that demote newcomers quickly all of it would leave at once.
fn handed_over(arrival: &Arrival) -> Option<Newcomer> {
    let was_kept = arrival.reads > 0 || arrival.is_hotter_than(unproved_share());
    let newcomer = if was_kept { Newcomer::Known { reads: arrival.reads.max(1) } } else { Newcomer::Unknown };
    (arrival.rank > 0).then_some(newcomer)
}

impl Eviction for Tide {
    fn configure(settings: &str, capacity_bytes: u64, seed: u64) -> Result<Self, String> {
        let settings: Settings = sandbar_guest::settings::parse(settings)?;
        let view = *view::chosen(&settings)?.first().expect("one is chosen");
        Ok(Self {
            entries: Pools::new(&view),
            ghosts: Ghosts::new(capacity_bytes),
            trials: None,
            worth: Worth::new(settings.cost),
            view,
            first: 0,
            capacity_bytes,
            salt: Random::new(seed).bits(),
            settings,
            heirlooms: Heirlooms::default(),
        })
    }

    fn touched(&mut self, _now_ms: u64, slot: u32) {
        let Some(entry) = self.entries.touch(slot) else { return };
        self.try_out(entry.key, entry.weight_bytes, entry.level, None);
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, key_hash, weight_bytes, fetch_cost_us, .. } = arrival;
        self.remove(slot);
        if weight_bytes > self.capacity_bytes {
            return victims.push(slot);
        }
        if let Some(heirloom) = self.heirlooms.of(&arrival) {
            self.entries.inherit(slot, weight_bytes, heirloom, key_hash);
            self.note_came(key_hash, weight_bytes);
            return self.evict_down_to(self.capacity_bytes, victims);
        }
        let handed_over = handed_over(&arrival);
        let level = self.worth.level(weight_bytes, fetch_cost_us);
        let held = self.try_out(key_hash, weight_bytes, level, handed_over).map(|reads| Newcomer::Known { reads });
        let newcomer = self.newcomer(key_hash);
        self.entries.push(slot, weight_bytes, level, handed_over.or(held).unwrap_or(newcomer), key_hash);
        self.note_came(key_hash, weight_bytes);
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        if let Some(before) = self.entries.set_weight(slot, weight_bytes) {
            self.note_left(before);
            self.note_came(before.key, weight_bytes);
        }
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        self.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.entries.bytes().saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.entries.order(after, limit)
    }

    fn hand_over(&self) -> Knowledge {
        self.all_knowledge()
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        self.take_on(knowledge);
    }
}

sandbar_guest::export_eviction!(Tide);

#[cfg(test)]
mod tests;
