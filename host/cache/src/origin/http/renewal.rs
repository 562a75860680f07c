//! When the names that lead to an origin are resolved: before the first request, and again behind a request once the
//! answer is `dns_renew` old. No request waits for that, unless nobody has asked for so long that the answer says
//! little any more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An answer that is so many times older than it should be is no longer used, if there is a newer one.
const STALE_AFTER: u32 = 10;

/// Times on the node's monotonic clock, in milliseconds.
#[derive(Debug)]
pub(super) struct Renewal {
    renew: Duration,
    due_ms: AtomicU64,
    stale_ms: AtomicU64,
}

/// What a request does about the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It uses the last answer.
    Use,
    /// It uses the last answer and has the names resolved behind it. One request in a while is told so.
    Renew,
    /// It waits until the names are resolved.
    Wait,
}

impl Renewal {
    /// Nothing is resolved yet.
    pub(super) const fn new(renew: Duration) -> Self {
        Self { renew, due_ms: AtomicU64::new(0), stale_ms: AtomicU64::new(0) }
    }

    pub(super) fn look(&self, now: Duration) -> Look {
        let now_ms = millis(now);
        if now_ms >= self.stale_ms.load(Ordering::Acquire) {
            return Look::Wait;
        }
        let due_ms = self.due_ms.load(Ordering::Relaxed);
        // Whoever moves the time takes the renewal on; should that come to nothing, another one does when it is due
        // again.
        let next_ms = millis(now + self.renew);
        let takes = now_ms >= due_ms
            && self.due_ms.compare_exchange(due_ms, next_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if takes { Look::Renew } else { Look::Use }
    }

    /// The names were resolved, or could not be: they will be again after `dns_renew`, less a random part of up to a
    /// tenth. `random` is uniform in [0, 1).
    pub(super) fn done(&self, now: Duration, random: f64) {
        let renew = self.renew.mul_f64(1.0 - random / 10.0);
        self.due_ms.store(millis(now + renew), Ordering::Relaxed);
        self.stale_ms.store(millis(now + self.renew * STALE_AFTER), Ordering::Release);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_renews_and_none_waits_but_the_first_and_those_after_a_long_silence() {
        const SECOND: Duration = Duration::from_secs(1);
        let renewal = Renewal::new(10 * SECOND);
        assert_eq!((renewal.look(Duration::ZERO), renewal.look(SECOND)), (Look::Wait, Look::Wait));
        renewal.done(SECOND, 0.0);
        assert_eq!(renewal.look(10 * SECOND), Look::Use);
        assert_eq!(
            [11, 11, 20, 21].map(|at| renewal.look(at * SECOND)),
            [Look::Renew, Look::Use, Look::Use, Look::Renew]
        );
        renewal.done(25 * SECOND, 0.999);
        assert_eq!((renewal.look(33 * SECOND), renewal.look(35 * SECOND)), (Look::Use, Look::Renew));
        assert_eq!(renewal.look(125 * SECOND), Look::Wait);
    }
}
