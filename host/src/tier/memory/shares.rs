//! Which shard has which keys, and how much of the capacity.
//!
//! The hash table of a shard doubles when it is full. If all shards had the same share of the keys they would all do so at once,
//! and an entry would take the most it can just then. So the last shard has nearly twice the keys of the first, and the same
//! share of the capacity.

/// All keys, in units.
const UNITS: usize = 256;

/// The shares of a tier's shards.
#[derive(Debug)]
pub(super) struct Shares {
    /// The shard of each unit.
    shard_of: [u8; UNITS],
    /// The unit behind each shard's last one.
    ends: Vec<usize>,
}

impl Shares {
    /// Of so many shards, at least one and at most 64.
    pub(super) fn new(shards: usize) -> Self {
        // Shares that grow by the same factor, and together by 2, end where an exponential does.
        let end = |shard: usize| ((shard as f64 / shards as f64).exp2() - 1.0) * UNITS as f64;
        let ends: Vec<usize> = (1..=shards).map(|shard| end(shard).round() as usize).collect();
        let shard_of = std::array::from_fn(|unit| ends.partition_point(|end| *end <= unit) as u8);
        Self { shard_of, ends }
    }

    /// The shard of a key, by the lowest bits of its hash.
    #[inline]
    pub(super) const fn shard_of(&self, key: u128) -> usize {
        self.shard_of[key as usize % UNITS] as usize
    }

    /// A shard's part of a capacity, rounded down.
    pub(super) fn part(&self, shard: usize, capacity_bytes: u64) -> u64 {
        let begin = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        let units = self.ends[shard] - begin;
        (u128::from(capacity_bytes) * units as u128 / UNITS as u128) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_the_keys_that_its_part_of_the_capacity_is_for() {
        for shards in 1..=64 {
            let shares = Shares::new(shards);
            let mut keys = vec![0_u64; shards];
            (0..UNITS as u128).for_each(|key| keys[shares.shard_of(key)] += 1);
            let parts: Vec<u64> = (0..shards).map(|shard| shares.part(shard, 1 << 40)).collect();
            assert_eq!(parts.iter().sum::<u64>(), 1 << 40);
            assert!(parts.iter().zip(&keys).all(|(part, keys)| *keys > 0 && *part == keys << 32));
            assert!(keys[shards - 1] <= 3 * keys[0], "{keys:?}");
        }
        assert_eq!(Shares::new(1).part(0, u64::MAX), u64::MAX);
        assert_eq!(Shares::new(2).ends, [106, 256]);
    }
}
