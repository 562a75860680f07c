//! The request as it is forwarded to the origin, and what is logged where that fails.

use http::Request;
use http::header::MAX_FORWARDS;
use sandbar_http::semantics::request::{Forwards, forwards};

use super::CacheRequest;
use crate::body::Body;
use crate::origin::{Fault, OriginError};

impl CacheRequest {
    /// The request as it is forwarded, with `Max-Forwards` counted down.
    pub(crate) fn forwarded(&self, content: Body) -> Request<Body> {
        let mut request = Request::new(content);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.origin_uri();
        *request.headers_mut() = self.fields.clone();
        if let Forwards::Left(left) = forwards(&self.method, &self.fields) {
            request.headers_mut().insert(MAX_FORWARDS, left.into());
        }
        self.to_service_behind(&mut request);
        self.on_behalf_of_client(&mut request);
        request
    }

    /// Logs an error. Refusals and clients' faults are logged at debug level only: they are counted, and there may be
    /// as many as requests.
    pub(crate) fn tell_of(&self, error: &OriginError) {
        let (tenant, target) = (&*self.tenant.name, &self.target);
        match error.fault() {
            Fault::Nobody => tracing::debug!(tenant, target, %error, "the origin was not asked"),
            Fault::Client => tracing::debug!(tenant, target, %error, "the client did not go on with its request"),
            Fault::Origin => tracing::warn!(tenant, target, %error, "the origin failed"),
        }
    }
}
