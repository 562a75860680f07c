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
}

impl Visit {
    pub(super) fn to(endpoint: Arc<Endpoint>, servers: Arc<Servers>, is_trial: bool) -> Self {
        endpoint.begins();
        Self { endpoint, servers, is_trial }
    }

    /// Notes that the request was answered.
    pub(super) fn answered(&mut self) {
        if !self.endpoint.is_well() {
            self.servers.answered_at(&self.endpoint, std::mem::take(&mut self.is_trial));
        }
    }

    /// Notes that the request failed.
    pub(super) fn failed(&mut self, how: Failure, why: String) {
        self.endpoint.failed(why);
        self.servers.failed_at(&self.endpoint, how, std::mem::take(&mut self.is_trial));
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
