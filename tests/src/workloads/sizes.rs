//! The sizes of the responses.

use std::collections::HashMap;

use super::Request;
use super::draw::Draw;

/// Sizes of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizes {
    /// Whole blocks: 4 to 64 KiB.
    Blocks,
    /// Heavy-tailed from 200 bytes to 20 MB, whatever the popularity.
    Tailed,
    /// Heavy-tailed, and the more popular the smaller.
    PopularSmall,
    /// Heavy-tailed, and the more popular the larger.
    PopularLarge,
    /// Pages of some kilobytes, and one in ten a film of a megabyte.
    TwoKinds,
    /// Log-normal: 12 KiB at the median, a factor of 4.5 about it.
    LogNormal,
    /// As a content delivery network has them: thumbnails, pages and scripts, pictures, and few films of up to a
    /// gigabyte.
    Delivered,
}

impl Sizes {
    pub(super) fn give(self, keys: Vec<u64>) -> Vec<Request> {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        keys.iter().for_each(|key| *counts.entry(*key).or_default() += 1);
        keys.into_iter().map(|key| (key, self.of(key, counts[&key]))).collect()
    }

    fn of(self, key: u64, reads: u32) -> u64 {
        let mut draw = Draw::new(key.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let tailed = (200.0 * draw.pareto(0.9)).min(2e7);
        let popularity = f64::from(reads).sqrt();
        let size = match self {
            Self::Blocks => 4096.0 * (draw.below(5) as f64).exp2(),
            Self::Tailed => tailed,
            Self::PopularSmall => tailed * 4.0 / popularity,
            Self::PopularLarge => tailed * popularity / 2.0,
            Self::TwoKinds if draw.chance(0.1) => 1e6 * (0.5 + draw.unit()),
            Self::TwoKinds => 8e3 * (0.5 + draw.unit()),
            Self::LogNormal => 12_288.0 * (1.5 * draw.normal()).exp(),
            Self::Delivered => match draw.below(100) {
                0..40 => 3e3 * (0.5 * draw.normal()).exp(),
                40..75 => 25e3 * draw.normal().exp(),
                75..98 => 150e3 * (0.8 * draw.normal()).exp(),
                _ => (2e6 * draw.pareto(0.8)).min(1e9),
            },
        };
        (size as u64).max(1)
    }
}
