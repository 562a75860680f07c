//! Validators (RFC 9110 section 8.8): entity tags, `Last-Modified`, and which of them are strong.

use http::header::{DATE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use sandbar_base::Timestamp;

use super::date;
use super::list::{Members, Quotes};
use crate::entry::StoredResponse;

/// Whether a conditional request can validate a stored response with this head.
///
/// RFC 9110 section 13.2.1: a server ignores preconditions where the answer without them "would have been a status code
/// other than a 2xx (Successful)". So an error or a redirect can't be validated: a 304 could only be about a resource
/// that has appeared in the meantime, and would wrongly keep the error alive.
pub fn can_be_validated(status: StatusCode, fields: &HeaderMap, received: Timestamp) -> bool {
    // RFC 9111 section 4.3.2: the entity tag of a part "MUST NOT" be sent unless the request is for a range within it.
    let whole = status.is_success() && status != StatusCode::PARTIAL_CONTENT;
    whole && (fields.contains_key(ETAG) || date::field(fields, &LAST_MODIFIED, received).is_some())
}

/// The opaque tags (quoted, without `W/`) of a list of entity tags. A comma within quotes is part of a tag; members
/// that are no entity tags are skipped.
pub fn tags(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    Members::of(line, Quotes::Tags).filter_map(opaque)
}

/// The opaque tag of an entity tag: the quoted part, without `W/`; none where `tag` is no entity tag.
pub fn opaque(tag: &[u8]) -> Option<&[u8]> {
    let tag = tag.trim_ascii();
    let quoted = tag.strip_prefix(b"W/").unwrap_or(tag);
    let inner = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    (!inner.contains(&b'"')).then_some(quoted)
}

/// Whether an entity tag is a strong validator.
pub fn is_strong(tag: &HeaderValue) -> bool {
    let tag = tag.as_bytes().trim_ascii();
    !tag.starts_with(b"W/") && opaque(tag).is_some()
}

/// Strong comparison (RFC 9110 section 8.8.3.2): the tags are equal, and both strong.
pub fn strong_match(one: &HeaderValue, other: &HeaderValue) -> bool {
    is_strong(one) && is_strong(other) && weak_match(one, other)
}

/// Weak comparison (RFC 9110 section 8.8.3.2): the opaque tags are equal, weak or not.
pub fn weak_match(one: &HeaderValue, other: &HeaderValue) -> bool {
    opaque(one.as_bytes()).is_some_and(|one| opaque(other.as_bytes()) == Some(one))
}

/// The `Last-Modified` of a stored response where it is a strong validator: where `Date` is at least a second later
/// (RFC 9110 section 8.8.2.2).
pub fn strong_last_modified(stored: &StoredResponse) -> Option<Timestamp> {
    let of = |name| date::field(&stored.fields, &name, stored.received);
    let modified = of(LAST_MODIFIED)?;
    (of(DATE).unwrap_or(stored.received).as_secs() > modified.as_secs()).then_some(modified)
}

/// The strong validator of a stored response, for `If-Range`: its entity tag, else its `Last-Modified`.
pub fn strong_validator(stored: &StoredResponse) -> Option<HeaderValue> {
    match stored.fields.get(ETAG) {
        Some(tag) => is_strong(tag).then(|| tag.clone()),
        None => strong_last_modified(stored).and_then(|_| stored.fields.get(LAST_MODIFIED).cloned()),
    }
}

/// Whether a response that was just received has the strong validator of a stored one.
pub fn same_strong_validator(stored: &StoredResponse, received: &HeaderMap) -> bool {
    match (stored.fields.get(ETAG), received.get(ETAG)) {
        (Some(one), Some(other)) => strong_match(one, other),
        (None, None) => {
            let modified = strong_last_modified(stored);
            modified.is_some() && modified == date::field(received, &LAST_MODIFIED, stored.received)
        }
        _ => false,
    }
}

/// Whether two responses have the same strong validator, so that they are parts or the whole of one representation (RFC
/// 9111 section 3.4).
pub fn same_representation(one: &StoredResponse, other: &StoredResponse) -> bool {
    match (one.fields.get(ETAG), other.fields.get(ETAG)) {
        (Some(one), Some(other)) => strong_match(one, other),
        (None, None) => {
            let modified = strong_last_modified(one);
            modified.is_some() && modified == strong_last_modified(other)
        }
        _ => false,
    }
}
