//! What a [`Shard`](super::Shard) has to know of the structure that holds its resident entries.

use super::list::Lists;

/// The resident entries of a shard, with their weights and an order.
///
/// [`Lists`] are queues, and a [`PriorityQueue`](super::priority::PriorityQueue) sorts by a key. A policy may bring a
/// structure of its own. Slots are small numbers that are used again, so that a vector by slot is a good index.
pub trait Entries {
    /// Whether the slot's entry is resident.
    fn contains(&self, slot: u32) -> bool;

    /// The sum of all weights, in bytes.
    fn total_bytes(&self) -> u64;

    /// Gives a resident entry another weight.
    fn set_weight(&mut self, slot: u32, weight_bytes: u64);

    /// Takes an entry out; false where it is not resident.
    fn remove(&mut self, slot: u32) -> bool;

    /// Up to `limit` slots from the one that leaves first, or from behind `after`; none where `after` is not resident.
    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32>;
}

/// The order is list by list, as they are numbered, each list from its cold end.
impl<T: Copy + Default> Entries for Lists<T> {
    #[inline]
    fn contains(&self, slot: u32) -> bool {
        Lists::contains(self, slot)
    }

    #[inline]
    fn total_bytes(&self) -> u64 {
        Lists::total_bytes(self)
    }

    #[inline]
    fn set_weight(&mut self, slot: u32, weight_bytes: u64) {
        Lists::set_weight(self, slot, weight_bytes);
    }

    #[inline]
    fn remove(&mut self, slot: u32) -> bool {
        Lists::remove(self, slot).is_some()
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        Lists::order(self, after, limit)
    }
}
