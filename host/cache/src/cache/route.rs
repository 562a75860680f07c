//! Which room answers a request.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use sandbar_http::semantics::cache_status::Outcome;

use super::Cache;
use crate::body::Body;
use crate::request::Asked;
use crate::respond::{self, Answer};
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// How often a request may have come through a cache of this name (tiers in front of each other) before it is taken for
/// one that goes round in circles.
const PASSES_MAX: usize = 8;

impl Cache {
    /// Answers a request of a tenant: from a tier, from another request's fetch, or from the origin. Always answers.
    pub async fn respond(&self, tenant: &Arc<Tenant>, request: Request<Body>) -> Response<Body> {
        let started = self.rooms.clock.monotonic();
        let counters = &tenant.counters;
        count(&counters.requests);
        let Answer { response, outcome, source, stored_bytes } = self.route(tenant, request).await;
        counters.answered(outcome, source, stored_bytes);
        counters.latency.note(self.rooms.clock.monotonic().saturating_sub(started));
        response
    }

    async fn route(&self, tenant: &Arc<Tenant>, request: Request<Body>) -> Answer {
        let (head, content) = request.into_parts();
        let is_plain = http_body::Body::is_end_stream(&content);
        let asked = match Asked::new(tenant, head, is_plain) {
            Ok(asked) => asked,
            Err(reason) => return respond::unkeyed(reason),
        };
        if asked.times_through > PASSES_MAX {
            let now = self.rooms.clock.now();
            return respond::synthesized(&asked, StatusCode::LOOP_DETECTED, Outcome::Refused, "loop", now);
        }
        if is_plain
            && !asked.directives.only_if_cached
            && let Some(protocols) = asked.switches_to()
        {
            return Box::pin(self.rooms.tunnels.switch(&asked, protocols)).await;
        }
        match asked.method {
            Method::HEAD if asked.is_answerable => self.rooms.reader.read_head(asked).await,
            _ if asked.is_answerable => self.rooms.reader.read(asked).await,
            Method::GET | Method::HEAD if is_plain && asked.is_safe() => self.rooms.reader.pass_on(&asked).await,
            _ => self.rooms.writer.write(&asked, content).await,
        }
    }
}
