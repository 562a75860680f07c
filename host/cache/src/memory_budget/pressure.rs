//! By how much the node shrinks when the machine runs short of memory, and when it grows back. Pure: time and readings are
//! arguments.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::Reading;
use crate::setting::{HOUR, MS, Percent, Span};

/// When a node shrinks and grows back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PressureConfig {
    /// The node shrinks while so many per cent of what the machine or its cgroup allows are used. Default 90.
    pub high_percent: Percent<1>,
    /// The node grows back while no more than so many per cent are used. Default 75.
    pub low_percent: Percent,
    /// How many per cent of their shares of L1 the tenants keep in any case. Default 10.
    pub kept_percent_min: Percent<1>,
    /// How often the memory use is read. Default 1 s.
    pub every: Span<{ 10 * MS }, HOUR>,
}

impl Default for PressureConfig {
    fn default() -> Self {
        Self {
            high_percent: Percent::of(90),
            low_percent: Percent::of(75),
            kept_percent_min: Percent::of(10),
            every: Span::of(Duration::from_secs(1)),
        }
    }
}

impl PressureConfig {
    /// Checks the settings against each other.
    ///
    /// # Errors
    /// Why the settings can't work, in words about `low_percent`.
    pub fn check(&self) -> Result<(), &'static str> {
        match self.low_percent.get() < self.high_percent.get() {
            true => Ok(()),
            false => Err("L1 would grow back while it shrinks"),
        }
    }
}

/// Halfway from `high_percent` to the limit: from here on there is no time to wait for the effect of a step.
fn urgent_percent(config: &PressureConfig) -> f64 {
    f64::from(100 + config.high_percent.get()) / 2.0
}

/// If anything waited for memory for so much of the time, the limit is near, whatever the figures say.
const STALLED_PERCENT: f64 = 10.0;

/// How long it takes until the effect of a step shows.
const STEP_SHOWS_AFTER: Duration = Duration::from_secs(3);
/// How long memory use must have been low before the node grows back.
const CALM_FOR: Duration = Duration::from_secs(30);
/// By how many per cent of their shares the tenants then grow in one step.
const GROWTH_PERCENT: u32 = 10;
/// Time from one of these steps to the next.
const GROWTH_EVERY: Duration = Duration::from_secs(10);

/// How much of their shares of L1 the tenants keep.
#[derive(Debug)]
pub struct Pressure {
    config: PressureConfig,
    kept_percent: u32,
    stepped: Option<Duration>,
    calm_since: Option<Duration>,
}

impl Pressure {
    /// Begins with all of it kept.
    pub const fn new(config: PressureConfig) -> Self {
        Self { config, kept_percent: 100, stepped: None, calm_since: None }
    }

    /// How many per cent of their shares the tenants keep now.
    pub const fn kept_percent(&self) -> u32 {
        self.kept_percent
    }

    /// Takes a reading. Returns how many per cent the tenants keep from now on, if that has changed.
    pub fn step(&mut self, now: Duration, reading: &Reading) -> Option<u32> {
        let used = reading.used_percent();
        let stalls = reading.stalled_percent >= STALLED_PERCENT && used > f64::from(self.config.low_percent.get());
        if used >= f64::from(self.config.high_percent.get()) || stalls {
            self.calm_since = None;
            return self.shrink(now, used >= urgent_percent(&self.config));
        }
        if used > f64::from(self.config.low_percent.get()) {
            self.calm_since = None;
            return None;
        }
        let calm_since = *self.calm_since.get_or_insert(now);
        let is_calm = now.saturating_sub(calm_since) >= CALM_FOR && self.has_passed(now, GROWTH_EVERY);
        (is_calm && self.kept_percent < 100).then(|| self.keep(now, self.kept_percent + GROWTH_PERCENT))
    }

    fn shrink(&mut self, now: Duration, urgent: bool) -> Option<u32> {
        if self.kept_percent <= self.config.kept_percent_min.get()
            || !(urgent || self.has_passed(now, STEP_SHOWS_AFTER))
        {
            return None;
        }
        let part = if urgent { 50 } else { 80 };
        Some(self.keep(now, self.kept_percent * part / 100))
    }

    fn keep(&mut self, now: Duration, percent: u32) -> u32 {
        self.kept_percent = percent.clamp(self.config.kept_percent_min.get(), 100);
        self.stepped = Some(now);
        self.kept_percent
    }

    fn has_passed(&self, now: Duration, time: Duration) -> bool {
        self.stepped.is_none_or(|stepped| now.saturating_sub(stepped) >= time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many per cent are kept after each run of seconds with so many per cent used.
    fn check(pressure: &mut Pressure, from: u64, used: &[(u64, u64)]) -> Vec<u32> {
        let mut second = from;
        let mut kept = Vec::new();
        for (seconds, used_bytes) in used {
            for _ in 0..*seconds {
                let reading = Reading { used_bytes: *used_bytes, limit_bytes: 100, stalled_percent: 0.0 };
                pressure.step(Duration::from_secs(second), &reading);
                second += 1;
            }
            kept.push(pressure.kept_percent());
        }
        kept
    }

    #[test]
    fn it_shrinks_in_steps_that_have_time_to_show() {
        let mut pressure = Pressure::new(PressureConfig::default());
        assert_eq!(check(&mut pressure, 0, &[(10, 89), (1, 90), (2, 91), (1, 92), (10, 89)]), [100, 80, 80, 64, 64]);
    }

    #[test]
    fn near_the_limit_it_halves_at_once_down_to_its_bound() {
        let mut pressure = Pressure::new(PressureConfig::default());
        assert_eq!(check(&mut pressure, 0, &[(1, 95), (1, 99), (1, 99), (1, 99), (1, 99)]), [50, 25, 12, 10, 10]);
    }

    #[test]
    fn it_grows_back_slowly_and_only_after_a_calm_time() {
        let mut pressure = Pressure::new(PressureConfig::default());
        check(&mut pressure, 0, &[(2, 95)]);
        assert_eq!(check(&mut pressure, 2, &[(30, 75), (1, 75), (9, 60), (1, 60)]), [25, 35, 35, 45]);
        assert_eq!(check(&mut pressure, 43, &[(20, 80), (30, 70), (1, 70)]), [45, 45, 55], "80 is not calm");
        assert_eq!(check(&mut pressure, 200, &[(500, 10)]), [100]);
    }

    #[test]
    fn stalls_count_where_memory_is_short() {
        let stalled = |used_bytes| Reading { used_bytes, limit_bytes: 100, stalled_percent: 15.0 };
        let mut pressure = Pressure::new(PressureConfig::default());
        assert_eq!(pressure.step(Duration::ZERO, &stalled(50)), None, "somebody else's");
        assert_eq!(pressure.step(Duration::ZERO, &stalled(80)), Some(80));
    }
}
