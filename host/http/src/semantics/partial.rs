//! Storing and combining parts (RFC 9111 sections 3.3 and 3.4). A stored response with status 206 is either one part as
//! it came, with its `Content-Range`, or several parts of one representation, as [`Parts`].

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sandbar_base::memory_budget::Content;

use super::RequestHead;
pub use super::content_range::{ContentRange, content_range};
use super::content_range::{label, number};
use super::ranges::{ByteRange, RangeSpec, asked_for_one};
use super::short_part::{is_one_byte_short, short_answers, short_label};
use super::validator::same_representation;
use crate::entry::{Parts, StoredResponse};

/// The result of combining a stored response with a newer part.
#[derive(Clone, Debug, PartialEq)]
pub enum Combined {
    /// Together they are the whole: a response with status 200.
    Complete(StoredResponse),
    /// Together they are parts of one representation, with a gap: a response with status 206.
    Part(StoredResponse),
    /// They can't be combined; the newer part replaces the stored response.
    Apart,
}

/// Whether a 206 can be stored: it is one part with a valid `Content-Range`, and announces no other length, apart from
/// the one byte less of a short part.
pub fn is_storable(fields: &HeaderMap) -> bool {
    let length = fields.get(CONTENT_LENGTH).and_then(|length| number(length.to_str().ok()?));
    let fits = |label: ContentRange, length| length == label.range.len() || is_one_byte_short(label, length, fields);
    content_range(fields).is_some_and(|label| length.is_none_or(|length| fits(label, length)))
}

/// The content of stored parts that answers a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The content, in chunks that are slices of the stored ones, without a copy.
    pub chunks: Vec<Bytes>,
    /// The `Content-Range` to send with it.
    pub content_range: HeaderValue,
}

/// The content of stored parts that answers a request with `Range`; none where the request asks for the whole, for
/// several ranges, or for bytes that are not stored.
///
/// Section 3.3: a cache "MUST NOT use an incomplete response to answer requests unless the response has been made
/// complete, or the request is partial and specifies a range wholly within the incomplete response."
pub fn part_answers(stored: &StoredResponse, request: &RequestHead<'_>) -> Option<Answer> {
    if let Some(held) = short_label(stored) {
        let (part, content) = short_answers(held, stored, request)?;
        return Some(Answer { chunks: vec![content], content_range: label(part)? });
    }
    let held = parts(stored)?;
    let range = wanted(stored, request, held.complete())?;
    let content_range = label(ContentRange { range, complete: held.complete() })?;
    Some(Answer { chunks: held.slice(range)?, content_range })
}

/// Whether `stored` is one or several parts (206) that do not hold the bytes that the request asks for.
pub fn lacks_what_is_asked(stored: &StoredResponse, request: &RequestHead<'_>) -> bool {
    let answers = || {
        if let Some(label) = short_label(stored) {
            return Some(short_answers(label, stored, request).is_some());
        }
        let held = parts(stored)?;
        Some(held.hold(wanted(stored, request, held.complete())?))
    };
    stored.status == StatusCode::PARTIAL_CONTENT && answers() != Some(true)
}

/// The one range that a request wants of a stored representation of `complete` bytes. Where that length is not known,
/// it is known only for a range with both ends.
pub(super) fn wanted(stored: &StoredResponse, request: &RequestHead<'_>, complete: Option<u64>) -> Option<ByteRange> {
    match (asked_for_one(stored, request)?, complete) {
        (spec, Some(complete)) => spec.of(complete),
        (RangeSpec::From { first, last: Some(last) }, None) => Some(ByteRange { first, last }),
        _ => None,
    }
}

/// What to store when `part` was just received and `stored` is stored already: the whole, where the part holds all
/// bytes or completes the stored ones; both combined, where they are of one representation; else the part alone.
///
/// None where the stored response stays as it is: the part's content is not as long as its label (a short part never
/// replaces other parts or the whole), or both together would have more than `bytes_max` bytes.
pub fn taken_in(stored: Option<&StoredResponse>, part: StoredResponse, bytes_max: u64) -> Option<StoredResponse> {
    if short_label(&part).is_some() {
        return stored.is_none_or(|stored| held(stored).is_none()).then_some(part);
    }
    if sound_part(&part)?.is_whole() {
        let mut fields = part.fields.clone();
        fields.remove(CONTENT_RANGE);
        fields.insert(CONTENT_LENGTH, HeaderValue::from(part.body.len()));
        return Some(StoredResponse { status: StatusCode::OK, fields, ..part });
    }
    match stored.map_or(Combined::Apart, |stored| combine(stored, &part)) {
        Combined::Complete(joined) | Combined::Part(joined) => (joined.body_bytes() <= bytes_max).then_some(joined),
        Combined::Apart => Some(part),
    }
}

/// Whether the stored response, combined with a part of the same representation, would have more than `bytes_max`
/// bytes. Of `part` only the head is looked at.
pub fn outgrows(stored: &StoredResponse, part: &StoredResponse, bytes_max: u64) -> bool {
    let (Some(held), Some(label)) = (held(stored), content_range(&part.fields)) else { return false };
    let of_one = same_representation(stored, part) && same_length(held.complete(), label.complete);
    of_one && held.bytes_with(label.range) > bytes_max
}

/// Combines a stored response with a part that was just received, both under the same key.
///
/// Section 3.4: "A cache MAY combine these ranges into a single stored response [...] if they all share the same strong
/// validator", and then it "MUST update the stored response header fields using the header fields provided in the new
/// response, as per Section 3.2." By RFC 9110 section 15.3.7.3 the ranges need not touch.
pub fn combine(stored: &StoredResponse, part: &StoredResponse) -> Combined {
    let (Some(old), Some(new)) = (held(stored), sound_part(part)) else { return Combined::Apart };
    if !same_representation(stored, part) {
        return Combined::Apart;
    }
    let joined = old.with(new.range.first, &part.body, new.complete).and_then(|all| labelled(stored, part, new, all));
    joined.unwrap_or(Combined::Apart)
}

fn same_length(one: Option<u64>, other: Option<u64>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

fn labelled(stored: &StoredResponse, part: &StoredResponse, new: ContentRange, all: Parts) -> Option<Combined> {
    let mut fields = updated(&stored.fields, &part.fields);
    if let Some(body) = all.whole() {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let whole = StoredResponse { status: StatusCode::OK, fields, body: body.into(), ..part.clone() };
        return Some(Combined::Complete(whole));
    }
    let around = all.around(new.range)?;
    fields.insert(CONTENT_LENGTH, HeaderValue::from(around.len()));
    fields.insert(CONTENT_RANGE, label(ContentRange { range: around, complete: all.complete() })?);
    let parts = Some(Arc::new(all));
    Some(Combined::Part(StoredResponse { fields, body: Content::default(), parts, ..part.clone() }))
}

/// The stored fields, updated with those of a newer part, without `Content-Range`: the part's no longer describes the
/// result.
pub(super) fn updated(stored: &HeaderMap, newer: &HeaderMap) -> HeaderMap {
    let mut fields = stored.clone();
    for name in newer.keys() {
        fields.remove(name);
    }
    fields.extend(newer.clone());
    fields.remove(CONTENT_RANGE);
    fields
}

/// The parts that a stored response holds; a complete one (200) counts as one part.
fn held(stored: &StoredResponse) -> Option<Cow<'_, Parts>> {
    if stored.status == StatusCode::OK {
        let complete = Some(stored.body.len() as u64);
        return Parts::of([(0, Bytes::clone(&stored.body))], complete).map(Cow::Owned);
    }
    parts(stored)
}

/// The parts of a stored response with status 206; none for any other, and for a short part.
pub(super) fn parts(stored: &StoredResponse) -> Option<Cow<'_, Parts>> {
    if let Some(parts) = stored.parts.as_deref() {
        return Some(Cow::Borrowed(parts));
    }
    let ContentRange { range, complete } = sound_part(stored)?;
    Parts::of([(range.first, Bytes::clone(&stored.body))], complete).map(Cow::Owned)
}

/// The `Content-Range` of a stored part whose content is as long as its label says.
fn sound_part(stored: &StoredResponse) -> Option<ContentRange> {
    let is_part = stored.status == StatusCode::PARTIAL_CONTENT;
    content_range(&stored.fields).filter(|held| is_part && held.range.len() == stored.body.len() as u64)
}
