//! Refreshing behind an answer: before an entry is stale, or while a stale one is still allowed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::{Entry, StoredResponse};
use sandbar_http::key::CacheKey;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::{Times, refresh_early};
use sandbar_policy::freshness::EarlyRefresh;

use super::Cache;
use super::asked::Asked;
use super::cached::Cached;
use super::collapse::flight::Boarding;
use super::fill::{Fill, Purpose};
use super::found::Found;
use super::judge::Received;
use super::read::Joins;

impl Cache {
    /// Starts a refresh if the plan's odds say so.
    pub(crate) fn maybe_refresh_early(&self, asked: &Arc<Asked>, key: &CacheKey, found: &Found, now: Timestamp) {
        let stored = found.stored();
        if stored.plan.early_refresh != EarlyRefresh::Never && refresh_early(stored, now, 1.0 - fastrand::f64()) {
            self.refresh_behind(asked, key, found);
        }
    }

    /// Starts a fetch that no client waits for, unless one is under way.
    pub(crate) fn refresh_behind(&self, asked: &Arc<Asked>, key: &CacheKey, found: &Found) {
        if let Boarding::Lead(obligation) = self.board(asked, key, Joins::default()) {
            let (asked, basis) = (Arc::clone(asked), Some(found.clone()));
            let (key, purpose) = (key.clone(), Purpose::Refresh);
            self.start_fill(Fill { asked, key, basis, validates: true, purpose, alone: false }, obligation);
        }
    }

    /// Asks the bound policy again for an entry that an older one planned, where that is wanted, and keeps the answer.
    pub(crate) fn replan(&self, asked: &Asked, found: Found) -> Found {
        let epoch = asked.tenant.plan_epoch.load(Ordering::Acquire);
        if found.cached().plan_epoch >= epoch {
            return found;
        }
        let stored = found.stored();
        let (_, planned) = asked.planned(&Received {
            status: stored.status,
            fields: &stored.fields,
            body_bytes: Some(stored.body_bytes()),
            times: Times { requested: stored.requested, received: stored.received },
            fetch_time: stored.fetch_time,
        });
        let renewed = StoredResponse { plan: planned.plan, policy: planned.policy, ..stored.clone() };
        let Cached { began, consistency, .. } = **found.cached();
        let cached = Arc::new(Cached::new(Entry::Response(renewed), epoch, began, consistency, &self.inner.budget));
        if !cached.is_charged() {
            // There is no room for both. It is asked again before it is next used.
            return found;
        }
        let renewed = found.renewed(cached);
        self.promote(asked, &renewed);
        renewed
    }
}
