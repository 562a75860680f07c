//! Random draws that are the same on every machine.

/// SplitMix64: G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators, OOPSLA 2014.
#[derive(Debug)]
pub(super) struct Draw {
    state: u64,
    fresh: u64,
}

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed, fresh: 0 }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number from 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number from 0 to below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        (self.unit() * end as f64) as u64
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Pareto from 1 upwards; the smaller `alpha`, the heavier the tail.
    pub(super) fn pareto(&mut self, alpha: f64) -> f64 {
        (1.0 - self.unit()).powf(-1.0 / alpha)
    }

    /// Exponentially distributed, with this mean.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }

    /// Normally distributed, with a mean of 0 and a deviation of 1 (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        self.exponential(2.0).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A key that no pattern has used.
    pub(super) fn fresh(&mut self) -> u64 {
        self.fresh += 1;
        (1 << 40) + self.fresh
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Ranks from 0 with probability proportional to 1 / (rank + 1)^skew, or to other weights.
#[derive(Debug)]
pub(super) struct Zipf(Vec<f64>);

impl Zipf {
    pub(super) fn new(ranks: usize, skew: f64) -> Self {
        Self::of(&(1..=ranks).map(|rank| (rank as f64).powf(-skew)).collect::<Vec<_>>())
    }

    pub(super) fn of(weights: &[f64]) -> Self {
        let mut sum = 0.0;
        let mut cumulated: Vec<f64> = weights
            .iter()
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        cumulated.iter_mut().for_each(|share| *share /= sum);
        Self(cumulated)
    }

    pub(super) fn draw(&self, draw: &mut Draw) -> usize {
        let at = draw.unit();
        self.0.partition_point(|share| *share <= at).min(self.0.len() - 1)
    }
}
