//! What the results of requests do to the addresses of an origin.

use std::sync::Arc;

use super::config::EjectConfig;
use super::ejection::{Failure, Turn};
use super::endpoint::Endpoint;
use super::servers::Servers;

impl Servers {
    /// A request was answered at this address, which had failed before.
    pub(super) fn answered_at(&self, endpoint: &Endpoint, is_trial: bool) {
        let now = self.clock.monotonic();
        let turn = endpoint.eject(|ejection| ejection.answered(is_trial, now));
        self.tell_turn(endpoint, turn);
    }

    /// A request failed at this address.
    pub(super) fn failed_at(&self, endpoint: &Endpoint, how: Failure, is_trial: bool) {
        let config = &self.config.eject;
        let at = (self.clock.monotonic(), fastrand::f64());
        // One by one, so that two addresses are not both left out where each counts on the other.
        let one_by_one = self.ejecting.lock();
        let may_eject = can_do_without(&self.current(), endpoint, how, config);
        let turn = endpoint.eject(|ejection| ejection.failed(how, is_trial, may_eject, config, at));
        drop(one_by_one);
        self.tell_turn(endpoint, turn);
    }

    fn tell_turn(&self, endpoint: &Endpoint, turn: Option<Turn>) {
        let (origin, address) = (&self.config.url, &endpoint.address);
        match turn {
            Some(Turn::Ejected { pause }) => {
                let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                let reason = endpoint.last_error().unwrap_or_default();
                tracing::warn!(%origin, %address, pause_ms, reason, "an address of the origin is left out for a while");
            }
            Some(Turn::Returned) => tracing::info!(%origin, %address, "an address of the origin works again"),
            None => {}
        }
    }
}

/// Whether the other addresses can do without this one. Where it can't be connected to, nothing is lost with it, so any
/// other one is enough. What it answers may be no fault of its own but of what is behind all of them, so then only a
/// share of all may be left out.
fn can_do_without(addresses: &[Arc<Endpoint>], this: &Endpoint, how: Failure, config: &EjectConfig) -> bool {
    let others = addresses.iter().filter(|one| one.number != this.number && !one.is_out()).count();
    let (all, out) = (addresses.len(), addresses.len().saturating_sub(others));
    others > 0 && (how == Failure::NoConnection || out * 100 <= all * config.share_max_percent.as_usize())
}
