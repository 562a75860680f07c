//! The share of a processor core that a tenant's guests may use: a tenant with a slow policy slows down only itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Processor time that the guests may use at once, whatever their share.
const BURST: Duration = Duration::from_secs(1);

/// One tenant's share. Processor time that was used is a debt, which is paid off at the rate of the share. Guests of a
/// tenant that owes more than a burst are not asked until the debt is paid.
#[derive(Debug)]
pub(crate) struct CpuShare {
    /// The share in per cent of a core; 0 for no limit.
    percent: u32,
    /// When the debt will be paid, on the monotonic clock.
    paid_ns: AtomicU64,
    /// When the tenant's guests are asked again, on the monotonic clock.
    over_until_ns: AtomicU64,
}

impl CpuShare {
    pub(crate) const fn new(percent: u32) -> Self {
        Self { percent, paid_ns: AtomicU64::new(0), over_until_ns: AtomicU64::new(0) }
    }

    /// Adds processor time that guests of the tenant have used.
    pub(crate) fn used(&self, time: Duration, now: Duration) {
        if self.percent == 0 {
            return;
        }
        let (used_ns, now_ns) = (self.wall_ns(time), ns(now));
        let pay = |paid_ns: u64| Some(paid_ns.max(now_ns).saturating_add(used_ns));
        let before = self.paid_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).unwrap_or_default();
        let paid_ns = before.max(now_ns).saturating_add(used_ns);
        if paid_ns - now_ns > self.wall_ns(BURST) {
            self.over_until_ns.fetch_max(paid_ns, Ordering::Relaxed);
        }
    }

    /// Whether the share is used up.
    pub(crate) fn is_over(&self, now: impl FnOnce() -> Duration) -> bool {
        // The clock is read only where the share was used up at least once.
        let until_ns = self.over_until_ns.load(Ordering::Relaxed);
        until_ns != 0 && ns(now()) < until_ns
    }

    /// The wall time, in nanoseconds, in which the tenant may use this much processor time.
    fn wall_ns(&self, time: Duration) -> u64 {
        ns(time).saturating_mul(100) / u64::from(self.percent.max(1))
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_burst_is_free_and_what_exceeds_it_is_paid_off_at_the_rate_of_the_share() {
        let share = CpuShare::new(25);
        share.used(secs(1), secs(100));
        assert!(!share.is_over(|| secs(100)));
        share.used(Duration::from_millis(1), secs(100));
        assert!(share.is_over(|| secs(100)));
        assert!(share.is_over(|| secs(104)));
        assert!(!share.is_over(|| secs(105)));
    }

    #[test]
    fn who_stays_below_it_is_never_stopped() {
        let share = CpuShare::new(50);
        for second in 0..1_000 {
            share.used(Duration::from_millis(499), secs(second));
            assert!(!share.is_over(|| secs(second)));
        }
    }

    #[test]
    fn without_a_limit_nothing_stops_anyone() {
        let share = CpuShare::new(0);
        share.used(secs(1_000_000), secs(1));
        assert!(!share.is_over(|| secs(1)));
    }
}
