//! How keys and capacity are divided among the shards.
//!
//! The hash table of a shard doubles when it is full. With equal shares of the keys all shards would double at the same
//! time, and the memory per entry would be at its largest just then. So the last shard has nearly twice the keys of the
//! first, and each shard the same share of the capacity as of the keys.

/// The most shards of a tier: more would not help.
pub(super) const SHARDS_MAX: usize = 64;

/// Number of equal units into which all keys are divided.
const UNITS: usize = 256;

/// How keys and capacity are split among the shards of a tier.
#[derive(Debug)]
pub(super) struct Split {
    /// The shard of each unit.
    shard_of: [u8; UNITS],
}

impl Split {
    /// Divides among so many shards, at least one and at most [`SHARDS_MAX`].
    pub(super) fn new(shards: usize) -> Self {
        // Shares that grow from shard to shard by the same factor, by 2 in total: their ends lie on an exponential.
        let end = |shard: usize| (((shard as f64 / shards as f64).exp2() - 1.0) * UNITS as f64).round() as usize;
        let mut shard_of = [0; UNITS];
        (1..shards).for_each(|shard| shard_of[end(shard)..].fill(shard as u8));
        Self { shard_of }
    }

    /// The shard of a key, by the lowest bits of its hash.
    #[inline]
    pub(super) const fn shard_of(&self, key: u128) -> usize {
        self.shard_of[key as usize % UNITS] as usize
    }

    /// A shard's part of a capacity, rounded down.
    pub(super) fn part(&self, shard: usize, capacity_bytes: u64) -> u64 {
        let units = self.shard_of.iter().filter(|of| usize::from(**of) == shard).count();
        (u128::from(capacity_bytes) * units as u128 / UNITS as u128) as u64
    }
}

/// The largest number of shards, a power of two and at most 64, with which each shard has at least `part` of
/// `capacity`.
///
/// ```
/// # use sandbar_memory::shards_of_at_least;
/// assert_eq!(shards_of_at_least(24, 63), 2);
/// ```
pub fn shards_of_at_least(part: u64, capacity: u64) -> usize {
    let numbers = std::iter::successors(Some(1), |shards| Some(2 * shards)).take_while(|shards| *shards <= SHARDS_MAX);
    numbers.take_while(|shards| *shards == 1 || Split::new(*shards).part(0, capacity) >= part).last().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_the_keys_that_its_part_of_the_capacity_is_for() {
        for shards in 1..=64 {
            let split = Split::new(shards);
            let mut keys = vec![0_u64; shards];
            (0..UNITS as u128).for_each(|key| keys[split.shard_of(key)] += 1);
            let parts: Vec<u64> = (0..shards).map(|shard| split.part(shard, 1 << 40)).collect();
            assert_eq!(parts.iter().sum::<u64>(), 1 << 40);
            assert!(parts.iter().zip(&keys).all(|(part, keys)| *keys > 0 && *part == keys << 32));
            assert!(keys[shards - 1] <= 3 * keys[0], "{keys:?}");
        }
        assert_eq!(Split::new(1).part(0, u64::MAX), u64::MAX);
        let two = Split::new(2);
        assert_eq!([two.part(0, 256), two.part(0, 256) + two.part(1, 256)], [106, 256]);
    }

    #[test]
    fn no_shard_is_smaller_than_it_may_be() {
        for (capacity, shards) in [(0, 1), (57, 1), (58, 2), (127, 2), (128, 4), (267, 4), (268, 8), (u64::MAX, 64)] {
            assert_eq!(shards_of_at_least(24, capacity), shards, "{capacity}");
        }
    }
}
