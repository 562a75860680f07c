//! What is counted of a binding: calls, faults, what was clamped, what it logged; and whether it is still trusted.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::quarantine::{Quarantine, Rules};
use super::share::Share;
use super::{Fault, Role, State};
use crate::clock::{Clock, Timestamp};

/// The host keeps at most so many bytes of a log line.
const LOG_LINE_BYTES_MAX: usize = 1_024;
/// And at most so many lines a second.
const LOG_LINES_PER_SECOND: u64 = 100;

/// One call in so many is measured. A power of two.
pub(crate) const SAMPLED_ONE_IN: u32 = 16;

/// The ledger of one binding. All instances of it write here.
pub(crate) struct Ledger {
    names: Names,
    share: Arc<Share>,
    /// Which calls are measured; unknown to the guest.
    sample: u64,
    clock: Arc<dyn Clock>,
    calls: AtomicU64,
    faults: AtomicU64,
    clamped: AtomicU64,
    no_instance: AtomicU64,
    over_share: AtomicU64,
    log_dropped: AtomicU64,
    /// When it is trusted again, in milliseconds since 1970; 0 where it is trusted.
    until_ms: AtomicU64,
    quarantine: Mutex<Quarantine>,
    lines: Mutex<Lines>,
}

/// Whose ledger it is.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) tenant: Arc<str>,
    pub(crate) policy: Arc<str>,
    pub(crate) role: Role,
}

/// Lines that were logged in a second.
#[derive(Default)]
struct Lines {
    second: u64,
    count: u64,
}

/// The numbers of a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    pub(crate) clamped: u64,
    pub(crate) no_instance: u64,
    pub(crate) over_share: u64,
    pub(crate) log_dropped: u64,
}

impl Ledger {
    pub(crate) fn new(names: Names, rules: Rules, share: Arc<Share>, clock: Arc<dyn Clock>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            names,
            share,
            sample: RandomState::new().hash_one(0) | 1,
            clock,
            calls: zero(),
            faults: zero(),
            clamped: zero(),
            no_instance: zero(),
            over_share: zero(),
            log_dropped: zero(),
            until_ms: zero(),
            quarantine: Mutex::new(Quarantine::new(rules)),
            lines: Mutex::default(),
        }
    }

    /// The name of the policy.
    pub(crate) fn policy(&self) -> &Arc<str> {
        &self.names.policy
    }

    /// A clock that never goes back.
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Counts a call that begins. Answers whether it is one of those, one in [`SAMPLED_ONE_IN`], that are measured:
    /// reading a thread's processor time costs as much as a short call.
    pub(crate) fn called(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        call.wrapping_mul(self.sample) >> (u64::BITS - SAMPLED_ONE_IN.ilog2()) == 0
    }

    /// Charges the tenant's share of the processor.
    pub(crate) fn used(&self, time: Duration) {
        self.share.used(time, self.clock.monotonic());
    }

    /// Counts what had to be clamped.
    pub(crate) fn clamped(&self, parts: u64) {
        if parts > 0 {
            self.clamped.fetch_add(parts, Ordering::Relaxed);
        }
    }

    /// Counts a fault, and puts the policy into quarantine where it was one too many. That no instance was to be had is
    /// not the policy's fault.
    pub(crate) fn faulted(&self, fault: &Fault) {
        let (tenant, policy, role) = (&*self.names.tenant, &*self.names.policy, self.names.role.name());
        if let Fault::OverShare = fault {
            self.over_share.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let Fault::NoInstance(_) = fault {
            if self.no_instance.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!(tenant, policy, role, %fault, "the native default answers instead of the policy");
            }
            return;
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(tenant, policy, role, %fault, "the native default answers instead of the policy");
        if let Some(until) = self.quarantine.lock().fault(self.clock.now()) {
            self.until_ms.store(until.as_millis(), Ordering::Relaxed);
            tracing::error!(tenant, policy, role, %until, "the policy fails too often and is quarantined");
        }
    }

    /// Whether the policy may be asked: it is trusted and its tenant has some of its share left. Counts where that is
    /// used up.
    pub(crate) fn may_ask(&self) -> bool {
        let is_over = self.is_over_share();
        if is_over {
            self.over_share.fetch_add(1, Ordering::Relaxed);
        }
        !is_over && self.is_trusted()
    }

    /// Whether its tenant's guests have used up their share of the processor.
    pub(crate) fn is_over_share(&self) -> bool {
        self.share.is_over(|| self.clock.monotonic())
    }

    /// Whether the policy has not failed too often.
    pub(crate) fn is_trusted(&self) -> bool {
        match self.until_ms.load(Ordering::Relaxed) {
            0 => true,
            until_ms if self.clock.now().as_millis() < until_ms => false,
            until_ms => {
                // Only the quarantine that was read is lifted: another one may have begun.
                let _ = self.until_ms.compare_exchange(until_ms, 0, Ordering::Relaxed, Ordering::Relaxed);
                true
            }
        }
    }

    /// Whether it is asked, as shown.
    pub(crate) fn state(&self) -> State {
        let until = Timestamp::from_millis(self.until_ms.load(Ordering::Relaxed));
        if until > self.clock.now() { State::Quarantined { until } } else { State::Active }
    }

    pub(crate) fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            calls: read(&self.calls),
            faults: read(&self.faults),
            clamped: read(&self.clamped),
            no_instance: read(&self.no_instance),
            over_share: read(&self.over_share),
            log_dropped: read(&self.log_dropped),
        }
    }

    /// Writes a guest's line under the tenant's and the policy's name.
    pub(crate) fn log(&self, level: tracing::Level, line: &str) {
        if !self.may_log() {
            self.log_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let kept = &line[..line.floor_char_boundary(LOG_LINE_BYTES_MAX)];
        if kept.len() < line.len() {
            self.log_dropped.fetch_add(1, Ordering::Relaxed);
        }
        let (tenant, policy, role) = (&*self.names.tenant, &*self.names.policy, self.names.role.name());
        // The level of a tracing event is part of its call site.
        match level {
            tracing::Level::ERROR => tracing::error!(target: "guest", tenant, policy, role, "{kept}"),
            tracing::Level::WARN => tracing::warn!(target: "guest", tenant, policy, role, "{kept}"),
            tracing::Level::INFO => tracing::info!(target: "guest", tenant, policy, role, "{kept}"),
            _ => tracing::debug!(target: "guest", tenant, policy, role, "{kept}"),
        }
    }

    fn may_log(&self) -> bool {
        let second = self.clock.monotonic().as_secs();
        let mut lines = self.lines.lock();
        if lines.second != second {
            *lines = Lines { second, count: 0 };
        }
        lines.count += 1;
        lines.count <= LOG_LINES_PER_SECOND
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("policy", &self.names.policy)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn ledger() -> (Ledger, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000_000)));
        let rules = Rules {
            faults_max: 3,
            window: Duration::from_secs(10),
            first: Duration::from_secs(10),
            longest: Duration::from_secs(600),
        };
        let names = Names { tenant: "t".into(), policy: "p".into(), role: Role::Freshness };
        (Ledger::new(names, rules, Arc::new(Share::new(50)), Arc::clone(&clock) as _), clock)
    }

    #[test]
    fn too_many_faults_cost_the_trust_until_the_quarantine_is_over() {
        let (ledger, clock) = ledger();
        for _ in 0..2 {
            ledger.faulted(&Fault::Trap("unreachable".to_owned()));
        }
        assert!(ledger.is_trusted());
        ledger.faulted(&Fault::Trap("unreachable".to_owned()));
        assert!(!ledger.is_trusted());
        assert_eq!(ledger.state(), State::Quarantined { until: Timestamp::from_millis(1_010_000) });
        clock.advance(Duration::from_secs(10));
        assert!(ledger.is_trusted());
        assert_eq!(ledger.state(), State::Active);
        assert_eq!(ledger.counts().faults, 3);
    }

    #[test]
    fn want_of_an_instance_is_counted_but_is_no_fault() {
        let (ledger, _) = ledger();
        for _ in 0..9 {
            ledger.faulted(&Fault::NoInstance("all in use".to_owned()));
        }
        assert!(ledger.is_trusted());
        assert_eq!((ledger.counts().faults, ledger.counts().no_instance), (0, 9));
    }

    #[test]
    fn lines_past_a_hundred_in_a_second_are_dropped_and_counted() {
        let (ledger, clock) = ledger();
        for _ in 0..150 {
            ledger.log(tracing::Level::INFO, "again");
        }
        assert_eq!(ledger.counts().log_dropped, 50);
        clock.advance(Duration::from_secs(1));
        ledger.log(tracing::Level::INFO, "again");
        assert_eq!(ledger.counts().log_dropped, 50);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let (ledger, _) = ledger();
        ledger.log(tracing::Level::INFO, &"ä".repeat(LOG_LINE_BYTES_MAX));
        assert_eq!(ledger.counts().log_dropped, 1);
    }
}
