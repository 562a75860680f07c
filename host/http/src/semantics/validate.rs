//! Validation (RFC 9111 section 4.3): asking the origin whether stored responses are still good, and freshening them.

use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::fields::strip_hop_by_hop;
use super::validator::{can_be_validated, is_strong, strong_match, weak_match};
use super::{Times, date};
use crate::entry::StoredResponse;

/// Every field that makes a request depend on a stored response.
const CONDITIONS: [HeaderName; 6] = [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// Fields that a 304 or a HEAD does not change: section 3.2 excepts Content-Length, and the others describe the stored
/// content as it was received.
const BOUND_TO_CONTENT: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];

/// Fields that identify the stored content: where the stored response has one, a 304 does not change it (section 3.2,
/// "header fields that the cache's stored response depends upon").
const NAMES_OF_CONTENT: [HeaderName; 4] = [
    ETAG,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Turns a forwarded request into one that validates the stored responses of a key: the client's own conditions and its
/// `Range` make way for the cache's (section 4.3.1).
///
/// Where nothing can be validated the request becomes unconditional.
pub fn validation_fields(stored: &[&StoredResponse], fields: &mut HeaderMap) {
    for name in &CONDITIONS {
        fields.remove(name);
    }
    let valid = |one: &&&StoredResponse| can_be_validated(one.status, &one.fields, one.received);
    let stored: Vec<&StoredResponse> = stored.iter().filter(valid).copied().collect();
    // "MUST send the relevant entity tags (using If-Match, If-None-Match, or If-Range) if the entity tags were provided
    // in the stored response(s) being validated."
    let tags: Vec<&[u8]> = stored.iter().filter_map(|one| one.fields.get(ETAG)).map(HeaderValue::as_bytes).collect();
    if let Ok(tags) = HeaderValue::from_bytes(&tags.join(&b", "[..]))
        && !tags.is_empty()
    {
        fields.insert(IF_NONE_MATCH, tags);
    }
    // "SHOULD send the Last-Modified value (using If-Modified-Since) if the request is not for a subrange, a single
    // stored response is being validated, and that response contains a Last-Modified value."
    if let [only] = stored.as_slice()
        && let Some(modified) = only.fields.get(LAST_MODIFIED)
        && date::parse(modified, only.received).is_some()
    {
        fields.insert(IF_MODIFIED_SINCE, modified.clone());
    }
}

/// Which of the stored responses of a key a 304 freshens (section 4.3.4), as indices into `stored`, which has the
/// newest first.
pub fn selected_by_304(stored: &[&StoredResponse], response_304: &HeaderMap) -> Vec<usize> {
    let matching = |matches: &dyn Fn(&StoredResponse) -> bool| {
        stored.iter().enumerate().filter(|(_, one)| matches(one)).map(|(index, _)| index).collect::<Vec<_>>()
    };
    match response_304.get(ETAG) {
        // "If the new response contains one or more strong validators, then each of those strong validators identifies
        // a selected representation for update. All the stored responses in the initial set with one of those same
        // strong validators are identified for update. If none of the initial set contains at least one of the same
        // strong validators, then the cache MUST NOT use the new response to update any stored responses."
        Some(tag) if is_strong(tag) => {
            matching(&|one| one.fields.get(ETAG).is_some_and(|stored| strong_match(stored, tag)))
        }
        // "If the new response contains no strong validators but does contain one or more weak validators, and those
        // validators correspond to one of the initial set's stored responses, then the most recent of those matching
        // stored responses is identified for update." An entity tag without quotes is no valid one; it matches where
        // the origin repeats it exactly.
        Some(tag) => {
            first(matching(&|one| one.fields.get(ETAG).is_some_and(|stored| weak_match(stored, tag) || stored == tag)))
        }
        None => match response_304.get(LAST_MODIFIED) {
            Some(modified) => first(matching(&|one| one.fields.get(LAST_MODIFIED) == Some(modified))),
            // "If the new response does not include any form of validator [...], and there is only one stored response
            // in the initial set, and that stored response also lacks a validator, then that stored response is
            // identified for update." A 304 that answers this cache's validators and repeats none of them is accepted
            // too.
            None if stored.len() == 1 => vec![0],
            None => Vec::new(),
        },
    }
}

fn first(mut indices: Vec<usize>) -> Vec<usize> {
    indices.truncate(1);
    indices
}

/// The fields of a stored response after a 304 (sections 3.2 and 4.3.4): every field of the 304 replaces the stored
/// lines of its name, apart from the fields of the connection and those that describe the stored content.
///
/// `Age` and `Date` are those of the 304, `Date` the time of its receipt where it has none, so that the age can be
/// computed anew from the result (`standard`).
pub fn freshen(stored: &StoredResponse, response_304: &HeaderMap, times: Times) -> HeaderMap {
    let mut update = response_304.clone();
    strip_hop_by_hop(&mut update);
    for name in &BOUND_TO_CONTENT {
        update.remove(name);
    }
    for name in NAMES_OF_CONTENT.iter().filter(|name| stored.fields.contains_key(*name)) {
        update.remove(name);
    }
    if date::field(&update, &DATE, times.received).is_none() {
        update.insert(DATE, date::format(times.received));
    }
    let mut merged = stored.fields.clone();
    merged.remove(AGE);
    for name in update.keys() {
        merged.remove(name);
    }
    merged.extend(update);
    merged
}

/// What a 200 to HEAD means for a stored response to GET (section 4.3.5).
#[derive(Clone, Debug, PartialEq)]
pub enum HeadUpdate {
    /// The 200 describes the stored content: these are the stored response's fields from now on.
    Freshened(HeaderMap),
    /// The 200 describes other content: "the cache SHOULD consider the stored response to be stale".
    Outdated,
}

/// Updates a stored response from a 200 to HEAD, where both "have matching values for any received validator fields
/// (ETag and Last-Modified) and, if the HEAD response has a Content-Length header field, the value of Content-Length
/// matches that of the stored response".
pub fn freshen_from_head(stored: &StoredResponse, head: &HeaderMap, times: Times) -> HeadUpdate {
    let same = |name: &HeaderName| head.get(name).is_none_or(|new| stored.fields.get(name) == Some(new));
    let same_length = match head.get(CONTENT_LENGTH) {
        Some(length) => length.as_bytes() == stored.body_bytes().to_string().as_bytes(),
        None => true,
    };
    if same(&ETAG) && same(&LAST_MODIFIED) && same_length {
        HeadUpdate::Freshened(freshen(stored, head, times))
    } else {
        HeadUpdate::Outdated
    }
}
