//! A limit of requests under way that follows the origin: it rises while responses come as fast as they do from an idle
//! origin, and falls as soon as they take longer, because then they wait inside the origin instead of in front of it.
//!
//! The gradient controller of Envoy's adaptive concurrency filter, in short: now and then the limit is lowered and the
//! latency of so few requests is measured; between that, the limit is multiplied by that latency, with a tolerance, over
//! the present one, and raised by its square root, to try for more. Pure: time is an argument.

use std::time::Duration;

/// A latency up to this many times that of an idle origin is not yet a sign of a queue.
const TOLERANCE: f64 = 1.25;
/// How many responses the latency of an idle origin is measured by.
const MEASURED: u32 = 50;
/// How often that latency is measured.
const MEASURED_EVERY: Duration = Duration::from_secs(60);
/// Weight of one response in the present latency.
const RECENT_WEIGHT: f64 = 1.0 / 20.0;
/// Part of the way to a new limit by which one response moves the limit.
const STEP: f64 = 0.1;

#[derive(Debug)]
pub(super) struct Adaptive {
    limit: f64,
    min: f64,
    max: f64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Few requests are let through, to measure the latency of an idle origin. Those that were under way before
    /// (`stragglers`) don't count.
    Measuring {
        stragglers: usize,
        measured: u32,
        sum_secs: f64,
    },
    Following {
        idle_secs: f64,
        recent_secs: f64,
        until: Duration,
    },
}

impl Adaptive {
    /// Begins by measuring; the limit then starts from the geometric mean of the bounds.
    pub(super) fn new(min: usize, max: usize) -> Self {
        let (min, max) = (min as f64, max as f64);
        Self { limit: (min * max).sqrt(), min, max, phase: Phase::measuring(0) }
    }

    /// Requests that may be under way now.
    pub(super) fn limit(&self) -> usize {
        let limit = if matches!(self.phase, Phase::Measuring { .. }) { self.min } else { self.limit };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between min and max")]
        let limit = limit.round() as usize;
        limit.max(1)
    }

    /// Notes that a response began after `latency`, while `running` requests were under way.
    pub(super) fn answered(&mut self, latency: Duration, running: usize, now: Duration) {
        let secs = latency.as_secs_f64().max(1e-6);
        match &mut self.phase {
            Phase::Measuring { stragglers, .. } if *stragglers > 0 => *stragglers -= 1,
            Phase::Measuring { measured, sum_secs, .. } => {
                *measured += 1;
                *sum_secs += secs;
                if *measured == MEASURED {
                    let idle_secs = *sum_secs / f64::from(MEASURED);
                    let until = now + MEASURED_EVERY;
                    self.phase = Phase::Following { idle_secs, recent_secs: idle_secs, until };
                }
            }
            Phase::Following { until, .. } if now >= *until => self.phase = Phase::measuring(running),
            Phase::Following { idle_secs, recent_secs, .. } => {
                *recent_secs += (secs - *recent_secs) * RECENT_WEIGHT;
                let gradient = (TOLERANCE * *idle_secs / *recent_secs).clamp(0.5, 1.0);
                // A limit that is not used says nothing about a higher one.
                if gradient < 1.0 || running as f64 * 2.0 >= self.limit {
                    self.move_to(self.limit * gradient + self.limit.sqrt());
                }
            }
        }
    }

    /// Notes that a request missed a deadline, or that the origin said that it is overloaded.
    pub(super) fn overloaded(&mut self) {
        self.move_to(self.limit / 2.0);
    }

    fn move_to(&mut self, limit: f64) {
        self.limit = (self.limit + (limit - self.limit) * STEP).clamp(self.min, self.max);
    }
}

impl Phase {
    const fn measuring(stragglers: usize) -> Self {
        Self::Measuring { stragglers, measured: 0, sum_secs: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit in front of an origin that works on `workers` requests at once, 10 ms each, and has the others wait
    /// inside it.
    fn settled(adaptive: &mut Adaptive, workers: f64, minutes: u32) -> usize {
        for second in 0..minutes * 60 {
            for _ in 0..200 {
                let running = adaptive.limit();
                let waits = (running as f64 / workers).max(1.0);
                adaptive.answered(
                    Duration::from_millis(10).mul_f64(waits),
                    running,
                    Duration::from_secs(second.into()),
                );
            }
        }
        adaptive.limit()
    }

    #[test]
    fn the_limit_settles_near_what_the_origin_can_do_and_stays_there() {
        let mut adaptive = Adaptive::new(4, 1000);
        for minutes in [1, 10] {
            let limit = settled(&mut adaptive, 20.0, minutes);
            assert!((20..=40).contains(&limit), "{limit} for an origin that works on 20, after {minutes} minutes");
        }
        let limit = settled(&mut adaptive, 200.0, 3);
        assert!((200..=300).contains(&limit), "{limit} when it has grown to 200");
        assert_eq!(settled(&mut Adaptive::new(4, 1000), 1e9, 1), 1000, "one that never slows down gets all");
    }

    #[test]
    fn a_limit_that_is_not_used_does_not_rise() {
        let mut adaptive = Adaptive::new(4, 1000);
        (0..1000).for_each(|_| adaptive.answered(Duration::from_millis(5), 1, Duration::ZERO));
        assert_eq!(adaptive.limit(), 63, "the middle: the root of 4 times 1000");
    }

    #[test]
    fn deadlines_bring_it_down_to_its_bound() {
        let mut adaptive = Adaptive::new(4, 1000);
        (0..50).for_each(|_| adaptive.answered(Duration::from_millis(5), 1, Duration::ZERO));
        (0..200).for_each(|_| adaptive.overloaded());
        assert_eq!(adaptive.limit(), 4);
    }
}
