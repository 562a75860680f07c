//! A request at one of the origin's addresses.

use std::sync::Arc;
use std::time::Duration;

use super::ejection::Failure;
use super::endpoint::Endpoint;
use super::servers::Servers;
use crate::origin::Progress;

/// After how long an address may be tried again where the request that tried it was given up.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A request at an address, until its response has ended.
pub(super) struct Visit {
    pub(super) endpoint: Arc<Endpoint>,
    servers: Arc<Servers>,
    /// Whether it tries an address that was left out, and has no result yet.
    is_trial: bool,
    /// Whether it has been noted already how the request went.
    is_judged: bool,
    /// Whose it is; none where the origin may have waited for the request's content.
    request: Option<Progress>,
}

impl Visit {
    pub(super) fn to(
        endpoint: Arc<Endpoint>,
        servers: Arc<Servers>,
        is_trial: bool,
        request: Option<Progress>,
    ) -> Self {
        endpoint.begins();
        Self { endpoint, servers, is_trial, is_judged: false, request }
    }

    /// Notes that a response has begun. That ends a trial; whether the response is a good one is seen at its end.
    pub(super) fn begun(&mut self) {
        self.request = None;
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
        if self.request.take().is_some_and(|request| request.was_given_up()) {
            self.failed(Failure::BadAnswer, "no response came in the time that a fetch has".to_owned());
        }
        self.endpoint.ends();
        if self.is_trial {
            let again = self.servers.clock.monotonic() + TRIED_AGAIN_AFTER;
            self.endpoint.eject(|ejection| ejection.give_back_trial(again));
        }
    }
}
