//! Pools: the entries of one cache, real or miniature, by experience and worth, and who is to leave under a view.

use std::cell::RefCell;

use sandbar_guest::eviction::list::Lists;

use crate::constants::{lucky_bits, probation_part, stranger_part};
use crate::view::View;

mod fronts;
mod heirloom;

use fronts::Fronts;
pub(crate) use heirloom::Heirloom;

/// Experiences, in this order: never read; came back and not read since; each of them once more for the lucky ones; read
/// once, 2 to 3 times, 4 to 7 times ...
pub(crate) const EXPERIENCES: u8 = 10;
pub(crate) const NEW: u8 = 0;
pub(crate) const LUCKY: u8 = 1;
pub(crate) const RETURNED: u8 = 2;
pub(crate) const LUCKY_RETURNED: u8 = 3;
pub(crate) const READ: u8 = 4;
/// Levels of worth.
pub(crate) const LEVELS: u8 = 25;
/// Pools.
pub(crate) const POOLS: u8 = EXPERIENCES * LEVELS;
/// Tables by pool are as long as a `u8` counts, so that no index is checked.
pub(crate) type ByPool<T> = [T; 256];

/// The entries of a cache, with a `K` for each. Marks count reads.
#[derive(Debug)]
pub(crate) struct Pools<K> {
    lists: Lists<Kept<K>>,
    fronts: Fronts,
    /// So many entries there were when the view was taken.
    haste_len: u32,
    /// Evictions, and before the first one arrivals.
    clock: u32,
    requests: u32,
    evicted_bytes: u64,
    unread: Unread,
    quiet: f32,
    refresh: bool,
    credit: bool,
    proof: bool,
    /// Where the last [`Self::order`] ended.
    walk: RefCell<Walk>,
}

/// A walk over all entries in order, slice by slice.
#[derive(Debug, Default)]
struct Walk {
    last: Option<u32>,
    state: [u32; 3],
    /// The next entry of each pool.
    next: Vec<(u8, u32)>,
}

impl Walk {
    fn continues(&self, after: Option<u32>, state: [u32; 3]) -> bool {
        after.is_some() && self.last == after && self.state == state
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Kept<K> {
    key: K,
    /// When it was read last, on the clock of evictions ...
    read: u32,
    /// ... and on that of requests.
    read_request: u32,
}

/// How far evictions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub bytes: u64,
    /// The clock of evictions.
    pub clock: u32,
}

/// How an entry begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Newcomer {
    /// Nothing is known of it.
    Unknown,
    /// It came back.
    Known { reads: u8 },
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<K> {
    pub key: K,
    pub weight_bytes: u64,
    pub level: u8,
}

/// What the entries weigh that were not read since they came, in bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Unread {
    /// The unlucky ones.
    probation_bytes: u64,
    /// Those that came for the first time.
    stranger_bytes: u64,
}

impl Unread {
    #[inline]
    fn count_in(&mut self, pool: u8, weight_bytes: u64) {
        self.probation_bytes += if is_on_probation(pool) { weight_bytes } else { 0 };
        self.stranger_bytes += if is_stranger(pool) { weight_bytes } else { 0 };
    }

    #[inline]
    fn count_out(&mut self, pool: u8, weight_bytes: u64) {
        self.probation_bytes -= if is_on_probation(pool) { weight_bytes } else { 0 };
        self.stranger_bytes -= if is_stranger(pool) { weight_bytes } else { 0 };
    }
}

fn is_on_probation(pool: u8) -> bool {
    matches!(pool / LEVELS, NEW | RETURNED)
}

fn is_stranger(pool: u8) -> bool {
    matches!(pool / LEVELS, NEW | LUCKY)
}

fn experience(reads: u8) -> u8 {
    (READ + reads.max(1).ilog2() as u8).min(EXPERIENCES - 1)
}

impl<K: Copy + Default> Pools<K> {
    pub(crate) fn new(view: &View) -> Self {
        Self {
            lists: Lists::new(POOLS),
            fronts: Fronts::new(&view.haste(u32::MAX)),
            haste_len: u32::MAX,
            clock: 0,
            requests: 0,
            evicted_bytes: 0,
            unread: Unread::default(),
            quiet: view.quiet,
            refresh: view.refresh,
            credit: view.credit,
            proof: view.proof,
            walk: RefCell::default(),
        }
    }

    /// Ranks by another view from now on.
    pub(crate) fn take_view(&mut self, view: &View) {
        self.take_view_for(view, self.len());
    }

    fn take_view_for(&mut self, view: &View, len: u32) {
        self.haste_len = len;
        self.fronts.set_haste(&view.haste(len));
        (self.quiet, self.refresh) = (view.quiet, view.refresh);
        (self.credit, self.proof) = (view.credit, view.proof);
    }

    /// Takes an entry in.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, weight_bytes: u64, level: u8, newcomer: Newcomer, key: K) {
        self.requests = self.requests.wrapping_add(1);
        if self.evicted_bytes == 0 {
            self.clock = self.clock.wrapping_add(1);
        }
        let (reads, experience) = match newcomer {
            Newcomer::Unknown if self.is_lucky() => (0, LUCKY),
            Newcomer::Unknown => (0, NEW),
            Newcomer::Known { reads: 0 } if self.is_lucky() || self.is_among_strangers() => (0, LUCKY_RETURNED),
            Newcomer::Known { reads: 0 } => (0, RETURNED),
            Newcomer::Known { reads } => (reads, experience(reads)),
        };
        let pool = experience * LEVELS + level;
        self.unread.count_in(pool, weight_bytes);
        self.lists.push(pool, slot, weight_bytes, Kept { key, read: self.clock, read_request: self.requests });
        self.lists.set_mark(slot, reads);
        self.note_pool(pool, slot);
    }

    /// Notes a read; answers with the entry where it is resident.
    #[inline]
    pub(crate) fn touch(&mut self, slot: u32) -> Option<Entry<K>> {
        let pool = self.lists.list(slot)?;
        self.requests = self.requests.wrapping_add(1);
        let entry = self.entry(pool, slot);
        let weight_bytes = entry.weight_bytes;
        let reads = self.lists.mark(slot);
        let counts = self.is_counted(slot);
        let to = if counts && reads < u8::MAX {
            self.lists.set_mark(slot, reads + 1);
            experience(reads + 1) * LEVELS + entry.level
        } else if self.refresh {
            pool
        } else {
            return Some(entry);
        };
        if to != pool {
            self.unread.count_out(pool, weight_bytes);
            self.unread.count_in(to, weight_bytes);
        }
        let was_coldest = self.lists.coldest(pool) == Some(slot);
        self.lists.move_to(to, slot);
        let kept = self.lists.value_mut(slot);
        (kept.read, kept.read_request) = (self.clock, self.requests);
        if was_coldest {
            self.refresh(pool);
        }
        self.note_pool(to, slot);
        Some(entry)
    }

    /// The entry that has waited longest for its pool.
    #[inline]
    pub(crate) fn victim(&self) -> Option<u32> {
        self.fronts.most_overdue(self.clock)
    }

    /// Takes the victim out to make room; the clock goes on.
    #[inline]
    pub(crate) fn evict(&mut self, slot: u32) -> Option<Entry<K>> {
        let entry = self.take_out(slot, true)?;
        self.clock = self.clock.wrapping_add(1);
        self.evicted_bytes += entry.weight_bytes;
        Some(entry)
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Entry<K>> {
        let pool = self.lists.list(slot)?;
        self.take_out(slot, self.lists.coldest(pool) == Some(slot))
    }

    #[inline]
    fn take_out(&mut self, slot: u32, is_coldest: bool) -> Option<Entry<K>> {
        let gone = self.lists.remove(slot)?;
        self.unread.count_out(gone.list, gone.weight_bytes);
        if is_coldest {
            self.refresh(gone.list);
        }
        Some(Entry { key: gone.value.key, weight_bytes: gone.weight_bytes, level: gone.list % LEVELS })
    }

    /// Gives an entry another weight; its worth stays. Answers with what it was, where it is resident.
    pub(crate) fn set_weight(&mut self, slot: u32, weight_bytes: u64) -> Option<Entry<K>> {
        let pool = self.lists.list(slot)?;
        let before = self.entry(pool, slot);
        self.unread.count_out(pool, before.weight_bytes);
        self.lists.set_weight(slot, weight_bytes);
        self.unread.count_in(pool, self.lists.weight(slot));
        Some(before)
    }

    /// What is known of an entry of a pool.
    #[inline]
    fn entry(&self, pool: u8, slot: u32) -> Entry<K> {
        Entry { key: self.lists.value(slot).key, weight_bytes: self.lists.weight(slot), level: pool % LEVELS }
    }

    /// What the policy keeps with each entry, and what it weighs.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (K, u64)> {
        self.slots().map(|slot| (self.lists.value(slot).key, self.lists.weight(slot)))
    }

    /// Up to `limit` slots, the most overdue first, from behind `after` or from the first.
    pub(crate) fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        if after.is_some_and(|slot| !self.lists.contains(slot)) {
            return vec![];
        }
        let mut walk = self.walk.borrow_mut();
        if !walk.continues(after, self.state()) {
            *walk = Walk { last: after, state: self.state(), next: self.behind(after) };
        }
        let mut slots = Vec::new();
        let rank = |place: &(usize, (u8, u32))| self.rank(place.1);
        while slots.len() < limit as usize {
            let places = walk.next.iter().copied().enumerate();
            let Some((index, (pool, slot))) = places.max_by(|a, b| rank(a).total_cmp(&rank(b))) else { break };
            slots.push(slot);
            walk.last = Some(slot);
            match self.lists.hotter(slot) {
                Some(hotter) => walk.next[index] = (pool, hotter),
                None => _ = walk.next.remove(index),
            }
        }
        slots
    }

    /// What is known of an entry that comes back.
    pub(crate) fn returned(&self, reads: u8, read: u32) -> Newcomer {
        // What was read before it left counts half.
        let reads = reads / 2;
        Newcomer::Known { reads: if self.proof && self.is_proved(read) { reads.max(1) } else { reads } }
    }

    /// When an entry was read last.
    pub(crate) fn read(&self, slot: u32) -> u32 {
        self.lists.value(slot).read
    }

    /// The reads to remember of a victim; half of them count when it comes back. One that is let go at once counts up, so
    /// that what is asked for again and again gets in some time.
    pub(crate) fn reads_to_keep(&self, slot: u32) -> u8 {
        let reads = self.lists.mark(slot);
        let is_refused = self.lists.value(slot).read_request == self.requests;
        if is_refused && self.credit { reads.saturating_add(1).saturating_mul(2) } else { reads }
    }

    /// How often a resident entry was read.
    pub(crate) fn reads_of(&self, slot: u32) -> u8 {
        self.lists.mark(slot)
    }

    /// How many requests ago an entry was read last; none where it is not resident.
    #[inline]
    pub(crate) fn age_in_requests(&self, slot: u32) -> Option<u32> {
        let is_resident = self.lists.contains(slot);
        is_resident.then(|| self.requests.wrapping_sub(self.lists.value(slot).read_request))
    }

    /// The share of reads among the requests, as long as no entry has left.
    pub(crate) fn read_share(&self) -> f64 {
        1.0 - f64::from(self.len()) / f64::from(self.requests)
    }

    /// Whether no entry is worth more than another.
    pub(crate) fn are_of_one_level(&self) -> bool {
        let mut levels = self.fronts.iter().map(|front| front.pool % LEVELS);
        let first = levels.next();
        levels.all(|level| Some(level) == first)
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        self.lists.contains(slot)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.lists.total_bytes()
    }

    pub(crate) fn len(&self) -> u32 {
        self.lists.total_len()
    }

    pub(crate) fn evicted_bytes(&self) -> u64 {
        self.evicted_bytes
    }

    /// How far evictions are.
    pub(crate) fn evicted(&self) -> Evicted {
        Evicted { bytes: self.evicted_bytes, clock: self.clock }
    }

    /// One newcomer in 32; another one each time, so that a loop's entries get their chance one after the other.
    fn is_lucky(&self) -> bool {
        self.requests.wrapping_mul(0x9e37_79b1) >> (u32::BITS - lucky_bits()) == 0
            || self.unread.probation_bytes > self.lists.total_bytes() / probation_part()
    }

    /// Whether more than half of the cache came for the first time and was not read since: what a loop let in that is over,
    /// or a scan. What came back is worth more.
    fn is_among_strangers(&self) -> bool {
        self.unread.stranger_bytes > self.lists.total_bytes() / stranger_part()
    }

    /// Whether an entry that was read at that time, and left, would still be there if another had left in its place: one
    /// that has not been read for longer.
    fn is_proved(&self, read: u32) -> bool {
        let age = self.clock.wrapping_sub(read);
        let mut held = self.fronts.iter().filter(|front| !is_on_probation(front.pool));
        held.any(|front| self.clock.wrapping_sub(front.read) > age)
    }

    /// A read says something if entries left since the last one, or where none has to, if others were read.
    #[inline]
    fn is_counted(&self, slot: u32) -> bool {
        let (kept, len) = (self.lists.value(slot), self.lists.total_len());
        let age = self.clock.wrapping_sub(kept.read);
        age > 1 && age as f32 > self.quiet * len as f32 || self.requests.wrapping_sub(kept.read_request) >= len
    }

    /// Where a walk in order goes on behind an entry, or begins: the next one of each pool.
    fn behind(&self, after: Option<u32>) -> Vec<(u8, u32)> {
        let last = after.and_then(|slot| Some((self.lists.list(slot)?, slot)));
        let pools = (0..POOLS).filter_map(|pool| Some((pool, self.lists.coldest(pool)?)));
        let next = pools.filter_map(|(pool, coldest)| match last {
            Some((in_pool, slot)) if in_pool == pool => Some((pool, self.lists.hotter(slot)?)),
            Some(last) => {
                let mut places = std::iter::successors(Some(coldest), |slot| self.lists.hotter(*slot));
                places
                    .find(|slot| self.rank((pool, *slot)).total_cmp(&self.rank(last)).is_lt())
                    .map(|slot| (pool, slot))
            }
            None => Some((pool, coldest)),
        });
        next.collect()
    }

    /// What a walk in order depends on.
    fn state(&self) -> [u32; 3] {
        [self.clock, self.requests, self.lists.total_len()]
    }

    /// How overdue an entry is, a little less in higher pools, so that no two pools tie.
    fn rank(&self, (pool, slot): (u8, u32)) -> f64 {
        f64::from(self.fronts.overdue(self.clock, self.lists.value(slot).read, pool)) * (1.0 - 1e-12 * f64::from(pool))
    }

    /// After an entry came to the hot end of a pool.
    #[inline]
    fn note_pool(&mut self, pool: u8, slot: u32) {
        if self.lists.coldest(pool) == Some(slot) {
            self.fronts.set(pool, slot, self.lists.value(slot).read);
        }
    }

    /// After a pool's coldest entry left it or was read.
    #[inline]
    fn refresh(&mut self, pool: u8) {
        match self.lists.coldest(pool) {
            Some(slot) => self.fronts.set(pool, slot, self.lists.value(slot).read),
            None => self.fronts.clear(pool),
        }
    }
}
