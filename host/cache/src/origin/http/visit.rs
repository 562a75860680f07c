//! A request at one of the origin's addresses.

use std::sync::Arc;

use super::endpoint::Endpoint;

/// A request at an address, until its response has ended.
pub(super) struct Visit {
    pub(super) endpoint: Arc<Endpoint>,
}

impl Visit {
    pub(super) fn to(endpoint: Arc<Endpoint>) -> Self {
        endpoint.begins();
        Self { endpoint }
    }

    /// Notes that the request failed.
    pub(super) fn failed(&self, why: String) {
        self.endpoint.failed(why);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.endpoint.ends();
    }
}
