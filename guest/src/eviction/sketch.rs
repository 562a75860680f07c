//! Approximate counts of how often keys were asked for lately: a count-min sketch with 4-bit counters that are halved
//! now and then.
//!
//! G. Cormode, S. Muthukrishnan: An improved data stream summary: the count-min sketch and its applications. Journal of
//! Algorithms 55(1), 2005. Halving: G. Einziger, R. Friedman, B. Manes: TinyLFU. ACM Transactions on Storage 13(4), 2017.
//!
//! 8 to 16 bytes per entry that it was made for; counts up to 15. Which keys share a counter depends on the seed, so that
//! nobody can choose keys that do.

use super::knowledge::{KNOWLEDGE_BYTES_MAX, Reader, Writer};
use super::random::Random;

/// Approximate counts of keys.
#[derive(Clone, Debug)]
pub struct Sketch {
    /// 16 counters in a word; the number of words is a power of two.
    table: Vec<u64>,
    salt: u64,
    additions: u64,
    /// The number of additions after which counts are halved.
    sample: u64,
}

const ROWS: usize = 4;
const COUNT_MAX: u64 = 15;
const ENTRIES_MIN: u64 = 64;

impl Sketch {
    /// A sketch for so many entries, all counts 0. Counts are halved after `sample` additions.
    pub fn new(entries: u64, sample: u64, seed: u64) -> Self {
        let table = vec![0; entries.max(ENTRIES_MIN).next_power_of_two() as usize];
        Self { table, salt: Random::new(seed).bits(), additions: 0, sample }
    }

    /// Makes the sketch large enough for so many entries; counts stay what they are.
    pub fn grow(&mut self, entries: u64) {
        while (self.table.len() as u64) < entries {
            self.table.extend_from_within(..);
        }
    }

    /// Writes the sketch for a policy that takes over. The table of a large one is folded until it fits half of what
    /// may be handed on: more keys then have the same counters, so counts may be higher.
    pub fn write(&self, own: &mut Writer) {
        let mut table = self.table.clone();
        while table.len() * size_of::<u64>() > KNOWLEDGE_BYTES_MAX / 2 {
            let upper = table.split_off(table.len() / 2);
            table.iter_mut().zip(upper).for_each(|(word, other)| *word = greater_counts(*word, other));
        }
        own.word(self.salt);
        own.number(self.additions);
        own.number(self.sample);
        own.number(table.len() as u64);
        table.iter().for_each(|word| own.word(*word));
    }

    /// Reads a sketch that was written; none where it can't be one.
    pub fn read(own: &mut Reader<'_>) -> Option<Self> {
        let (salt, additions, sample, words) = (own.word()?, own.number()?, own.number()?, own.count()?);
        let table: Vec<u64> = (0..words).map(|_| own.word()).collect::<Option<_>>()?;
        let is_whole = words.is_power_of_two() && words as u64 >= ENTRIES_MIN && additions <= u64::MAX / 2;
        is_whole.then_some(Self { table, salt, additions, sample })
    }

    /// Sets after how many additions the counts are halved.
    pub fn set_sample(&mut self, sample: u64) {
        self.sample = sample;
    }

    /// Counts a key once more. Answers whether all counts were halved after that.
    #[inline]
    pub fn add(&mut self, key_hash: u64) -> bool {
        let mut added = false;
        for row in 0..ROWS {
            let (word, shift) = self.counter(key_hash, row);
            if self.table[word] >> shift & COUNT_MAX < COUNT_MAX {
                self.table[word] += 1 << shift;
                added = true;
            }
        }
        self.additions += u64::from(added);
        let is_full = self.additions >= self.sample;
        if is_full {
            self.halve();
        }
        is_full
    }

    /// How often the key was counted, or more where other keys use its counters: up to 15, and less what halving
    /// took.
    #[inline]
    pub fn count(&self, key_hash: u64) -> u64 {
        let count = |row| {
            let (word, shift) = self.counter(key_hash, row);
            self.table[word] >> shift & COUNT_MAX
        };
        (0..ROWS).map(count).min().unwrap_or(0)
    }

    /// A key's counter in a row: its word and its shift in there. Each row has four of a word's counters. The low bits
    /// of the hash pick the word, so that doubling the table keeps the counts.
    #[inline]
    fn counter(&self, key_hash: u64, row: usize) -> (usize, u32) {
        const SEEDS: [u64; ROWS] =
            [0xc3a5_c85c_97cb_3127, 0xb492_b66f_be98_f273, 0x9ae1_6a3b_2f90_404f, 0xcbf2_9ce4_8422_2325];
        let salted = key_hash ^ self.salt;
        let mut hash = (salted ^ salted >> 32).wrapping_mul(SEEDS[row]);
        hash ^= hash >> 32;
        let nibble = (row as u32) << 2 | (hash >> 62) as u32;
        (hash as usize & (self.table.len() - 1), nibble << 2)
    }

    fn halve(&mut self) {
        for word in &mut self.table {
            *word = *word >> 1 & 0x7777_7777_7777_7777;
        }
        self.additions /= 2;
    }
}

/// For each counter of two words, the greater count.
fn greater_counts(one: u64, other: u64) -> u64 {
    let count = |word: u64, shift: u32| word >> shift & COUNT_MAX;
    (0..64).step_by(4).fold(0, |word, shift| word | count(one, shift).max(count(other, shift)) << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_never_too_low_and_survive_growth() {
        let mut sketch = Sketch::new(512, 100_000, 1);
        for key in 0..100u64 {
            (0..key % 15).for_each(|_| assert!(!sketch.add(key << 20)));
        }
        let counts: Vec<u64> = (0..100u64).map(|key| sketch.count(key << 20)).collect();
        assert!((0..100).all(|key| counts[key] >= key as u64 % 15));
        assert!(counts.iter().sum::<u64>() < (0..100).map(|key| key % 15).sum::<u64>() + 20);
        sketch.grow(4096);
        assert!((0..100u64).all(|key| sketch.count(key << 20) == counts[key as usize]));
    }

    #[test]
    fn what_is_written_down_counts_the_same_and_no_less_where_it_is_too_large() {
        let mut sketch = Sketch::new(512, 100_000, 1);
        (0..100u64).for_each(|key| (0..key % 15).for_each(|_| _ = sketch.add(key << 20)));
        let read = |sketch: &Sketch| {
            let mut own = Writer::new("form");
            sketch.write(&mut own);
            let own = own.finish();
            assert!(own.len() < KNOWLEDGE_BYTES_MAX * 2 / 3);
            Sketch::read(&mut Reader::new(&own, "form").unwrap()).unwrap()
        };
        let same = read(&sketch);
        assert_eq!((&same.table, same.additions, same.sample), (&sketch.table, sketch.additions, sketch.sample));
        let mut large = Sketch::new(1 << 18, 100_000, 1);
        (0..100u64).for_each(|key| (0..key % 15).for_each(|_| _ = large.add(key << 20)));
        let smaller = read(&large);
        assert_eq!(smaller.table.len() * 8, KNOWLEDGE_BYTES_MAX / 2);
        assert!((0..100u64).all(|key| smaller.count(key << 20) >= key % 15));
        assert!(
            Sketch::read(&mut Reader::new(b"\x04form\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x03", "form").unwrap())
                .is_none()
        );
    }

    #[test]
    fn which_keys_share_counters_depends_on_the_seed() {
        let counted_with_others = |seed: u64| -> Vec<u64> {
            let mut sketch = Sketch::new(64, 100_000, seed);
            (0..600).for_each(|key| _ = sketch.add(key));
            (0..600).filter(|key| sketch.count(*key) > 1).collect()
        };
        assert_eq!(counted_with_others(1), counted_with_others(1));
        assert_ne!(counted_with_others(1), counted_with_others(2));
    }

    #[test]
    fn counts_end_at_15_and_are_halved() {
        let mut sketch = Sketch::new(64, 64, 1);
        (0..40).for_each(|_| assert!(!sketch.add(7)));
        assert_eq!(sketch.count(7), 15, "what doesn't change a count doesn't age the others");
        assert!((8..).take(1000).any(|key| sketch.add(key)));
        assert!(sketch.count(7) < 9);
    }
}
