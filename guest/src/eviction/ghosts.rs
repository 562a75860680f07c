//! Ghosts: key hashes and weights of entries that left a short while ago.
//!
//! A ghost costs 24 bytes, what the policy keeps with it, and 6 to 11 for its place in the index. Everything is O(1).

use hashbrown::HashTable;
use hashbrown::hash_table::OccupiedEntry;

use super::knowledge;
use super::table::{make_room, spread};

const NIL: u32 = u32::MAX;

/// A queue of ghosts, oldest first, with a `T` for each. Its bound is the sum of the weights that the entries had.
#[derive(Clone, Debug)]
pub struct Ghosts<T = ()> {
    nodes: Vec<Node<T>>,
    /// Numbers of nodes, by key hash.
    index: HashTable<u32>,
    oldest: u32,
    newest: u32,
    /// Unused nodes, linked through `newer`.
    free: u32,
    bytes: u64,
    capacity_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Node<T> {
    key_hash: u64,
    weight_bytes: u64,
    older: u32,
    newer: u32,
    value: T,
}

impl<T: Copy> Ghosts<T> {
    /// An empty queue. The oldest ghosts go when the entries of all weighed more than `capacity_bytes`.
    pub fn new(capacity_bytes: u64) -> Self {
        Self { nodes: vec![], index: HashTable::new(), oldest: NIL, newest: NIL, free: NIL, bytes: 0, capacity_bytes }
    }

    /// Remembers an entry as the newest ghost. An entry that is heavier than the queue's bound is not remembered.
    pub fn push(&mut self, key_hash: u64, weight_bytes: u64, value: T) {
        self.take(key_hash);
        if weight_bytes > self.capacity_bytes {
            return;
        }
        while self.bytes + weight_bytes > self.capacity_bytes {
            self.pop();
        }
        let number = self.allocate(Node { key_hash, weight_bytes, older: NIL, newer: NIL, value });
        self.link(number);
        self.bytes += weight_bytes;
        let hash = |number: &u32| spread(self.nodes[*number as usize].key_hash);
        make_room(&mut self.index, hash);
        self.index.insert_unique(spread(key_hash), number, hash);
    }

    /// Forgets a ghost and answers with what was kept with it; none where there is no such ghost.
    #[inline]
    pub fn take(&mut self, key_hash: u64) -> Option<T> {
        let Self { index, nodes, .. } = self;
        let number = index.find_entry(spread(key_hash), is_of(nodes, key_hash)).map(forget).ok()?;
        Some(self.free(number))
    }

    /// Makes a ghost the newest and answers with what is kept with it; none where there is no such ghost.
    #[inline]
    pub fn renew(&mut self, key_hash: u64) -> Option<T> {
        let number = *self.index.find(spread(key_hash), is_of(&self.nodes, key_hash))?;
        if number != self.newest {
            self.unlink(number);
            self.link(number);
        }
        Some(self.nodes[number as usize].value)
    }

    /// Whether there is a ghost of the key.
    #[inline]
    pub fn contains(&self, key_hash: u64) -> bool {
        self.index.find(spread(key_hash), is_of(&self.nodes, key_hash)).is_some()
    }

    /// Forgets the oldest ghost and answers with what was kept with it.
    pub fn pop(&mut self) -> Option<T> {
        let oldest = self.nodes.get(self.oldest as usize)?;
        let number =
            self.index.find_entry(spread(oldest.key_hash), |number| *number == self.oldest).map(forget).ok()?;
        Some(self.free(number))
    }

    /// Key hash, weight and value of each ghost, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64, T)> {
        let mut at = self.oldest;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize)?;
            at = node.newer;
            Some((node.key_hash, node.weight_bytes, node.value))
        })
    }

    /// What the entries of all ghosts weighed together.
    #[inline]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The number of ghosts.
    #[inline]
    pub fn len(&self) -> u32 {
        self.index.len() as u32
    }

    /// Whether there is no ghost.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    fn allocate(&mut self, node: Node<T>) -> u32 {
        match self.free {
            NIL => {
                self.nodes.push(node);
                self.nodes.len() as u32 - 1
            }
            number => {
                self.free = self.nodes[number as usize].newer;
                self.nodes[number as usize] = node;
                number
            }
        }
    }

    /// Makes a node that is in no queue the newest.
    #[inline]
    fn link(&mut self, number: u32) {
        let node = &mut self.nodes[number as usize];
        (node.older, node.newer) = (self.newest, NIL);
        match self.newest {
            NIL => self.oldest = number,
            newest => self.nodes[newest as usize].newer = number,
        }
        self.newest = number;
    }

    /// Takes a node out of the queue.
    #[inline]
    fn unlink(&mut self, number: u32) {
        let Node { older, newer, .. } = self.nodes[number as usize];
        match older {
            NIL => self.oldest = newer,
            older => self.nodes[older as usize].newer = newer,
        }
        match newer {
            NIL => self.newest = older,
            newer => self.nodes[newer as usize].older = older,
        }
    }

    /// Takes a node out of the queue and leaves it to be used again.
    fn free(&mut self, number: u32) -> T {
        self.unlink(number);
        let node = &mut self.nodes[number as usize];
        node.newer = std::mem::replace(&mut self.free, number);
        self.bytes -= node.weight_bytes;
        node.value
    }
}

/// Whether a node is of this key.
#[inline]
fn is_of<T>(nodes: &[Node<T>], key_hash: u64) -> impl Fn(&u32) -> bool {
    move |number| nodes[*number as usize].key_hash == key_hash
}

#[inline]
fn forget(entry: OccupiedEntry<'_, u32>) -> u32 {
    entry.remove().0
}

impl Ghosts<()> {
    /// All ghosts in the form in which they are handed over, the oldest first.
    pub fn to_hand_over(&self) -> Vec<knowledge::Ghost> {
        let ghost = |(key_hash, weight_bytes, ())| knowledge::Ghost { key_hash, weight_bytes, reads: 0 };
        self.iter().map(ghost).collect()
    }

    /// Takes in ghosts that another policy hands over, as newer than those that are here.
    pub fn take_over(&mut self, ghosts: &[knowledge::Ghost]) {
        ghosts.iter().for_each(|ghost| self.push(ghost.key_hash, ghost.weight_bytes, ()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn the_oldest_go_first() {
        let mut ghosts = Ghosts::new(10);
        for key in 1..=5 {
            ghosts.push(key, 3, key);
        }
        assert!(!ghosts.contains(2));
        assert_eq!(ghosts.iter().collect::<Vec<_>>(), [(3, 3, 3), (4, 3, 4), (5, 3, 5)]);
        assert_eq!((ghosts.len(), ghosts.bytes()), (3, 9));
        assert_eq!(ghosts.pop(), Some(3), "the oldest");
        assert_eq!((ghosts.take(4), ghosts.take(4), ghosts.take(5)), (Some(4), None, Some(5)));
        assert!(ghosts.is_empty() && ghosts.pop().is_none());
        (6..=8).for_each(|key| ghosts.push(key, 3, key));
        assert_eq!([6, 8, 6, 9].map(|key| ghosts.renew(key)), [Some(6), Some(8), Some(6), None]);
        assert_eq!(std::array::from_fn(|_| ghosts.pop()), [Some(7), Some(8), Some(6), None], "as they were renewed");
        ghosts.push(9, 11, 0);
        assert!(ghosts.is_empty(), "too heavy");
    }

    #[test]
    fn it_does_what_a_plain_queue_does() {
        let mut ghosts = Ghosts::new(300);
        let mut plain: VecDeque<(u64, u64)> = VecDeque::new();
        let mut state = 1u64;
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (key, weight) = (state >> 56, 1 + (state >> 50 & 3));
            if state >> 40 & 3 == 0 {
                let expected = plain.iter().position(|ghost| ghost.0 == key).and_then(|at| plain.remove(at));
                assert_eq!(ghosts.take(key), expected.map(|ghost| ghost.1));
            } else {
                plain.retain(|ghost| ghost.0 != key);
                plain.push_back((key, weight));
                while plain.iter().map(|ghost| ghost.1).sum::<u64>() > 300 {
                    plain.pop_front();
                }
                ghosts.push(key, weight, weight);
            }
            assert_eq!(ghosts.len() as usize, plain.len());
        }
    }
}
