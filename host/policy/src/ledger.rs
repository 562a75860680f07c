//! The ledger of a binding: counts of calls, faults, clamped answers and log lines, and whether the policy is trusted.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sandbar_base::clock::{Clock, Timestamp};

use super::cpu_share::CpuShare;
use super::fault_report::{FaultReport, LastFaults};
use super::quarantine::{Quarantine, Rules};
use super::{BindingState, Fault, FaultKind, GuestText, Role};

/// Lines that a policy may log in a second, each of at most [`GuestText::BYTES_MAX`] bytes.
const LOG_LINES_PER_SECOND: u64 = 100;

/// The processor time of one call in so many is measured. A power of two.
pub(crate) const SAMPLED_ONE_IN: u32 = 16;

/// The ledger of one binding, for all instances of its policy.
pub(crate) struct Ledger {
    names: Names,
    share: Arc<CpuShare>,
    /// Processor time in nanoseconds that was used before the policy was bound: it is charged to the tenant's share
    /// once the policy is bound, and never where it is not.
    on_trial_ns: AtomicU64,
    is_bound: AtomicBool,
    /// A random number that selects the calls that are measured, so that the guest can't know them.
    sample: u64,
    clock: Arc<dyn Clock>,
    calls: AtomicU64,
    faults: AtomicU64,
    clamped: AtomicU64,
    no_instance: AtomicU64,
    over_share: AtomicU64,
    log_dropped: AtomicU64,
    /// When the policy's quarantine ends, in milliseconds since 1970; 0 where it is in none.
    until_ms: AtomicU64,
    quarantine: Mutex<Quarantine>,
    last_faults: Mutex<LastFaults>,
    lines: Mutex<Lines>,
}

/// The binding that a ledger belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) tenant: Arc<str>,
    pub(crate) policy: Arc<str>,
    pub(crate) role: Role,
}

/// The number of lines that were logged in one second of the monotonic clock.
#[derive(Default)]
struct Lines {
    second: u64,
    count: u64,
}

/// The counts of a ledger at one moment; [`BoundInfo`](crate::BoundInfo) says what each of them means.
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
    pub(crate) fn new(names: Names, rules: Rules, share: Arc<CpuShare>, clock: Arc<dyn Clock>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            names,
            share,
            on_trial_ns: zero(),
            is_bound: AtomicBool::new(false),
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
            last_faults: Mutex::default(),
            lines: Mutex::default(),
        }
    }

    /// The name of the policy.
    pub(crate) fn policy(&self) -> &Arc<str> {
        &self.names.policy
    }

    /// The monotonic clock, which never goes back.
    pub(crate) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Counts a call that begins. Answers whether it is one of those, one in [`SAMPLED_ONE_IN`], that are measured:
    /// reading a thread's processor time costs as much as a short call.
    pub(crate) fn called(&self) -> bool {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        call.wrapping_mul(self.sample) >> (u64::BITS - SAMPLED_ONE_IN.ilog2()) == 0
    }

    /// Charges processor time to the tenant's share; before the policy is bound, to an account of the policy's own.
    pub(crate) fn used(&self, time: Duration) {
        if self.is_bound.load(Ordering::Acquire) {
            self.share.used(time, self.clock.monotonic());
        } else {
            let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            self.on_trial_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// The policy is bound from now on: what it has used until now is charged to its tenant's share.
    pub(crate) fn bound(&self) {
        self.is_bound.store(true, Ordering::Release);
        let used = Duration::from_nanos(self.on_trial_ns.swap(0, Ordering::Relaxed));
        self.share.used(used, self.clock.monotonic());
    }

    /// Counts parts of an answer that were clamped or dropped.
    pub(crate) fn clamped(&self, parts: u64) {
        if parts > 0 {
            self.clamped.fetch_add(parts, Ordering::Relaxed);
        }
    }

    /// Counts a fault, and quarantines the policy where it was one too many. Want of an instance and a share that is
    /// used up are counted apart: they are not the policy's doing.
    pub(crate) fn faulted(&self, fault: &Fault) {
        let (tenant, policy, role) = (&*self.names.tenant, &*self.names.policy, self.names.role.name());
        // The text is logged as a quoted value: what a guest said can't be read as the name of another field.
        let shown = &*fault.to_string();
        if let FaultKind::OverShare = fault.kind {
            self.over_share.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if let FaultKind::NoInstance { .. } = fault.kind {
            if self.no_instance.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!(tenant, policy, role, fault = shown, "the native default answers instead of the policy");
            }
            return;
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        let now = self.clock.now();
        self.last_faults.lock().note(fault, now);
        tracing::warn!(tenant, policy, role, fault = shown, "the native default answers instead of the policy");
        if let Some(until) = self.quarantine.lock().fault(now) {
            self.until_ms.store(until.as_millis(), Ordering::Relaxed);
            tracing::error!(tenant, policy, role, %until, "the policy fails too often and is quarantined");
        }
    }

    /// Whether the policy may be asked: it is trusted, and its tenant's share of the processor is not used up. Where
    /// that is used up, counts the question that is not asked.
    pub(crate) fn may_ask(&self) -> bool {
        let is_over = self.is_over_share();
        if is_over {
            self.over_share.fetch_add(1, Ordering::Relaxed);
        }
        !is_over && self.is_trusted()
    }

    /// Whether the guests of the policy's tenant have used up their share of the processor. Never so before the policy
    /// is bound: a used-up share must not keep out a new policy, which may be the one that uses less.
    pub(crate) fn is_over_share(&self) -> bool {
        self.is_bound.load(Ordering::Acquire) && self.share.is_over(|| self.clock.monotonic())
    }

    /// Whether the policy is not quarantined.
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

    /// The policy's last faults, each that differs once, the last one first.
    pub(crate) fn last_faults(&self) -> Vec<FaultReport> {
        self.last_faults.lock().reports()
    }

    /// Whether the policy is asked at present, as a report shows it.
    pub(crate) fn state(&self) -> BindingState {
        let until = Timestamp::from_millis(self.until_ms.load(Ordering::Relaxed));
        if until > self.clock.now() { BindingState::Quarantined { until } } else { BindingState::Active }
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
        let text = GuestText::new(line);
        if text.is_cut_from(line) {
            self.log_dropped.fetch_add(1, Ordering::Relaxed);
        }
        let (tenant, policy, role) = (&*self.names.tenant, &*self.names.policy, self.names.role.name());
        // The line is logged as a quoted value: it can't be read as the names above. The level of a tracing event is
        // part of its call site.
        let line = &*text;
        match level {
            tracing::Level::ERROR => tracing::error!(target: "guest", tenant, policy, role, line, "a policy says"),
            tracing::Level::WARN => tracing::warn!(target: "guest", tenant, policy, role, line, "a policy says"),
            tracing::Level::INFO => tracing::info!(target: "guest", tenant, policy, role, line, "a policy says"),
            _ => tracing::debug!(target: "guest", tenant, policy, role, line, "a policy says"),
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
    use sandbar_base::clock::ManualClock;

    use super::*;

    fn ledger() -> (Ledger, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000_000)));
        let rules = Rules {
            faults_max: 3,
            window: Duration::from_secs(10),
            first: Duration::from_secs(10),
            longest: Duration::from_secs(600),
        };
        let names = Names { tenant: "t".into(), policy: "p".into(), role: Role::Freshness };
        (Ledger::new(names, rules, Arc::new(CpuShare::new(50)), Arc::clone(&clock) as _), clock)
    }

    #[test]
    fn too_many_faults_cost_the_trust_until_the_quarantine_is_over() {
        let (ledger, clock) = ledger();
        for _ in 0..2 {
            ledger.faulted(&Fault::trap("unreachable"));
        }
        assert!(ledger.is_trusted());
        ledger.faulted(&Fault::trap("unreachable"));
        assert!(!ledger.is_trusted());
        assert_eq!(ledger.state(), BindingState::Quarantined { until: Timestamp::from_millis(1_010_000) });
        clock.advance(Duration::from_secs(10));
        assert!(ledger.is_trusted());
        assert_eq!(ledger.state(), BindingState::Active);
        assert_eq!(ledger.counts().faults, 3);
    }

    #[test]
    fn want_of_an_instance_is_counted_but_is_no_fault() {
        let (ledger, _) = ledger();
        for _ in 0..9 {
            ledger.faulted(&Fault::no_instance("all in use"));
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
        ledger.log(tracing::Level::INFO, &"ä".repeat(GuestText::BYTES_MAX));
        assert_eq!(ledger.counts().log_dropped, 1);
    }

    #[test]
    fn what_is_used_before_the_policy_is_bound_is_charged_when_it_is_and_keeps_nobody_from_it() {
        let (ledger, clock) = ledger();
        ledger.used(Duration::from_secs(100));
        assert!(!ledger.is_over_share(), "nothing is charged yet");
        ledger.bound();
        assert!(ledger.is_over_share());
        clock.advance(Duration::from_secs(200));
        assert!(!ledger.is_over_share(), "at half a core, 100 s are paid in 200");

        let names = Names { tenant: "t".into(), policy: "other".into(), role: Role::Freshness };
        ledger.used(Duration::from_secs(10));
        assert!(ledger.is_over_share());
        let rules = Rules { faults_max: 3, window: Duration::ZERO, first: Duration::ZERO, longest: Duration::ZERO };
        let on_trial = Ledger::new(names, rules, Arc::clone(&ledger.share), Arc::clone(&clock) as _);
        assert!(on_trial.may_ask(), "a share that another policy has used up does not keep this one out");
    }

    #[test]
    fn the_last_faults_are_kept_with_their_times() {
        let (ledger, clock) = ledger();
        ledger.faulted(&Fault::trap("unreachable"));
        clock.advance(Duration::from_secs(1));
        ledger.faulted(&Fault::trap("unreachable"));
        ledger.faulted(&Fault::no_instance("all in use"));
        let [fault] = &*ledger.last_faults() else { panic!("{:?}", ledger.last_faults()) };
        assert_eq!((fault.times, fault.first.as_millis(), fault.last.as_millis()), (2, 1_000_000, 1_001_000));
    }

    /// Runs `test` again in a process of its own and answers with what `log` writes to the log there; in that process
    /// runs `log` and answers with nothing. In one process with other tests, which log from the same call sites without
    /// a subscriber, `tracing` might have noted that nobody listens to these.
    fn logged_alone(test: &str, log: impl FnOnce()) -> Option<String> {
        const ALONE: &str = "SANDBAR_TEST_ALONE";
        if std::env::var_os(ALONE).is_some() {
            let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).finish();
            tracing::subscriber::with_default(lines, log);
            return None;
        }
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", "--nocapture", test]).env(ALONE, "1").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stderr).unwrap())
    }

    #[test]
    fn nothing_that_a_guest_says_begins_a_line_of_the_log_or_another_field() {
        let test = "ledger::tests::nothing_that_a_guest_says_begins_a_line_of_the_log_or_another_field";
        let written = logged_alone(test, || {
            let (ledger, _) = ledger();
            let said = "all is well\r\n2026-11-29 ERROR all is lost\u{1b}[2J tenant=\"other\" x=\"";
            ledger.log(tracing::Level::WARN, said);
            let fault = Fault { said: Some(said.into()), place: Some("a\nb".into()), ..Fault::trap("c\u{7f}") };
            ledger.faulted(&fault);
        });
        let Some(written) = written else { return };
        assert_eq!(written.lines().count(), 2, "{written}");
        assert!(!written.contains(['\r', '\u{1b}', '\u{7f}']), "{written:?}");
        for line in written.lines() {
            assert!(line.contains("tenant=\"t\" policy=\"p\"") && !line.contains("tenant=\"other\""), "{line}");
        }
    }
}
