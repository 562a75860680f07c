//! Numbers that look random and are the same in every run: the demo's load and its objects' bytes come from a seed.

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number drawn evenly from [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number drawn from the normal distribution with mean 0 and deviation 1 (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A number drawn from the exponential distribution with this mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

/// A hash of one word.
pub(super) const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_have_the_moments_they_should() {
        let mut random = Random::seeded(7);
        let draws = 200_000;
        let (mut sum, mut squares, mut waits, mut units) = (0.0, 0.0, 0.0, 0.0);
        for _ in 0..draws {
            let normal = random.normal();
            sum += normal;
            squares += normal * normal;
            waits += random.exponential(3.0);
            units += random.unit();
        }
        let n = f64::from(draws);
        assert!((sum / n).abs() < 0.01, "mean of normal: {}", sum / n);
        assert!((squares / n - 1.0).abs() < 0.02, "variance of normal: {}", squares / n);
        assert!((waits / n - 3.0).abs() < 0.05, "mean of exponential: {}", waits / n);
        assert!((units / n - 0.5).abs() < 0.01, "mean of unit: {}", units / n);
    }
}
