//! How long somebody waits for a fetch or a load, by the settings of the tenant.
//!
//! Past the **soft** deadline something stale is given, if that is allowed; the fetch goes on behind it. Past the deadline of
//! **waiters** one of them starts another fetch, which the others join. Past the **hard** deadline there is nothing to wait for.

use std::time::Duration;

use sandbar_base::clock::{Clock, Elapsed, timeout};

use super::fetch::{Abandoned, Waiter};
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// The result of waiting.
pub(crate) enum Awaited<T, S> {
    /// The fetch has an outcome, or was abandoned.
    Outcome(Result<T, Abandoned>),
    /// This is given meanwhile.
    Stale(S),
    /// The waiters' deadline has passed: one of them has to start another fetch.
    InVain,
    /// The hard deadline has passed.
    Overdue,
}

/// Waits for a fetch, at most `until` (on the monotonic clock); `stale` is asked past the soft deadline. Whoever `leads` the
/// fetch has nobody to relieve.
pub(crate) async fn awaited<T: Clone, S>(
    clock: &dyn Clock,
    tenant: &Tenant,
    (leads, until): (bool, Duration),
    waiter: &mut Waiter<T>,
    stale: impl FnOnce() -> Option<S>,
) -> Awaited<T, S> {
    let settings = &tenant.settings;
    let began = clock.monotonic();
    let hard = until.saturating_sub(began);
    let last = if leads { hard } else { hard.min(settings.waiter_deadline) };
    let soft = settings.fetch_soft_deadline.min(last);
    if let Ok(outcome) = timeout(clock, soft, waiter.outcome()).await {
        return Awaited::Outcome(outcome);
    }
    if let Some(stale) = stale() {
        return Awaited::Stale(stale);
    }
    let spent = clock.monotonic().saturating_sub(began);
    match timeout(clock, last.saturating_sub(spent), waiter.outcome()).await {
        Ok(outcome) => Awaited::Outcome(outcome),
        Err(Elapsed) if clock.monotonic() < until => {
            count(&tenant.counters.waiters_overdue);
            Awaited::InVain
        }
        Err(Elapsed) => Awaited::Overdue,
    }
}
