//! A request that was let through by the breaker, which is told the result whatever becomes of the request.

use std::sync::Arc;

use parking_lot::Mutex;
use sandbar_base::clock::Clock;

use super::breaker::{Admission, Breaker, Reply, Turn};
use crate::holdings::Holder;

/// The breaker of an origin; its changes of state are logged.
#[derive(Clone)]
pub(super) struct Watcher {
    pub(super) tenant: Arc<str>,
    pub(super) breaker: Arc<Mutex<Breaker>>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A request that was let through. If it is dropped without a result, the breaker learns nothing from it, and another
/// request may be the probe that it was.
pub(super) struct Trial<'a> {
    watcher: &'a Watcher,
    from: Holder,
    admission: Option<Admission>,
}

impl Watcher {
    /// Lets a request through, or says after how long it is worth asking again.
    pub(super) fn admit(&self, from: Holder) -> Result<Trial<'_>, std::time::Duration> {
        let admission = self.breaker.lock().admit(from, self.clock.monotonic())?;
        Ok(Trial { watcher: self, from, admission: Some(admission) })
    }

    /// Tells the breaker that the body of a response broke off.
    pub(super) fn broke_off(&self, from: Holder) {
        let turn = self.breaker.lock().broke_off(from, self.clock.monotonic(), fastrand::f64());
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
    pub(super) fn settle(mut self, verdict: Reply) {
        self.end(verdict);
    }

    /// Whether the request is a probe: it decides, alone or with few others, if the origin is asked again.
    pub(super) const fn is_probe(&self) -> bool {
        matches!(self.admission, Some(Admission::Probe(_)))
    }

    /// Stops being a probe, so that another request can be one; this one goes on as an ordinary request.
    pub(super) fn give_back(&mut self) {
        self.end(Reply::Unknown);
        self.admission = Some(Admission::Ordinary);
    }

    fn end(&mut self, verdict: Reply) {
        let Some(admission) = self.admission.take() else { return };
        let now = self.watcher.clock.monotonic();
        let turn = self.watcher.breaker.lock().settle(admission, self.from, verdict, now, fastrand::f64());
        self.watcher.tell(turn);
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        self.end(Reply::Unknown);
    }
}
