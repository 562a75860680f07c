//! Refreshing behind an answer: before an entry is stale, or while a stale one is still allowed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Cache;
use super::asked::Asked;
use super::cached::Cached;
use super::fill::{Fill, Purpose};
use super::flight::Boarding;
use super::judge::Received;
use super::outcome::Found;
use crate::clock::Timestamp;
use crate::entry::{Entry, StoredResponse};
use crate::http::semantics::{Times, refresh_early};
use crate::key::CacheKey;
use crate::policy::freshness::EarlyRefresh;

impl Cache {
    /// Starts a refresh if the plan's odds say so.
    pub(crate) fn maybe_refresh_early(&self, asked: &Arc<Asked>, key: &CacheKey, found: &Found, now: Timestamp) {
        let Some(stored) = found.cached.response() else { return };
        if stored.plan.early_refresh != EarlyRefresh::Never && refresh_early(stored, now, 1.0 - fastrand::f64()) {
            self.refresh_behind(asked, key, found);
        }
    }

    /// Starts a fetch that no client waits for, unless one is under way.
    pub(crate) fn refresh_behind(&self, asked: &Arc<Asked>, key: &CacheKey, found: &Found) {
        if let Boarding::Lead(obligation) = self.board(asked, key, 0) {
            let (asked, basis) = (Arc::clone(asked), Some(found.clone()));
            let fill = Fill { asked, key: key.clone(), basis, purpose: Purpose::Refresh, alone: false };
            self.start_fill(fill, obligation);
        }
    }

    /// Asks the bound policy again for an entry that an older one planned, where that is wanted, and keeps the answer.
    pub(crate) fn replan(&self, asked: &Asked, found: Found) -> Found {
        let epoch = asked.tenant.plan_epoch.load(Ordering::Acquire);
        let Some(stored) = found.cached.response().filter(|_| found.cached.plan_epoch < epoch) else { return found };
        let (_, planned) = asked.planned(&Received {
            status: stored.status,
            fields: &stored.fields,
            body_bytes: Some(stored.body.len() as u64),
            times: Times { requested: stored.requested, received: stored.received },
            fetch_time: stored.fetch_time,
        });
        let renewed = StoredResponse { plan: planned.plan, policy: planned.policy, ..stored.clone() };
        let Cached { began, consistency, .. } = *found.cached;
        let cached = Arc::new(Cached::new(Entry::Response(renewed), epoch, began, consistency, &self.inner.budget));
        let renewed = Found { cached, ..found };
        self.promote(asked, &renewed);
        renewed
    }
}
