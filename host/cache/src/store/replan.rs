//! Planning a stored response anew, where a new policy is to plan the entries that are stored already.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_http::entry::{Entry, StoredResponse};
use sandbar_http::semantics::Times;
use sandbar_http::semantics::leave::Holds;

use super::Store;
use super::found::Found;
use crate::cached::Cached;
use crate::request::CacheRequest;
use crate::storability::Received;

impl Store {
    /// Asks the bound policy to plan an entry again whose plan epoch is not the current one, and keeps the new plan.
    pub(crate) fn replan(&self, request: &CacheRequest, found: Found) -> Found {
        let epoch = request.tenant.plan_epoch.load(Ordering::Acquire);
        if found.cached().plan_epoch >= epoch {
            return found;
        }
        let stored = found.stored();
        let (_, planned) = request.planned(&Received {
            status: stored.status,
            fields: &stored.fields,
            body_bytes: Some(found.cached().content_bytes()),
            times: Times { requested: stored.requested, received: stored.received },
            fetch_time: stored.fetch_time,
        });
        let renewed = StoredResponse { plan: planned.plan, policy: planned.policy, ..stored.clone() };
        let Cached { began, consistency, .. } = **found.cached();
        let (entry, decoded) = (Entry::Response(renewed), found.cached().decoded().cloned());
        let cached = Arc::new(Cached::holding(entry, decoded, epoch, began, consistency, &self.budget));
        if !cached.is_charged() {
            // There is no memory for both. The entry is planned again before it is next used.
            return found;
        }
        let renewed = found.renewed(cached);
        self.promote(request, &renewed);
        renewed
    }
}
