//! A priority queue of resident entries: the one with the smallest key leaves first.
//!
//! O(log n) per change; 12 bytes for a slot, and for each entry 4 and the key.

use super::entries::Entries;
use super::heap::Heap;

/// Resident entries with their weights, by a key. Keys that differ for all entries (a sequence number in them, say) make
/// the order a total one.
#[derive(Clone, Debug)]
pub struct PriorityQueue<K> {
    order: Heap<K>,
    /// Weights in bytes, by slot.
    weights: Vec<u64>,
    total_bytes: u64,
}

impl<K: Ord + Copy> Default for PriorityQueue<K> {
    fn default() -> Self {
        Self { order: Heap::default(), weights: vec![], total_bytes: 0 }
    }
}

impl<K: Ord + Copy> PriorityQueue<K> {
    /// Takes a new entry in. An entry that was in the slot is forgotten.
    pub fn push(&mut self, slot: u32, weight_bytes: u64, key: K) {
        self.remove(slot);
        if slot as usize >= self.weights.len() {
            self.weights.resize(slot as usize + 1, 0);
        }
        self.weights[slot as usize] = weight_bytes;
        self.total_bytes += weight_bytes;
        self.order.set(slot, key);
    }

    /// Gives a resident entry another key.
    pub fn set_key(&mut self, slot: u32, key: K) {
        if self.contains(slot) {
            self.order.set(slot, key);
        }
    }

    /// An entry's key; none where it is not resident.
    #[inline]
    pub fn key(&self, slot: u32) -> Option<K> {
        self.order.key(slot)
    }

    /// The entry with the smallest key.
    #[inline]
    pub fn min(&self) -> Option<u32> {
        self.order.min().map(|(slot, _)| slot)
    }
}

/// The order is that of the keys, the smallest first.
impl<K: Ord + Copy> Entries for PriorityQueue<K> {
    #[inline]
    fn contains(&self, slot: u32) -> bool {
        self.order.contains(slot)
    }

    #[inline]
    fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    fn set_weight(&mut self, slot: u32, weight_bytes: u64) {
        if self.contains(slot) {
            let weight = &mut self.weights[slot as usize];
            self.total_bytes = self.total_bytes - *weight + weight_bytes;
            *weight = weight_bytes;
        }
    }

    fn remove(&mut self, slot: u32) -> bool {
        let was_there = self.order.remove(slot).is_some();
        if was_there {
            self.total_bytes -= self.weights[slot as usize];
        }
        was_there
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.order.order(after, limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_key_comes_first_and_weights_are_summed() {
        let mut queue = PriorityQueue::default();
        [(4, 10, 'c'), (2, 20, 'b'), (7, 30, 'd')]
            .into_iter()
            .for_each(|(slot, bytes, key)| queue.push(slot, bytes, key));
        assert_eq!((queue.min(), queue.total_bytes()), (Some(2), 60));
        queue.set_key(7, 'a');
        queue.set_key(9, 'a');
        assert_eq!((queue.order(None, 9), queue.key(7), queue.key(9)), (vec![7, 2, 4], Some('a'), None));
        queue.set_weight(2, 5);
        queue.set_weight(9, 5);
        assert_eq!(queue.total_bytes(), 45);
        queue.push(7, 1, 'e');
        assert_eq!((queue.min(), queue.total_bytes()), (Some(2), 16));
        assert!(queue.remove(2) && !queue.remove(2));
        assert_eq!((queue.order(None, 9), queue.total_bytes()), (vec![4, 7], 11));
    }
}
