//! A request on trial: whatever becomes of it, the breaker hears.

use std::sync::Arc;

use parking_lot::Mutex;

use super::breaker::{Admission, Breaker, Turn, Verdict};
use crate::clock::Clock;

/// The breaker of an origin, and who to tell of its turns.
#[derive(Clone)]
pub(super) struct Watcher {
    pub(super) tenant: Arc<str>,
    pub(super) breaker: Arc<Mutex<Breaker>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A request that was let through. Dropped without a verdict it says nothing, and a probe may be tried again.
pub(super) struct Trial<'a> {
    watcher: &'a Watcher,
    admission: Option<Admission>,
}

impl Watcher {
    /// Lets a request through, or says when it is worth asking again.
    pub(super) fn admit(&self) -> Result<Trial<'_>, std::time::Duration> {
        let admission = self.breaker.lock().admit(self.clock.monotonic())?;
        Ok(Trial { watcher: self, admission: Some(admission) })
    }

    /// The body of a response broke off.
    pub(super) fn broke_off(&self) {
        let turn = self.breaker.lock().broke_off(self.clock.monotonic(), fastrand::f64());
        self.tell(turn);
    }

    fn tell(&self, turn: Option<Turn>) {
        let tenant = &*self.tenant;
        match turn {
            Some(Turn::Opened { failed, of, pause }) => {
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(tenant, failed, of, pause_ms, "the origin fails: it is left alone for a while");
            }
            Some(Turn::Closed) => tracing::info!(tenant, "the origin answers again"),
            None => {}
        }
    }
}

impl Trial<'_> {
    pub(super) fn settle(mut self, verdict: Verdict) {
        self.end(verdict);
    }

    fn end(&mut self, verdict: Verdict) {
        let Some(admission) = self.admission.take() else { return };
        let now = self.watcher.clock.monotonic();
        let turn = self.watcher.breaker.lock().settle(admission, verdict, now, fastrand::f64());
        self.watcher.tell(turn);
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.end(Verdict::Unknown);
    }
}
