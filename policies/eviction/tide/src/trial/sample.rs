//! Which keys are in the sample: as large a part of them as it says, drawn by their hashes.

/// A part of all keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// Two shards, or two nodes, should not all draw the same keys.
    pub salt: u64,
    /// A key is in the sample if its salted hash is not above this.
    pub max: u64,
}

impl Sample {
    /// All keys, until the sample is halved.
    pub(super) const fn all(salt: u64) -> Self {
        Self { salt, max: u64::MAX }
    }

    #[inline]
    pub(super) const fn has(self, key_hash: u64) -> bool {
        (key_hash ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15) <= self.max
    }

    pub(super) const fn has_all(self) -> bool {
        self.max == u64::MAX
    }

    pub(super) const fn halve(&mut self) {
        self.max /= 2;
    }

    pub(super) const fn double(&mut self) {
        self.max = self.max.saturating_mul(2).saturating_add(1);
    }

    /// The part of all hashes that it has.
    pub(super) fn share(self) -> f64 {
        self.max as f64 / u64::MAX as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_half_of_the_keys_and_of_what_it_was_the_half_of() {
        let mut sample = Sample::all(7);
        let mut before = sample;
        for halvings in 1..5 {
            sample.halve();
            let kept: Vec<u64> = (0..100_000).filter(|key| sample.has(*key)).collect();
            assert!(kept.iter().all(|key| before.has(*key)));
            assert!((kept.len() as f64 / 100_000.0 / sample.share() - 1.0).abs() < 0.02, "{halvings}");
            let mut doubled = sample;
            doubled.double();
            assert_eq!((doubled.max, doubled.has_all()), (before.max, halvings == 1));
            before = sample;
        }
        let other = Sample { salt: 8, ..sample };
        assert!((0..1_000).any(|key| sample.has(key) != other.has(key)));
    }
}
