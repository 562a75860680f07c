//! HEAD requests: answered from a stored response to GET (RFC 9110 section 9.3.2), else by the origin, whose answer
//! updates what is stored (RFC 9111 section 4.3.5).

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use sandbar_http::purge::PurgeMode;
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::standing::standing;
use sandbar_http::semantics::{HeadUpdate, Times, freshen_from_head};

use super::{Miss, Reader};
use crate::body;
use crate::cached::Began;
use crate::fill::lease::newer;
use crate::request::CacheRequest;
use crate::respond::{self, Answer, Answered};
use crate::store::found::Found;
use crate::tenant::counters::{Source, count};

impl Reader {
    /// Answers a HEAD that a stored response may answer.
    pub(crate) async fn read_head(&self, request: Arc<CacheRequest>) -> Answer {
        let miss = match self.hit(&request) {
            Ok(answer) => return answer,
            Err(miss) => miss,
        };
        count(&request.tenant.counters.misses_l1);
        let below = match self.hit_or_found_in_l2(&request, miss.basis.as_ref()).await {
            Ok(answer) => return answer,
            Err(found) => found,
        };
        if request.directives.only_if_cached {
            return respond::not_cached(&request, self.clock.now());
        }
        let basis = match below {
            Some(found) => newer(miss.basis, found),
            None => miss.basis,
        };
        let miss = Miss { basis, ..miss };
        let requested = self.clock.now();
        match self.exchanges.forward(&request, body::empty()).await {
            Ok(response) => {
                let times = Times { requested, received: self.clock.now() };
                self.update_from_head(&request, miss.basis.as_ref(), response.status(), response.headers(), times)
                    .await;
                let answered = Answered::forwarded(miss.reason);
                respond::forwarded(&request, response.into_response(), answered, Source::Fetched, self.clock.now())
            }
            Err(error) => self.without_origin(&request, &miss, &error),
        }
    }

    /// Applies what the answer to a HEAD says of the stored response to GET (RFC 9111 section 4.3.5).
    async fn update_from_head(
        &self,
        request: &Arc<CacheRequest>,
        basis: Option<&Found>,
        status: StatusCode,
        fields: &HeaderMap,
        times: Times,
    ) {
        let Some(found) = basis else { return };
        let stored = found.stored();
        if status != stored.status {
            // What content a success or a redirection would bring instead is not known from a HEAD: it takes a GET.
            return self.fills.hold_to(request, found, standing(&request.fields, status, true)).await;
        }
        match freshen_from_head(stored, fields, times) {
            HeadUpdate::Freshened(_) => {
                let began = Began { sequence: stored.sequence, ..found.cached().began };
                self.fills.renew(request, found, fields, times, began).await;
            }
            HeadUpdate::Outdated => {
                // Section 4.3.5: "the cache SHOULD consider the stored response to be stale": in every tier, for fills
                // under way, and on other nodes as their class promises.
                self.purges.purge(&request.tenant, &[request.purge(PurgeMode::Soft)]).await;
            }
        }
    }
}
