//! Requests that go through to the origin as they are, with their conditions and ranges, and whose responses are not
//! stored.

use std::sync::Arc;

use http::header::MAX_FORWARDS;
use http::{HeaderMap, Request, Response, StatusCode};
use sandbar_http::semantics::leave::Holds;
use sandbar_http::semantics::request::{Forwards, forwards};
use sandbar_http::semantics::standing::standing;
use sandbar_http::semantics::{FwdReason, HeadUpdate, Times, freshen_from_head};

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::found::Found;
use super::lease::newer;
use super::respond::serve::Answered;
use crate::barrier::{Purge, PurgeMode, Scope};
use crate::body::{self, Body};
use crate::origin::{Fault, OriginError, Sound};
use crate::tenant::counters::count;

impl Cache {
    /// HEAD: from a stored response to GET (RFC 9110 section 9.3.2), else from the origin.
    pub(crate) async fn read_head(&self, asked: Arc<Asked>) -> Response<Body> {
        let miss = match self.hit(&asked) {
            Ok(response) => return response,
            Err(miss) => miss,
        };
        count(&asked.tenant.counters.misses_l1);
        let below = match self.hit_or_found_in_l2(&asked, miss.basis.as_ref()).await {
            Ok(response) => return response,
            Err(found) => found,
        };
        if asked.directives.only_if_cached {
            return self.not_cached(&asked);
        }
        let basis = match below {
            Some(found) => newer(miss.basis, found),
            None => miss.basis,
        };
        let requested = self.inner.clock.now();
        match self.pass(&asked, body::empty()).await {
            Ok(response) => {
                count(&asked.tenant.counters.fetched);
                let times = Times { requested, received: self.inner.clock.now() };
                self.update_from_head(&asked, basis.as_ref(), response.status(), response.headers(), times).await;
                self.serve_forwarded(&asked, response.into_response(), Answered::forwarded(miss.reason))
            }
            Err(error) => self
                .stale_on_error(&asked, basis.as_ref())
                .unwrap_or_else(|| self.origin_failed(&asked, miss.reason, &error)),
        }
    }

    /// RFC 9111 section 4.3.5: what a HEAD says of the stored response to GET.
    async fn update_from_head(
        &self,
        asked: &Arc<Asked>,
        basis: Option<&Found>,
        status: StatusCode,
        fields: &HeaderMap,
        times: Times,
    ) {
        let Some(found) = basis else { return };
        let stored = found.stored();
        if status != stored.status {
            // What a success or a redirection would bring instead is not known by its head: GET is asked for it.
            return self.hold_to(asked, found, standing(&asked.fields, status, true)).await;
        }
        match freshen_from_head(stored, fields, times) {
            HeadUpdate::Freshened(_) => {
                let began = Began { sequence: stored.sequence, ..found.cached().began };
                self.renew(asked, found, fields, times, began).await;
            }
            HeadUpdate::Outdated => {
                // Section 4.3.5: "the cache SHOULD consider the stored response to be stale": in every tier, for fills
                // under way, and on other nodes as their class promises.
                let purge = Purge { scope: Scope::Target(asked.purged_as()), mode: PurgeMode::Soft };
                self.purge(&asked.tenant, &[purge]).await;
            }
        }
    }

    /// A request that only the origin can answer, though its method is one that is stored.
    pub(crate) async fn pass_on(&self, asked: &Asked) -> Response<Body> {
        if asked.directives.only_if_cached {
            return self.not_cached(asked);
        }
        count(&asked.tenant.counters.bypassed);
        match self.pass(asked, body::empty()).await {
            Ok(response) => {
                self.serve_forwarded(asked, response.into_response(), Answered::forwarded(FwdReason::Request))
            }
            Err(error) => self.origin_failed(asked, FwdReason::Request, &error),
        }
    }

    /// Sends a request on as it came.
    pub(crate) async fn pass(&self, asked: &Asked, content: Body) -> Result<Sound, OriginError> {
        let request = asked.passing(content);
        self.ask(asked, request).await.inspect_err(|error| asked.tell_of(error))
    }
}

impl Asked {
    /// The request as it is sent on.
    pub(super) fn passing(&self, content: Body) -> Request<Body> {
        let mut request = Request::new(content);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.origin_uri();
        *request.headers_mut() = self.fields.clone();
        if let Forwards::Left(left) = forwards(&self.method, &self.fields) {
            request.headers_mut().insert(MAX_FORWARDS, left.into());
        }
        self.on_behalf_of_client(&mut request);
        request
    }

    /// A line in the log; refusals and what clients do wrong are counted, and would be as many as there are requests.
    pub(crate) fn tell_of(&self, error: &OriginError) {
        let (tenant, target) = (&*self.tenant.name, &self.target);
        match error.fault() {
            Fault::Nobody => tracing::debug!(tenant, target, %error, "the origin was not asked"),
            Fault::Client => tracing::debug!(tenant, target, %error, "the client did not go on with its request"),
            Fault::Origin => tracing::warn!(tenant, target, %error, "the origin failed"),
        }
    }
}
