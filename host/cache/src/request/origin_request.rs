//! The request that a fill sends to the origin.

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{Method, Request, StatusCode};
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::{Lacking, completion_fields, validation_fields};

use super::CacheRequest;
use crate::body::{self, Body};
use crate::origin::Urgency;

/// What a fill is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A client waits for the response.
    Answer,
    /// A client waits for a range that is not stored: the origin is asked for what stored parts lack of it, or for the
    /// range as it came.
    Part,
    /// A client was served already; the refreshed response is for later requests.
    Refresh,
}

impl CacheRequest {
    /// The request that gets a whole response that may be stored: without the client's own conditions and ranges, with
    /// those that validate what is stored (RFC 9111 section 4.3.1), or with the range that stored parts are `lacking`.
    /// Where a range is wanted and no gap is known, that range is forwarded as it came.
    pub(crate) fn origin_request(
        &self,
        basis: Option<&StoredResponse>,
        purpose: Purpose,
        lacking: Option<&Lacking>,
    ) -> Request<Body> {
        let mut fields = self.fields.clone();
        for name in [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE] {
            fields.remove(name);
        }
        if purpose != Purpose::Part {
            fields.remove(IF_RANGE);
            fields.remove(RANGE);
        }
        match basis {
            Some(part) if part.status == StatusCode::PARTIAL_CONTENT => {
                if let Some(lacking) = lacking {
                    completion_fields(part, lacking, &mut fields);
                }
            }
            Some(basis) => validation_fields(&[basis], &mut fields),
            None => {}
        }
        let mut request = Request::new(body::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.origin_uri();
        *request.headers_mut() = fields;
        self.to_service_behind(&mut request);
        match purpose {
            Purpose::Refresh => drop(request.extensions_mut().insert(Urgency::Background)),
            Purpose::Answer | Purpose::Part => self.on_behalf_of_client(&mut request),
        }
        request
    }
}
