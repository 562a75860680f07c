//! What left the cache lately: a window of two capacities' worth of evictions, as no view remembers for longer.
//!
//! Ghosts lie in the order in which they came, so that the oldest go without being looked for, nothing is linked, and what
//! one weighed shows by when the next one came: 16 bytes each, and 6 to 11 for a place in the index. Everything is O(1).

use std::collections::VecDeque;

use hashbrown::HashTable;
use sandbar_guest::eviction::knowledge;
use sandbar_guest::eviction::table::{make_room, spread};

use crate::constants::memory_max;
use crate::pools::Evicted;

/// Ghosts that are allocated together.
const CHUNK: u32 = 256;
/// A capacity is so many units of age, unless that makes them smaller than a byte.
const UNITS: u64 = 1 << 28;

/// The ghosts of one cache.
#[derive(Debug)]
pub(crate) struct Ghosts {
    /// By number, from the chunk on that has the oldest.
    chunks: VecDeque<Box<[Node]>>,
    /// Numbers of those that have not been taken, by hash.
    index: HashTable<u32>,
    /// Numbers of the oldest and of the next one. They wrap.
    oldest: u32,
    next: u32,
    /// Ages are counted in so many bytes.
    unit_bytes: u64,
    window_units: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    key_hash: u64,
    /// What had been evicted when it left, in units. It wraps.
    evicted_units: u32,
    word: Word,
}

/// When an entry was read last, on the clock of evictions, without its upper 8 bits; above that its reads.
#[derive(Clone, Copy, Debug, Default)]
struct Word(u32);

const READ_BITS: u32 = 24;
const READ_MASK: u32 = (1 << READ_BITS) - 1;

/// What is kept of an entry that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ghost {
    /// What had been evicted before it, in bytes.
    pub evicted_bytes: u64,
    /// When it was read last, on the clock of evictions; where that was 2^24 evictions ago or more, later than it was.
    pub read: u32,
    pub reads: u8,
}

impl Word {
    fn new(ghost: Ghost) -> Self {
        Self(u32::from(ghost.reads) << READ_BITS | ghost.read & READ_MASK)
    }

    fn reads(self) -> u8 {
        (self.0 >> READ_BITS) as u8
    }

    fn read(self, clock: u32) -> u32 {
        clock.wrapping_sub(clock.wrapping_sub(self.0) & READ_MASK)
    }
}

impl Ghosts {
    /// None yet, of a cache of this capacity.
    pub(crate) fn new(capacity_bytes: u64) -> Self {
        let unit_bytes = (capacity_bytes / UNITS).max(1);
        Self {
            chunks: VecDeque::new(),
            index: HashTable::new(),
            oldest: 0,
            next: 0,
            unit_bytes,
            window_units: (capacity_bytes as f64 * memory_max() / unit_bytes as f64) as u32,
        }
    }

    /// Remembers an entry that leaves and that is not remembered, and forgets those that left too long before it.
    pub(crate) fn push(&mut self, key_hash: u64, ghost: Ghost) {
        let evicted_units = self.units(ghost.evicted_bytes);
        self.forget_before(evicted_units);
        if self.next.is_multiple_of(CHUNK) {
            self.chunks.push_back(vec![Node::default(); CHUNK as usize].into());
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        *self.node_mut(number) = Node { key_hash, evicted_units, word: Word::new(ghost) };
        let Self { index, chunks, oldest, .. } = self;
        let hash = |number: &u32| spread(node(chunks, *oldest, *number).key_hash);
        make_room(index, hash);
        index.insert_unique(spread(key_hash), number, hash);
    }

    /// Forgets an entry and answers with what was kept of it and how much was evicted since, in bytes.
    #[inline]
    pub(crate) fn take(&mut self, key_hash: u64, evicted: Evicted) -> Option<(Ghost, u64)> {
        let Self { index, chunks, oldest, .. } = self;
        let is_of = |number: &u32| node(chunks, *oldest, *number).key_hash == key_hash;
        let number = index.find_entry(spread(key_hash), is_of).ok()?.remove().0;
        Some(self.ghost(self.node(number), evicted))
    }

    /// All of them as they are handed over, the oldest first, with what only another `tide` understands.
    pub(crate) fn iter(&self, evicted: Evicted) -> impl Iterator<Item = (knowledge::Ghost, Ghost)> {
        let numbers = (0..self.next.wrapping_sub(self.oldest)).map(|at| self.oldest.wrapping_add(at));
        numbers.filter(|number| self.is_kept(*number)).map(move |number| {
            let (ghost, _) = self.ghost(self.node(number), evicted);
            let (key_hash, weight_bytes) = (self.node(number).key_hash, self.weight_bytes(number, evicted));
            (knowledge::Ghost { key_hash, weight_bytes, reads: ghost.reads }, ghost)
        })
    }

    /// What an entry weighed: so much had been evicted more when the next one left. With what left between them and was no
    /// longer remembered when this policy took over; and nothing where it left a policy of another kind.
    fn weight_bytes(&self, number: u32, evicted: Evicted) -> u64 {
        let next = number.wrapping_add(1);
        let behind = if next == self.next { self.units(evicted.bytes) } else { self.node(next).evicted_units };
        u64::from(behind.wrapping_sub(self.node(number).evicted_units)) * self.unit_bytes
    }

    /// How many are remembered.
    pub(crate) fn len(&self) -> u32 {
        self.index.len() as u32
    }

    fn forget_before(&mut self, evicted_units: u32) {
        while self.oldest != self.next {
            let node = *self.node(self.oldest);
            if evicted_units.wrapping_sub(node.evicted_units) < self.window_units {
                break;
            }
            let oldest = self.oldest;
            if let Ok(found) = self.index.find_entry(spread(node.key_hash), |number| *number == oldest) {
                found.remove();
            }
            self.oldest = oldest.wrapping_add(1);
            if self.oldest.is_multiple_of(CHUNK) {
                self.chunks.pop_front();
            }
        }
    }

    fn is_kept(&self, number: u32) -> bool {
        self.index.find(spread(self.node(number).key_hash), |kept| *kept == number).is_some()
    }

    fn ghost(&self, node: &Node, evicted: Evicted) -> (Ghost, u64) {
        let since_units = self.units(evicted.bytes).wrapping_sub(node.evicted_units);
        let since_bytes = (u64::from(since_units) * self.unit_bytes).min(evicted.bytes);
        let (read, reads) = (node.word.read(evicted.clock), node.word.reads());
        (Ghost { evicted_bytes: evicted.bytes - since_bytes, read, reads }, since_bytes)
    }

    #[inline]
    fn units(&self, evicted_bytes: u64) -> u32 {
        (evicted_bytes / self.unit_bytes) as u32
    }

    #[inline]
    fn node(&self, number: u32) -> &Node {
        node(&self.chunks, self.oldest, number)
    }

    #[inline]
    fn node_mut(&mut self, number: u32) -> &mut Node {
        let (chunk, at) = place(self.oldest, number);
        &mut self.chunks[chunk][at]
    }
}

#[inline]
fn node(chunks: &VecDeque<Box<[Node]>>, oldest: u32, number: u32) -> &Node {
    let (chunk, at) = place(oldest, number);
    &chunks[chunk][at]
}

/// The chunk and the place in it.
#[inline]
fn place(oldest: u32, number: u32) -> (usize, usize) {
    (
        (number / CHUNK).wrapping_sub(oldest / CHUNK) as usize % (u32::MAX / CHUNK + 1) as usize,
        (number % CHUNK) as usize,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ghost(evicted_bytes: u64, reads: u8) -> Ghost {
        Ghost { evicted_bytes, read: 7, reads }
    }

    fn after(bytes: u64) -> Evicted {
        Evicted { bytes, clock: 7 }
    }

    fn keys(ghosts: &Ghosts, evicted_bytes: u64) -> Vec<u64> {
        ghosts.iter(after(evicted_bytes)).map(|(ghost, _)| ghost.key_hash).collect()
    }

    #[test]
    fn a_ghost_is_small() {
        assert_eq!(size_of::<Node>(), 16);
    }

    #[test]
    fn what_left_two_capacities_ago_is_forgotten() {
        let mut ghosts = Ghosts::new(10);
        (0..5u64).for_each(|key| ghosts.push(key, ghost(key * 5, key as u8)));
        assert_eq!(keys(&ghosts, 25), [1, 2, 3, 4]);
        assert_eq!(ghosts.take(3, after(25)), Some((ghost(15, 3), 10)));
        assert_eq!(ghosts.take(3, after(25)), None);
        assert_eq!((keys(&ghosts, 25), ghosts.len()), (vec![1, 2, 4], 3));
        ghosts.push(9, ghost(1_000, 0));
        assert_eq!((keys(&ghosts, 1_000), ghosts.len()), (vec![9], 1));
    }

    #[test]
    fn what_entries_weighed_is_handed_on() {
        let mut ghosts = Ghosts::new(100);
        for (key, evicted_bytes) in [(0, 0), (1, 3), (2, 10), (3, 11)] {
            ghosts.push(key, ghost(evicted_bytes, key as u8));
        }
        ghosts.take(1, after(16)).expect("it is remembered");
        let all: Vec<_> = ghosts.iter(after(16)).collect();
        let weights: Vec<_> = all.iter().map(|(common, _)| (common.key_hash, common.weight_bytes)).collect();
        assert_eq!(weights, [(0, 3), (2, 1), (3, 5)]);
        assert_eq!(all[2].1, ghost(11, 3));
    }

    #[test]
    fn the_last_read_is_known_for_as_long_as_its_clock_counts() {
        let mut ghosts = Ghosts::new(100);
        for (key, clock) in [(1, 5), (2, 1 << 24), (3, u32::MAX)] {
            for age in [0, 1, 5, READ_MASK] {
                let read = u32::wrapping_sub(clock, age);
                ghosts.push(key, Ghost { evicted_bytes: 0, read, reads: 255 });
                let (kept, _) = ghosts.take(key, Evicted { bytes: 0, clock }).expect("it is remembered");
                assert_eq!((kept.read, kept.reads), (read, 255), "{clock} {age}");
            }
        }
    }

    #[test]
    fn ages_of_a_huge_cache_are_counted_in_larger_units() {
        let capacity_bytes = 1 << 40;
        let mut ghosts = Ghosts::new(capacity_bytes);
        ghosts.push(1, ghost(5 << 42, 2));
        let (kept, since_bytes) = ghosts.take(1, after((5 << 42) + capacity_bytes)).unwrap();
        assert!((kept.evicted_bytes.abs_diff(5 << 42)) <= 4096 && since_bytes.abs_diff(capacity_bytes) <= 4096);
    }

    #[test]
    fn it_does_what_a_plain_queue_does_and_numbers_wrap() {
        let mut ghosts = Ghosts::new(500);
        (ghosts.oldest, ghosts.next) = (u32::MAX - 2 * CHUNK + 1, u32::MAX - 2 * CHUNK + 1);
        let mut plain: VecDeque<(u64, u64)> = VecDeque::new();
        let (mut state, mut evicted_bytes) = (1u64, 0);
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, weight_bytes) = (state >> 54, state >> 50 & 3);
            let found = plain.iter().position(|ghost| ghost.0 == key);
            let expected = found.and_then(|at| plain.remove(at)).map(|(_, left)| evicted_bytes - left);
            assert_eq!(ghosts.take(key, after(evicted_bytes)).map(|taken| taken.1), expected);
            if state >> 40 & 3 > 0 {
                ghosts.push(key, ghost(evicted_bytes, 0));
                plain.push_back((key, evicted_bytes));
                plain.retain(|(_, left)| evicted_bytes - left < 1_000);
                evicted_bytes += weight_bytes;
            }
            assert_eq!(ghosts.len() as usize, plain.len());
        }
        assert!(ghosts.next < u32::MAX / 2, "they have wrapped");
        assert_eq!(keys(&ghosts, evicted_bytes), plain.iter().map(|ghost| ghost.0).collect::<Vec<_>>());
        assert!(ghosts.chunks.len() <= 10);
    }
}
