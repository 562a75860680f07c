//! Requests that go through to the origin as they are, with their conditions and ranges, and whose responses are not
//! stored.

use std::sync::Arc;

use http::header::MAX_FORWARDS;
use http::{HeaderMap, Request, Response, StatusCode, Version};

use super::Cache;
use super::asked::Asked;
use super::began::Began;
use super::found::Found;
use super::respond::serve::{Answered, CACHE};
use crate::body::{self, Body};
use crate::http::key::strip_unkeyed;
use crate::http::semantics::fields::append_via;
use crate::http::semantics::leave::Holds;
use crate::http::semantics::request::{Forwards, forwards};
use crate::http::semantics::{FwdReason, HeadUpdate, Times, freshen_from_head, origin_fields};
use crate::key::KeyHash;
use crate::origin::{Fault, OriginError, Sound};
use crate::tenant::counters::count;
use crate::tier::memory::Departure;

impl Cache {
    /// HEAD: from a stored response to GET (RFC 9110 section 9.3.2), else from the origin.
    pub(crate) async fn read_head(&self, asked: Arc<Asked>) -> Response<Body> {
        let miss = match self.hit(&asked) {
            Ok(response) => return response,
            Err(miss) => miss,
        };
        count(&asked.tenant.counters.misses_l1);
        if let Some(response) = self.hit_in_l2(&asked, miss.basis.as_ref()).await {
            return response;
        }
        if asked.directives.only_if_cached {
            return self.not_cached(&asked);
        }
        let requested = self.inner.clock.now();
        match self.pass(&asked, body::empty()).await {
            Ok(response) => {
                count(&asked.tenant.counters.fetched);
                let times = Times { requested, received: self.inner.clock.now() };
                self.update_from_head(&asked, miss.basis.as_ref(), response.status(), response.headers(), times).await;
                self.serve_forwarded(&asked, response.into_response(), Answered::forwarded(miss.reason))
            }
            Err(error) => self
                .stale_on_error(&asked, miss.basis.as_ref())
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
            return;
        }
        match freshen_from_head(stored, fields, times) {
            HeadUpdate::Freshened(_) => {
                let began = Began { sequence: stored.sequence, ..found.cached().began };
                self.renew(asked, found, fields, times, began).await;
            }
            HeadUpdate::Outdated => {
                let key = KeyHash::of(&stored.key);
                asked.tenant.memory.remove(key, Departure::Purged, self.inner.clock.now());
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
        asked.tenant.origin.ask(request).await.inspect_err(|error| asked.tell_of(error))
    }
}

impl Asked {
    /// The request as it is sent on.
    pub(super) fn passing(&self, content: Body) -> Request<Body> {
        let mut request = Request::new(content);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.passing_uri();
        *request.headers_mut() = origin_fields(&self.fields);
        strip_unkeyed(&self.tenant.settings.key, request.headers_mut());
        append_via(request.headers_mut(), Version::HTTP_11, CACHE);
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

    /// The target as the client sent it, on the site of the request.
    fn passing_uri(&self) -> http::Uri {
        let target = self.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        format!("{}{target}", self.site).parse().unwrap_or_else(|_| self.uri.clone())
    }
}
