//! Answering from a stored response without a fetch, or saying why that can't be done.

use std::sync::Arc;

use http::header::RANGE;
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::{Ground, Holds, to_reuse};
use sandbar_http::semantics::{FwdReason, StaleReason, lacking, lacks_what_is_asked};

use super::Reader;
use crate::request::CacheRequest;
use crate::respond::{self, Answer, Answered};
use crate::store::found::Found;
use crate::store::lookup::Looked;
use crate::tenant::counters::{Source, count};

/// Why a request could not be answered from L1, and the stored response that may not be served as it is (`basis`).
pub(crate) struct Miss {
    pub(crate) reason: FwdReason,
    pub(crate) key: CacheKey,
    pub(crate) basis: Option<Found>,
}

impl Reader {
    /// Answers from L1, or says why not.
    pub(super) fn hit(&self, request: &Arc<CacheRequest>) -> Result<Answer, Miss> {
        let now = self.clock.now();
        let Looked { key, found, varies } = self.store.look_in_l1(request, now);
        let Some(found) = found else {
            let reason = if varies { FwdReason::VaryMiss } else { FwdReason::UriMiss };
            return Err(Miss { reason, key, basis: None });
        };
        if found.cached().is_doubtful() {
            return Err(Miss { reason: FwdReason::Stale, key, basis: Some(found) });
        }
        let found = self.store.replan(request, found);
        let stored = found.stored();
        if lacks_what_is_asked(stored, &request.head()) {
            // The stored parts can be completed for the whole, and for a range of which they lack one piece.
            let adds = !request.fields.contains_key(RANGE) || lacking(stored, Some(&request.head())).is_some();
            let basis = adds.then_some(found);
            return Err(Miss { reason: FwdReason::Partial, key, basis });
        }
        let soft_purged = found.soft_purged();
        let leave = match to_reuse(found, &request.head(), now, soft_purged) {
            Ok(leave) => leave,
            Err((found, reason)) => return Err(Miss { reason, key, basis: Some(found) }),
        };
        let found = leave.what();
        match leave.ground() {
            Ground::Stale(StaleReason::WhileRevalidate) => self.fills.refresh_behind(request, &key, found),
            Ground::Stale(_) => {}
            _ => self.fills.maybe_refresh_early(request, &key, found, now),
        }
        request.record(found.cached(), now);
        let source = Source::L1 { stale: matches!(leave.ground(), Ground::Stale(_)) };
        Ok(respond::found(request, &leave, Answered::hit(found.tier()), source, now))
    }

    /// Answers a request with `only-if-cached` (RFC 9111 section 5.2.1.7): from a tier, or with 504.
    pub(super) async fn only_if_cached(&self, request: &Arc<CacheRequest>, basis: Option<&Found>) -> Answer {
        let hit = self.hit_or_found_in_l2(request, basis).await;
        hit.unwrap_or_else(|_| respond::not_cached(request, self.clock.now()))
    }

    /// Answers from L2 without a fetch, or returns what was found there and may not be served as it is. `basis` is what
    /// L1 has, which may not be served as it is either.
    pub(super) async fn hit_or_found_in_l2(
        &self,
        request: &Arc<CacheRequest>,
        basis: Option<&Found>,
    ) -> Result<Answer, Option<Found>> {
        if self.store.l2.is_none() {
            return Err(None);
        }
        let found = self.store.look_in_l2(request).await.filter(|found| found.is_not_in_doubt_with(basis));
        let now = self.clock.now();
        let leave = found.ok_or(None).and_then(|found| {
            let soft_purged = found.soft_purged();
            to_reuse(found, &request.head(), now, soft_purged).map_err(|(found, _)| Some(found))
        });
        if leave.is_err() {
            count(&request.tenant.counters.misses_l2);
        }
        let leave = leave?;
        self.store.promote(request, leave.what());
        request.record(leave.what().cached(), now);
        Ok(respond::found(request, &leave, Answered::hit(leave.what().tier()), Source::L2, now))
    }
}
