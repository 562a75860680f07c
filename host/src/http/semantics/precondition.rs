//! A client's preconditions, evaluated against a stored response (RFC 9110 section 13, RFC 9111 section 4.3.2).

use http::HeaderValue;
use http::Method;
use http::header::{DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};

use super::{RequestHead, date};
use crate::entry::StoredResponse;

/// What a client's preconditions make of a stored response that could answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// It answers.
    Serve,
    /// The client has it already: 304.
    NotModified,
    /// Only the origin can tell: `If-Match` and `If-Unmodified-Since` "are not applicable to a cache" (RFC 9111 section
    /// 4.3.2), which "MUST NOT evaluate conditional header fields that only apply to an origin server".
    Forward,
}

/// Evaluates the preconditions of a request. Without any it costs four look-ups, and nothing at all without fields.
pub fn precondition(stored: &StoredResponse, request: &RequestHead<'_>) -> Precondition {
    let fields = request.fields;
    if fields.contains_key(IF_MATCH) || fields.contains_key(IF_UNMODIFIED_SINCE) {
        return Precondition::Forward;
    }
    // RFC 9110 section 13.2.1: preconditions are ignored where the response without them would not be a 2xx.
    let applies = matches!(*request.method, Method::GET | Method::HEAD) && stored.status.is_success();
    if !applies {
        return Precondition::Serve;
    }
    // Section 13.2.2: "When If-None-Match is present, evaluate the If-None-Match precondition", else If-Modified-Since.
    let unmodified = if fields.contains_key(IF_NONE_MATCH) {
        fields.get_all(IF_NONE_MATCH).iter().any(|line| names(line, stored.fields.get(ETAG)))
    } else {
        let mut dates = fields.get_all(IF_MODIFIED_SINCE).iter();
        match (dates.next(), dates.next()) {
            (Some(since), None) => !modified_since(stored, since),
            // Section 13.1.3: "A recipient MUST ignore the If-Modified-Since header field if the received field value is
            // not a valid HTTP-date, the field value has more than one member".
            _ => false,
        }
    };
    if unmodified { Precondition::NotModified } else { Precondition::Serve }
}

/// RFC 9111 section 4.3.2 compares with Last-Modified, else with Date, else with the time it was received.
fn modified_since(stored: &StoredResponse, since: &HeaderValue) -> bool {
    let Some(since) = date::parse(since, stored.received) else { return true };
    let of = |name| date::field(&stored.fields, &name, stored.received);
    let modified = of(LAST_MODIFIED).or_else(|| of(DATE)).unwrap_or(stored.received);
    modified.as_secs() > since.as_secs()
}

/// Whether a line of `If-None-Match` names the tag, in the weak comparison (RFC 9110 section 13.1.2), or is `*`.
fn names(line: &HeaderValue, tag: Option<&HeaderValue>) -> bool {
    let line = line.as_bytes().trim_ascii();
    if line == b"*" {
        return true;
    }
    let Some(tag) = tag.and_then(|tag| opaque(tag.as_bytes())) else { return false };
    tags(line).any(|listed| opaque(listed) == Some(tag))
}

/// The entity tags of a list. A comma within quotes is part of a tag; what is no tag is passed over.
pub fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_ascii_start();
            let start = rest.strip_prefix(b"W/").unwrap_or(rest);
            if let Some(inner) = start.strip_prefix(b"\"") {
                let close = inner.iter().position(|byte| *byte == b'"')?;
                let length = rest.len() - inner.len() + close + 1;
                let (tag, after) = rest.split_at(length);
                rest = after;
                return Some(tag);
            }
            let next = rest.iter().position(|byte| *byte == b',')?;
            rest = &rest[next + 1..];
        }
    })
}

/// The quoted part of an entity tag, without its weakness; none where it is not one.
fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let tag = tag.trim_ascii();
    let quoted = tag.strip_prefix(b"W/").unwrap_or(tag);
    (quoted.len() >= 2 && quoted.starts_with(b"\"") && quoted.ends_with(b"\"")).then_some(quoted)
}

/// Whether an entity tag is a strong validator.
pub fn is_strong(tag: &HeaderValue) -> bool {
    let tag = tag.as_bytes().trim_ascii();
    !tag.starts_with(b"W/") && opaque(tag).is_some()
}

/// RFC 9110 section 8.8.3.2: equal, and both strong.
pub fn strong_match(one: &HeaderValue, other: &HeaderValue) -> bool {
    is_strong(one) && is_strong(other) && weak_match(one, other)
}

/// RFC 9110 section 8.8.3.2: equal, weak or not.
pub fn weak_match(one: &HeaderValue, other: &HeaderValue) -> bool {
    opaque(one.as_bytes()).is_some_and(|one| opaque(other.as_bytes()) == Some(one))
}
