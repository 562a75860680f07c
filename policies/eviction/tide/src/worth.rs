//! What an entry is worth per byte, as a level from 0 (most) upwards.

use sandbar_guest::eviction::knowledge::{Reader, Writer};

use crate::constants::{cost_octaves_max, first_octave, learn, level_octaves};
use crate::pools::LEVELS;

/// Knows what a fetch usually costs.
#[derive(Debug)]
pub(crate) struct Worth {
    by_cost: bool,
    /// Mean of the binary logarithms of costs; none before the first one.
    usual_octaves: Option<f32>,
}

impl Worth {
    pub(crate) fn new(by_cost: bool) -> Self {
        Self { by_cost, usual_octaves: None }
    }

    /// Writes it down for a policy that takes over.
    pub(crate) fn write(&self, own: &mut Writer) {
        own.byte(self.usual_octaves.is_some().into());
        own.float(f64::from(self.usual_octaves.unwrap_or(0.0)));
    }

    /// Reads it again.
    pub(crate) fn read(by_cost: bool, own: &mut Reader<'_>) -> Option<Self> {
        let (is_known, octaves) = (own.byte()? != 0, own.float()? as f32);
        Some(Self { by_cost, usual_octaves: (is_known && by_cost).then(|| octaves.clamp(0.0, 64.0)) })
    }

    /// The level of an entry; a cost of 0 is an unknown one, and taken to be usual.
    pub(crate) fn level(&mut self, weight_bytes: u64, fetch_cost_us: u64) -> u8 {
        let octaves = (weight_bytes.max(1) as f32).log2() - self.cost_octaves(fetch_cost_us) - first_octave();
        // As a cast saturates, what is out of range is at the end of it.
        ((octaves / level_octaves()) as u8).min(LEVELS - 1)
    }

    /// Whether any cost is known.
    pub(crate) fn has_cost(&self) -> bool {
        self.usual_octaves.is_some()
    }

    fn cost_octaves(&mut self, fetch_cost_us: u64) -> f32 {
        if !self.by_cost || fetch_cost_us == 0 {
            return 0.0;
        }
        let octaves = (fetch_cost_us as f32).log2();
        let usual = self.usual_octaves.get_or_insert(octaves);
        *usual += (octaves - *usual) * learn();
        (octaves - *usual).clamp(-cost_octaves_max(), cost_octaves_max())
    }
}

/// What the fetch of an entry costs, in proportion to a usual one, as its weight and level say.
pub(crate) fn cost_factor(weight_bytes: u64, level: u8) -> f32 {
    let octaves = (weight_bytes.max(1) as f32).log2() - first_octave() - level_octaves() * f32::from(level);
    octaves.clamp(-cost_octaves_max(), cost_octaves_max()).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_dear_entries_have_low_levels() {
        let mut worth = Worth::new(true);
        assert_eq!(worth.level(1, 0), 0);
        let usual = worth.level(10_000, 500);
        assert!(worth.level(1_000, 500) < usual && worth.level(100_000, 500) > usual);
        assert!(worth.level(10_000, 5_000) < usual && worth.level(10_000, 50) > usual);
        assert_eq!(worth.level(10_000, 0), usual, "unknown");
        assert_eq!(worth.level(u64::MAX, 1), LEVELS - 1);
        let mut blind = Worth::new(false);
        assert_eq!(blind.level(10_000, 1), blind.level(10_000, 1_000_000));
    }
}
