//! Routing: which component of the cache answers a request.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use sandbar_http::key::NoKey;
use sandbar_http::semantics::cache_status::Outcome;

use super::{Cache, Provenance};
use crate::body::Body;
use crate::purge::method::purges;
use crate::request::CacheRequest;
use crate::respond::{self, Answer};
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// How often a request may have come through a cache of this name (several in a row are legitimate) before it is taken
/// for a forwarding loop.
const LOOPS_MAX: usize = 8;

impl Cache {
    /// Answers a request of a tenant: from a tier, another request's fetch, or the origin. Failures are responses too.
    pub async fn respond(&self, tenant: &Arc<Tenant>, request: Request<Body>) -> Response<Body> {
        self.respond_and_tell(tenant, request).await.0
    }

    /// Like [`Self::respond`], and says how the answer came about: for logs.
    pub async fn respond_and_tell(&self, tenant: &Arc<Tenant>, request: Request<Body>) -> (Response<Body>, Provenance) {
        let started = self.rooms.clock.monotonic();
        count(&tenant.counters.requests);
        let answer = self.route(tenant, request).await;
        let provenance = Provenance::of(&answer);
        (self.counted(tenant, answer, started), provenance)
    }

    /// What is stored for `target` on `site`, as a GET without header fields would be given it, if it may be used as it is. The
    /// origin is not asked, and nothing is refreshed behind the answer. It is counted like a request with `only-if-cached`.
    ///
    /// # Errors
    /// When `site` and `target` make no key.
    pub async fn get(&self, tenant: &Arc<Tenant>, site: &str, target: &str) -> Result<Option<Response<Body>>, NoKey> {
        let request = CacheRequest::get(tenant, site, target)?;
        let started = self.rooms.clock.monotonic();
        count(&tenant.counters.requests);
        let kept = self.rooms.reader.kept(&request).await;
        let is_kept = kept.is_some();
        let answer = kept.unwrap_or_else(|| respond::not_cached(&request, self.rooms.clock.now()));
        let response = self.counted(tenant, answer, started);
        Ok(is_kept.then_some(response))
    }

    /// Counts an answer to a request that came at `started`.
    fn counted(&self, tenant: &Tenant, answer: Answer, started: Duration) -> Response<Body> {
        let Answer { response, outcome, source, stored_bytes, class, .. } = answer;
        let took = self.rooms.clock.monotonic().saturating_sub(started);
        tenant.answered((outcome, class), source, stored_bytes, took);
        response
    }

    async fn route(&self, tenant: &Arc<Tenant>, request: Request<Body>) -> Answer {
        let (head, content) = request.into_parts();
        let is_plain = http_body::Body::is_end_stream(&content);
        let request = match CacheRequest::new(tenant, head, is_plain) {
            Ok(request) => request,
            Err(reason) => return respond::unkeyed(reason),
        };
        if request.times_through > LOOPS_MAX {
            let now = self.rooms.clock.now();
            return respond::synthesized(&request, StatusCode::LOOP_DETECTED, Outcome::Refused, "loop", now);
        }
        if is_plain
            && !request.directives.only_if_cached
            && let Some(protocols) = request.switches_to()
        {
            return Box::pin(self.rooms.tunnels.switch(&request, protocols)).await;
        }
        if self.rooms.owed.is_used()
            && is_plain
            && matches!(request.method, Method::GET | Method::HEAD)
            && request.is_safe()
            && let Some(answer) = Box::pin(self.rooms.reader.held(&request)).await
        {
            return answer;
        }
        match request.method {
            Method::HEAD if request.is_answerable => self.rooms.reader.read_head(request).await,
            _ if request.is_answerable => self.rooms.reader.read(request).await,
            Method::GET | Method::HEAD if is_plain && request.is_safe() => self.rooms.reader.forward(&request).await,
            _ => match purges(&request) {
                Some(mode) => Box::pin(self.rooms.purges.by_request(&request, mode)).await,
                None => self.rooms.writer.write(&request, content).await,
            },
        }
    }
}
