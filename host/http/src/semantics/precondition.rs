//! A client's preconditions, evaluated against a stored response (RFC 9110 section 13, RFC 9111 section 4.3.2).

use http::header::{DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue};

use super::validator::{opaque, tags};
use super::{RequestHead, date, request};
use crate::entry::StoredResponse;

/// What a client's preconditions mean for a stored response that could answer the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The stored response is served.
    Serve,
    /// The client has the response already: 304.
    NotModified,
    /// Only the origin can tell: `If-Match` and `If-Unmodified-Since` "are not applicable to a cache" (RFC 9111 section
    /// 4.3.2), which "MUST NOT evaluate conditional header fields that only apply to an origin server".
    Forward,
}

/// Evaluates the preconditions of a request against a stored response. Without any it costs four look-ups.
pub fn precondition(stored: &StoredResponse, request: &RequestHead<'_>) -> Precondition {
    let fields = request.fields;
    if fields.contains_key(IF_MATCH) || fields.contains_key(IF_UNMODIFIED_SINCE) {
        return Precondition::Forward;
    }
    // RFC 9110 section 13.2.1: preconditions are ignored where the response without them would not be a 2xx.
    if !request::is_cacheable(request.method) || !stored.status.is_success() {
        return Precondition::Serve;
    }
    // Section 13.2.2: "When If-None-Match is present, evaluate the If-None-Match precondition"; If-Modified-Since
    // counts only where it is absent.
    let unmodified = if fields.contains_key(IF_NONE_MATCH) {
        let tag = stored.fields.get(ETAG).and_then(|tag| opaque(tag.as_bytes()));
        fields.get_all(IF_NONE_MATCH).iter().any(|line| names(line, tag))
    } else {
        only_line(fields).is_some_and(|since| !modified_since(stored, since))
    };
    if unmodified { Precondition::NotModified } else { Precondition::Serve }
}

/// The `If-Modified-Since` line, where there is only one. Section 13.1.3: "A recipient MUST ignore the
/// If-Modified-Since header field if the received field value is not a valid HTTP-date, the field value has more than
/// one member".
fn only_line(fields: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = fields.get_all(IF_MODIFIED_SINCE).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// RFC 9111 section 4.3.2: "If a request contains an If-Modified-Since header field and the Last-Modified header field
/// is not present in a stored response, a cache SHOULD use the stored response's Date field value (or, if no Date field
/// is present, the time that the stored response was received) to evaluate the conditional."
fn modified_since(stored: &StoredResponse, since: &HeaderValue) -> bool {
    let Some(since) = date::parse(since, stored.received) else { return true };
    let of = |name| date::field(&stored.fields, &name, stored.received);
    let modified = of(LAST_MODIFIED).or_else(|| of(DATE)).unwrap_or(stored.received);
    modified.as_secs() > since.as_secs()
}

/// Whether a line of `If-None-Match` names the tag, in the weak comparison (RFC 9110 section 13.1.2), or is `*`.
fn names(line: &HeaderValue, tag: Option<&[u8]>) -> bool {
    let line = line.as_bytes().trim_ascii();
    line == b"*" || tag.is_some_and(|tag| tags(line).any(|listed| listed == tag))
}
