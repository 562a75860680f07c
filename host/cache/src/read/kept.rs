//! Reading what is stored, for a program that keeps values: the origin is never asked, behind an answer neither.

use std::sync::Arc;

use sandbar_http::semantics::leave::{Ground, to_reuse};

use super::Reader;
use crate::request::CacheRequest;
use crate::respond::{self, Answer, Answered};
use crate::store::found::Found;
use crate::tenant::counters::{Source, count};

impl Reader {
    /// Answers from a tier; `None` where neither has what may be reused as it is.
    pub(crate) async fn kept(&self, request: &Arc<CacheRequest>) -> Option<Answer> {
        let known = self.store.look_in_l1(request, self.clock.now()).found;
        if let Some(answer) = known.clone().and_then(|found| self.kept_in_l1(request, found)) {
            return Some(answer);
        }
        count(&request.tenant.counters.misses_l1);
        self.hit_or_found_in_l2(request, known.as_ref()).await.ok()
    }

    fn kept_in_l1(&self, request: &Arc<CacheRequest>, found: Found) -> Option<Answer> {
        if found.cached().is_doubtful() {
            return None;
        }
        let found = self.store.replan(request, found);
        let (now, soft_purged) = (self.clock.now(), found.soft_purged());
        let leave = to_reuse(found, &request.head(), now, soft_purged).ok()?;
        request.record(leave.what().cached(), now);
        let source = Source::L1 { stale: matches!(leave.ground(), Ground::Stale(_)) };
        Some(respond::found(request, &leave, Answered::hit(leave.what().tier()), source, now))
    }
}
