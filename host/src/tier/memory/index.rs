//! The entries of a shard by key.
//!
//! A hit reads one bucket of a hash table, which holds key, value and slot: half a cache line where the value is a
//! pointer, and the only miss beside the value's own.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::key::KeyHash;

/// A hash table that stays small while entries come and go.
///
/// What leaves a table leaves a mark where others were put past it. A table that has run out of unmarked places would be
/// doubled, though it is little more than half full; this one is made anew in the same size.
#[derive(Debug)]
pub(super) struct Index<V> {
    map: HashTable<Bucket<V>>,
}

/// A resident entry as readers see it.
#[derive(Debug)]
pub(super) struct Bucket<V> {
    pub(super) key: KeyHash,
    pub(super) value: V,
    pub(super) slot: u32,
    /// How long it took to fetch, in microseconds: an hour at most, a longer fetch is as dear as that.
    pub(super) fetch_cost_us: u32,
}

impl<V> Index<V> {
    pub(super) const fn new() -> Self {
        Self { map: HashTable::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    #[inline]
    pub(super) fn find(&self, key: KeyHash) -> Option<&Bucket<V>> {
        self.map.find(hash(key), |bucket| bucket.key == key)
    }

    /// The bucket of a slot, whose key has this hash.
    pub(super) fn find_slot(&self, hash: u64, slot: u32) -> Option<&Bucket<V>> {
        self.map.find(hash, |bucket| bucket.slot == slot)
    }

    /// A key's bucket, or a place for one.
    #[inline]
    pub(super) fn entry(&mut self, key: KeyHash) -> Entry<'_, Bucket<V>> {
        self.make_room();
        self.map.entry(hash(key), |bucket| bucket.key == key, |bucket| hash(bucket.key))
    }

    /// Takes in the bucket of a key that has none.
    pub(super) fn insert(&mut self, bucket: Bucket<V>) {
        self.make_room();
        self.map.insert_unique(hash(bucket.key), bucket, |bucket| hash(bucket.key));
    }

    /// Takes out the bucket of a slot, whose key has this hash.
    #[inline]
    pub(super) fn remove_slot(&mut self, hash: u64, slot: u32) -> Option<Bucket<V>> {
        let found = self.map.find_entry(hash, |bucket| bucket.slot == slot).ok()?;
        Some(found.remove().0)
    }

    #[inline]
    fn make_room(&mut self) {
        if self.map.len() == self.map.capacity() {
            self.forget_marks();
        }
    }

    /// Makes the table anew in its size if it is full of marks and not of entries: one that is nearly full of those would soon
    /// be due again, and is left to grow.
    #[cold]
    fn forget_marks(&mut self) {
        let full = self.map.num_buckets() / 8 * 7;
        if self.map.len() > full / 10 * 9 {
            return;
        }
        let mut anew = HashTable::with_capacity(full);
        for bucket in self.map.drain() {
            anew.insert_unique(hash(bucket.key), bucket, |bucket| hash(bucket.key));
        }
        self.map = anew;
    }
}

/// The hash in the index, and the one that the policy is told: the upper half of the key's, for the lower one selects the
/// shard.
#[inline]
pub(super) const fn hash(key: KeyHash) -> u64 {
    (key.0 >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(number: u32) -> Bucket<u32> {
        let mixed = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Bucket { key: KeyHash(mixed ^ mixed >> 61), value: number, slot: number, fetch_cost_us: 0 }
    }

    /// Of so many entries, the oldest leaves for each that comes.
    fn churned(entries: u32) -> Index<u32> {
        let mut index = Index::new();
        (0..entries).for_each(|number| index.insert(bucket(number)));
        for number in entries..entries * 20 {
            let old = bucket(number - entries);
            assert_eq!(index.remove_slot(hash(old.key), old.slot).map(|old| old.value), Some(number - entries));
            index.insert(bucket(number));
        }
        index
    }

    #[test]
    fn it_stays_small_while_entries_come_and_go() {
        // 880 would leave hardly a place for marks.
        for (entries, buckets) in [(500, 1024), (700, 1024), (800, 1024), (880, 2048), (3_100, 4096)] {
            let mut index = churned(entries);
            assert_eq!((index.len(), index.map.num_buckets()), (entries as usize, buckets));
            for number in entries * 19..entries * 20 {
                let new = bucket(number);
                assert_eq!(index.find(new.key).map(|found| found.slot), Some(number));
                assert_eq!(index.find_slot(hash(new.key), number).map(|found| found.value), Some(number));
                assert!(matches!(index.entry(new.key), Entry::Occupied(_)));
            }
            assert!(index.find(bucket(0).key).is_none());
        }
    }
}
