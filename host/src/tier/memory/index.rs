//! The entries of a shard by key.
//!
//! A hit reads one bucket of a hash table, which holds key, value and slot: half a cache line where the value is a
//! pointer, and the only miss beside the value's own.

use hashbrown::HashTable;

use crate::key::KeyHash;

/// Hash tables that stay small while entries come and go, and that are never made anew all at once.
///
/// A hash table doubles when it is full. Sixteen of them, the largest with twice the keys of the smallest, do so one after
/// the other: readers wait for a sixteenth of the work, and what an entry takes hardly depends on how many there are.
///
/// What leaves a table leaves a mark where others were put past it. A table that has run out of unmarked places would be
/// doubled, though it is little more than half full; here it is made anew in the same size.
#[derive(Debug)]
pub(super) struct Index<V> {
    tables: [HashTable<Bucket<V>>; TABLES],
    len: usize,
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

const TABLES: usize = 16;

/// The table of each value of a byte of the hash. Each table has 2 to the power of 1/16 times the keys of the one before.
const TABLE_OF: [u8; 256] = {
    const KEYS: [u8; TABLES] = [11, 12, 12, 13, 13, 14, 15, 15, 16, 17, 17, 18, 19, 20, 21, 23];
    let mut table_of = [0; 256];
    let (mut table, mut left, mut at) = (0, KEYS[0], 0);
    while at < 256 {
        if left == 0 {
            table += 1;
            left = KEYS[table];
        }
        table_of[at] = table as u8;
        left -= 1;
        at += 1;
    }
    table_of
};

impl<V> Index<V> {
    pub(super) fn new() -> Self {
        Self { tables: [const { HashTable::new() }; TABLES], len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn find(&self, key: KeyHash) -> Option<&Bucket<V>> {
        self.tables[table_of(hash(key))].find(hash(key), |bucket| bucket.key == key)
    }

    #[inline]
    pub(super) fn find_mut(&mut self, key: KeyHash) -> Option<&mut Bucket<V>> {
        self.tables[table_of(hash(key))].find_mut(hash(key), |bucket| bucket.key == key)
    }

    /// The bucket of a slot, whose key has this hash.
    pub(super) fn find_slot(&self, hash: u64, slot: u32) -> Option<&Bucket<V>> {
        self.tables[table_of(hash)].find(hash, |bucket| bucket.slot == slot)
    }

    /// Takes in the bucket of a key that has none.
    #[inline]
    pub(super) fn insert(&mut self, bucket: Bucket<V>) {
        let table = &mut self.tables[table_of(hash(bucket.key))];
        if table.len() == table.capacity() {
            forget_marks(table);
        }
        table.insert_unique(hash(bucket.key), bucket, |bucket| hash(bucket.key));
        self.len += 1;
    }

    /// Takes out the bucket of a slot, whose key has this hash.
    #[inline]
    pub(super) fn remove_slot(&mut self, hash: u64, slot: u32) -> Option<Bucket<V>> {
        let found = self.tables[table_of(hash)].find_entry(hash, |bucket| bucket.slot == slot).ok()?;
        self.len -= 1;
        Some(found.remove().0)
    }
}

/// Makes a table anew in its size if it is full of marks and not of entries: one that is nearly full of those would soon be
/// due again, and is left to grow.
#[cold]
fn forget_marks<V>(table: &mut HashTable<Bucket<V>>) {
    let full = table.num_buckets() / 8 * 7;
    if table.len() > full / 10 * 9 {
        return;
    }
    let mut anew = HashTable::with_capacity(full);
    for bucket in table.drain() {
        anew.insert_unique(hash(bucket.key), bucket, |bucket| hash(bucket.key));
    }
    *table = anew;
}

/// By bits that tell nothing of the place in the table, and that a slot keeps.
#[inline]
const fn table_of(hash: u64) -> usize {
    TABLE_OF[(hash >> 24 & 0xff) as usize] as usize % TABLES
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
        for entries in [10_000, 12_000, 15_000, 18_000, 20_000] {
            let mut index = churned(entries);
            assert_eq!(index.len(), entries as usize);
            let buckets: usize = index.tables.iter().map(HashTable::num_buckets).sum();
            let load = f64::from(entries) / buckets as f64;
            assert!((0.5..0.65).contains(&load), "{entries}: {load}");
            for number in entries * 19..entries * 20 {
                let new = bucket(number);
                assert_eq!(index.find(new.key).map(|found| found.slot), Some(number));
                assert_eq!(index.find_slot(hash(new.key), number).map(|found| found.value), Some(number));
                index.find_mut(new.key).expect("it is there").value = 0;
            }
            assert!(index.find(bucket(0).key).is_none());
        }
    }

    #[test]
    fn a_table_grows_where_others_do_not() {
        let mut index = Index::new();
        let mut grown = 0;
        for number in 0..50_000 {
            let before = index.tables.each_ref().map(HashTable::num_buckets);
            index.insert(bucket(number));
            let after = index.tables.each_ref().map(HashTable::num_buckets);
            let larger = before.iter().zip(after).filter(|(before, after)| **before < *after).count();
            grown += larger;
            assert!(larger <= 1);
        }
        let buckets = index.tables.each_ref().map(HashTable::num_buckets);
        assert!(grown > 100 && buckets.iter().any(|one| *one != buckets[0]), "{grown}, {buckets:?}");
    }
}
