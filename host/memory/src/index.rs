//! The index of a shard: its entries by key.
//!
//! A hit reads one bucket of a hash table, which holds key, value and slot: half a cache line where the value is a
//! pointer, and the only cache-line miss besides the value's own.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use sandbar_guest::eviction::table::make_room;

use sandbar_base::KeyHash;

/// A hash table that stays small while entries come and go.
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
    /// How long the fetch took, in microseconds; longer ones count as the maximum of `u32`, somewhat more than an hour.
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

    /// The bucket of a slot; `hash` is that of its key.
    pub(super) fn find_slot(&self, hash: u64, slot: u32) -> Option<&Bucket<V>> {
        self.map.find(hash, |bucket| bucket.slot == slot)
    }

    /// A key's bucket, or a vacant place for it.
    #[inline]
    pub(super) fn entry(&mut self, key: KeyHash) -> Entry<'_, Bucket<V>> {
        make_room(&mut self.map, |bucket| hash(bucket.key));
        self.map.entry(hash(key), |bucket| bucket.key == key, |bucket| hash(bucket.key))
    }

    /// Inserts the bucket of a key that has none.
    pub(super) fn insert(&mut self, bucket: Bucket<V>) {
        make_room(&mut self.map, |bucket| hash(bucket.key));
        self.map.insert_unique(hash(bucket.key), bucket, |bucket| hash(bucket.key));
    }

    /// Removes the bucket of a slot; `hash` is that of its key.
    #[inline]
    pub(super) fn remove_slot(&mut self, hash: u64, slot: u32) -> Option<Bucket<V>> {
        let found = self.map.find_entry(hash, |bucket| bucket.slot == slot).ok()?;
        Some(found.remove().0)
    }
}

/// The hash that the index uses and the policy is told: the upper half of the key's hash, as the lower half selects the
/// shard.
#[inline]
pub(super) const fn hash(key: KeyHash) -> u64 {
    (key.0 >> 64) as u64
}
