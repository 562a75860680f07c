//! Refreshing an entry behind an answer: before it is stale, or while it may still be served stale.

use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::refresh_early;
use sandbar_policy::freshness::EarlyRefresh;

use crate::collapse::Joins;
use crate::collapse::fetch::LeadOrWait;
use crate::fill::{Fill, Fills};
use crate::request::{CacheRequest, Purpose};
use crate::store::found::Found;

impl Fills {
    /// Starts a refresh of a fresh entry with the probability that its plan gives for now.
    pub(crate) fn maybe_refresh_early(
        self: &Arc<Self>,
        request: &Arc<CacheRequest>,
        key: &CacheKey,
        found: &Found,
        now: Timestamp,
    ) {
        if wants_refresh(found.stored(), now) {
            self.refresh_behind(request, key, found);
        }
    }

    /// Starts a fetch that no client waits for, unless a fetch of the key is under way.
    pub(crate) fn refresh_behind(self: &Arc<Self>, request: &Arc<CacheRequest>, key: &CacheKey, found: &Found) {
        if let LeadOrWait::Lead(obligation) = self.join_or_lead(request, key, Joins::default()) {
            let (request, basis) = (Arc::clone(request), Some(found.clone()));
            let (key, purpose) = (key.clone(), Purpose::Refresh);
            self.start(Fill { request, key, basis, validates: true, purpose, alone: false }, obligation);
        }
    }
}

/// Whether a fresh entry is to be refreshed now, by the probability that its plan gives.
pub(crate) fn wants_refresh(stored: &StoredResponse, now: Timestamp) -> bool {
    stored.plan.early_refresh != EarlyRefresh::Never && refresh_early(stored, now, 1.0 - fastrand::f64())
}
