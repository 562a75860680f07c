//! The operations that every contender gets.

use std::sync::{Arc, OnceLock};

use sandbar::http::key::KeyHash;

/// Entries that each cache has room for.
pub(crate) const ENTRIES: usize = 100_000;

/// Exponent of the Zipf distribution of reads: how skewed they are.
pub(crate) const EXPONENT: f64 = 0.99;

/// What is cached: an `Arc`, as in production.
pub(crate) type Value = Arc<[u8; 64]>;

/// A new value.
pub(crate) fn value() -> Value {
    Arc::new([7; 64])
}

/// A mix of operations whose cost is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Workload {
    /// Every read finds its entry.
    Hit,
    /// Nine reads and a write, over twice as many keys as there is room for. A miss is not filled.
    NineToOne,
    /// Each write brings a new entry into a full cache.
    Churn,
}

impl Workload {
    /// The workload's name, on the command line too.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::NineToOne => "90/10",
            Self::Churn => "churn",
        }
    }

    /// Entries that the cache has room for: in `Hit` twice as many as there are, so that no contender evicts any.
    pub(crate) const fn room(self) -> usize {
        match self {
            Self::Hit => 2 * ENTRIES,
            Self::NineToOne | Self::Churn => ENTRIES,
        }
    }

    /// The operations of a round for one thread: the same for every contender.
    pub(crate) fn operations(self, count: usize, round: usize, thread: usize) -> Vec<Operation> {
        let mut random = Random(((round as u64) << 32) | thread as u64);
        let first = (round * 2 + thread) * count;
        (0..count)
            .map(|at| match self {
                Self::Hit => Operation::get(zipf(ENTRIES).draw(&mut random)),
                Self::NineToOne => {
                    let key = zipf(2 * ENTRIES).draw(&mut random);
                    if random.next().is_multiple_of(10) { Operation::insert(key) } else { Operation::get(key) }
                }
                Self::Churn => Operation::insert((2 * ENTRIES + first + at) as u32),
            })
            .collect()
    }
}

/// A read or a write of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    key: KeyHash,
    is_insert: bool,
}

impl Operation {
    fn get(number: u32) -> Self {
        Self { key: key(number), is_insert: false }
    }

    fn insert(number: u32) -> Self {
        Self { key: key(number), is_insert: true }
    }

    #[inline]
    pub(crate) const fn key(self) -> KeyHash {
        self.key
    }

    /// Whether the operation is a write.
    #[inline]
    pub(crate) const fn is_insert(self) -> bool {
        self.is_insert
    }
}

/// The key of a number: 128 well-mixed bits.
pub(crate) fn key(number: u32) -> KeyHash {
    let mut random = Random(u64::from(number));
    KeyHash(u128::from(random.next()) << 64 | u128::from(random.next()))
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

struct Zipf {
    /// Share of the draws that fall on a number or a lower one.
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(numbers: usize) -> Self {
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=numbers)
            .map(|rank| {
                sum += (rank as f64).powf(-EXPONENT);
                sum
            })
            .collect();
        cumulative.iter_mut().for_each(|share| *share /= sum);
        Self { cumulative }
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let share = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        self.cumulative.partition_point(|up_to| *up_to < share).min(self.cumulative.len() - 1) as u32
    }
}

fn zipf(numbers: usize) -> &'static Zipf {
    static ONCE: OnceLock<[Zipf; 2]> = OnceLock::new();
    let both = ONCE.get_or_init(|| [Zipf::new(ENTRIES), Zipf::new(2 * ENTRIES)]);
    &both[usize::from(numbers != ENTRIES)]
}
