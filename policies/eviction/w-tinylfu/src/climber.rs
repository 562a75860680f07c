//! Hill climbing: keep changing the window in the same direction while the hit ratio gets better.

use sandbar_guest::eviction::knowledge::{Reader, Writer};

/// Finds the window's share.
#[derive(Debug)]
pub(crate) struct Climber {
    share: f64,
    step: f64,
    hits: u64,
    requests: u64,
    last_hit_ratio: f64,
}

/// Requests per entry after which the share is changed.
const SAMPLE_FACTOR: u64 = 10;
const STEP: f64 = 0.0625;
/// Steps get smaller, so that the climb ends ...
const STEP_DECAY: f64 = 0.98;
/// ... and begin anew when the hit ratio changes by this much, because the workload did.
const RESTART: f64 = 0.05;
const SHARE_MAX: f64 = 0.8;

impl Climber {
    pub(crate) fn new(share: f64) -> Self {
        Self { share, step: STEP, hits: 0, requests: 0, last_hit_ratio: 0.0 }
    }

    /// The window's share now.
    pub(crate) fn share(&self) -> f64 {
        self.share
    }

    /// Writes the climber for a policy that takes over.
    pub(crate) fn write(&self, own: &mut Writer) {
        [self.share, self.step, self.last_hit_ratio].into_iter().for_each(|float| own.float(float));
        [self.hits, self.requests].into_iter().for_each(|count| own.number(count));
    }

    /// Reads a climber that was written; none where it can't be one.
    pub(crate) fn read(own: &mut Reader<'_>) -> Option<Self> {
        let (share, step, last_hit_ratio) = (own.float()?, own.float()?, own.float()?);
        let (hits, requests) = (own.short()?.into(), own.short()?.into());
        let (share, step) = (share.clamp(0.0, SHARE_MAX), step.clamp(-STEP, STEP));
        Some(Self { share, step, hits, requests, last_hit_ratio: last_hit_ratio.clamp(0.0, 1.0) })
    }

    /// Counts a request; answers with the window's new share where it is to change.
    pub(crate) fn note(&mut self, is_hit: bool, entries: u64) -> Option<f64> {
        self.requests += 1;
        self.hits += u64::from(is_hit);
        if self.requests < SAMPLE_FACTOR * entries.max(100) {
            return None;
        }
        let hit_ratio = self.hits as f64 / self.requests as f64;
        let change = hit_ratio - self.last_hit_ratio;
        let direction = if change >= 0.0 { self.step.signum() } else { -self.step.signum() };
        let size = if change.abs() >= RESTART { STEP } else { self.step.abs() * STEP_DECAY };
        (self.step, self.last_hit_ratio, self.hits, self.requests) = (direction * size, hit_ratio, 0, 0);
        self.share = (self.share + self.step).clamp(0.0, SHARE_MAX);
        Some(self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_the_top_and_stays_near_it() {
        let mut climber = Climber::new(0.01);
        let mut share = 0.01;
        for request in 0..400_000u64 {
            let hit_ratio = 0.7 - (share - 0.4f64).abs();
            let is_hit = request.wrapping_mul(0x9e37_79b9_7f4a_7c15) as f64 / u64::MAX as f64 <= hit_ratio;
            share = climber.note(is_hit, 100).unwrap_or(share);
        }
        assert!((share - 0.4).abs() < 0.1, "{share}");
    }
}
