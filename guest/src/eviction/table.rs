//! For policies with hash tables of their own: well-mixed hashes, and tables that stay small.

use hashbrown::HashTable;

/// The hash of a key for a table, where the key's own may not be well mixed.
#[inline]
pub const fn spread(key_hash: u64) -> u64 {
    let product = key_hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

/// To be called before something is put into a table, so that the table isn't doubled without need.
///
/// An element that is removed leaves a mark in its place where others were put past it. A table that has run out of
/// unmarked places would be doubled, though it may be little more than half full; this makes it anew in the same size.
#[inline]
pub fn make_room<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    if table.len() == table.capacity() {
        forget_marks(table, hash);
    }
}

/// Makes the table anew if it is full of marks and not of elements: one that is nearly full of elements would soon run
/// out of places again, and is left to grow.
#[cold]
fn forget_marks<T>(table: &mut HashTable<T>, hash: impl Fn(&T) -> u64) {
    let full = table.num_buckets() / 8 * 7;
    if table.len() > full / 20 * 19 {
        return;
    }
    let mut anew = HashTable::with_capacity(full);
    for entry in table.drain() {
        anew.insert_unique(hash(&entry), entry, &hash);
    }
    *table = anew;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: &u64) -> u64 {
        spread(*number)
    }

    /// A table of so many entries in which, many times over, the oldest has left and a new one has come.
    fn churned(entries: u64) -> HashTable<u64> {
        let mut table = HashTable::new();
        for number in 0..entries * 20 {
            if let Some(old) = number.checked_sub(entries) {
                table.find_entry(spread(old), |found| *found == old).expect("it is in").remove();
            }
            make_room(&mut table, hash);
            table.insert_unique(spread(number), number, hash);
        }
        table
    }

    #[test]
    fn it_stays_small_while_entries_come_and_go() {
        // 880 entries would leave hardly a place for marks in 1024 buckets.
        for (entries, buckets) in [(500, 1024), (700, 1024), (800, 1024), (880, 2048), (3_100, 4096)] {
            let table = churned(entries);
            assert_eq!((table.len(), table.num_buckets()), (entries as usize, buckets));
            assert!((entries * 19..entries * 20).all(|new| table.find(spread(new), |found| *found == new).is_some()));
            assert!(table.find(spread(0), |found| *found == 0).is_none());
        }
    }
}
