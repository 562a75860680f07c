//! Invalidation by unsafe methods (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, LOCATION};

use super::location::same_origin_target;
use super::{RequestHead, ResponseHead, request};
use crate::key::sent_target;

/// The targets (site, path and query) whose stored responses this exchange invalidates; none where the method is safe
/// or the response is an error. `site` is the scheme and authority of the request.
///
/// "A cache MUST invalidate the target URI (Section 7.1 of HTTP) when it receives a non-error status code in response
/// to an unsafe request method (including methods whose safety is unknown)", where "a "non-error response" is one with
/// a 2xx (Successful) or 3xx (Redirection) status code"; and it "MAY invalidate other URIs [...] In particular, the
/// URI(s) in the Location and Content-Location response header fields (if present) are candidates for invalidation",
/// but it "MUST NOT trigger an invalidation under these conditions if the origin (Section 4.3.1 of HTTP) of the URI to
/// be invalidated differs from that of the target URI. This helps prevent denial-of-service attacks."
pub fn invalidated(request: &RequestHead<'_>, site: &str, response: &ResponseHead<'_>) -> Vec<(String, String)> {
    if request::is_safe(request.method) || !matches!(response.status.as_u16(), 200..=399) {
        return Vec::new();
    }
    let mut targets = vec![sent_target(request.uri).into_owned()];
    for name in [LOCATION, CONTENT_LOCATION] {
        // Many origins write the reference as people see it, in UTF-8 instead of percent-encoded.
        let reference = response.fields.get(&name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        if let Some(target) = reference.and_then(|reference| same_origin_target(reference, site, request.uri))
            && !targets.contains(&target)
        {
            targets.push(target);
        }
    }
    targets.into_iter().map(|target| (site.to_owned(), target)).collect()
}
