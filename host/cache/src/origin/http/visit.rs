//! A request at one of the origin's addresses.

use std::sync::Arc;

use super::ejection::Failure;
use super::endpoint::Endpoint;
use super::servers::Servers;

/// A request at an address, until its response has ended.
pub(super) struct Visit {
    pub(super) endpoint: Arc<Endpoint>,
    servers: Arc<Servers>,
    /// Whether it tries an address that was left out, and has no result yet.
    is_trial: bool,
    /// Whether it has been noted already how the request went.
    is_judged: bool,
}

impl Visit {
    pub(super) fn to(endpoint: Arc<Endpoint>, servers: Arc<Servers>, is_trial: bool) -> Self {
        endpoint.begins();
        Self { endpoint, servers, is_trial, is_judged: false }
    }

    /// Notes that a response has begun. That ends a trial; whether the response is a good one is seen at its end.
    pub(super) fn begun(&mut self) {
        if std::mem::take(&mut self.is_trial) {
            self.servers.answered_at(&self.endpoint, true);
        }
    }

    /// Notes that the response has come whole, unless the request has failed already.
    pub(super) fn answered(&mut self) {
        self.begun();
        if !std::mem::replace(&mut self.is_judged, true) && !self.endpoint.is_well() {
            self.servers.answered_at(&self.endpoint, false);
        }
    }

    /// Notes that the request failed, or that its response broke off.
    pub(super) fn failed(&mut self, how: Failure, why: String) {
        if !std::mem::replace(&mut self.is_judged, true) {
            self.endpoint.failed(why);
            self.servers.failed_at(&self.endpoint, how, std::mem::take(&mut self.is_trial));
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.endpoint.ends();
        if self.is_trial {
            let now = self.servers.clock.monotonic();
            self.endpoint.eject(|ejection| ejection.give_back_trial(now));
        }
    }
}
