//! Storing and combining parts (RFC 9111 sections 3.3 and 3.4). Of what has status 206 one part is stored as it came, and
//! `Content-Range` says which; several of one representation are [`Parts`].

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

/// What became of two parts.
#[derive(Clone, Debug, PartialEq)]
pub enum Combined {
    /// They are the whole: a response with status 200.
    Complete(StoredResponse),
    /// They are stored as parts of one representation.
    Part(StoredResponse),
    /// They do not belong together; the newer one replaces the older.
    Apart,
}

/// Whether a 206 can be stored: it is one part, says which, and announces no other length, or one byte less.
pub fn is_storable(fields: &HeaderMap) -> bool {
    let length = fields.get(CONTENT_LENGTH).and_then(|length| number(length.to_str().ok()?));
    let fits = |label: ContentRange, length| length == label.range.len() || is_one_byte_short(label, length, fields);
    content_range(fields).is_some_and(|label| length.is_none_or(|length| fits(label, length)))
}

/// What stored parts have for a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The content, in chunks that are shared with what is stored.
    pub chunks: Vec<Bytes>,
    /// The `Content-Range` to send with it.
    pub content_range: HeaderValue,
}

/// What stored parts have for a request with `Range`; none where the request asks for all, for several ranges, or for bytes
/// that are not there.
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

/// Whether it is a part, or several, and does not hold what answers the request.
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

/// The one range that a request wants of a stored representation of `complete` bytes. Where that length is not known, only
/// a range with both ends is.
pub(super) fn wanted(stored: &StoredResponse, request: &RequestHead<'_>, complete: Option<u64>) -> Option<ByteRange> {
    match (asked_for_one(stored, request)?, complete) {
        (spec, Some(complete)) => spec.of(complete),
        (RangeSpec::From { first, last: Some(last) }, None) => Some(ByteRange { first, last }),
        _ => None,
    }
}

/// What is stored of a part that was just received, beside what is stored already: the whole where it holds all bytes or
/// makes the other whole, both where they are of one representation, and else the part alone. None where nothing of it is:
/// it is not as long as its label (a short one takes the place of nothing), or what is stored would have more than `bytes_max` bytes with it, and stays as it is.
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

/// Whether what is stored would have more than `bytes_max` bytes with a part of the same representation, of which the head
/// has just come.
pub fn outgrows(stored: &StoredResponse, part: &StoredResponse, bytes_max: u64) -> bool {
    let (Some(held), Some(label)) = (held(stored), content_range(&part.fields)) else { return false };
    let of_one = same_representation(stored, part) && same_length(held.complete(), label.complete);
    of_one && held.bytes_with(label.range) > bytes_max
}

/// Combines a stored response with a part that was just received, both under the same key.
///
/// Section 3.4: "A cache MAY combine these ranges into a single stored response [...] if they all share the same strong
/// validator", and then it "MUST update the stored response header fields using the header fields provided in the new
/// response, as per Section 3.2." RFC 9110 section 15.3.7.3 has the ranges need not touch.
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

/// The stored fields with those of a newer part, which says nothing of the range that they are about any more.
pub(super) fn updated(stored: &HeaderMap, newer: &HeaderMap) -> HeaderMap {
    let mut fields = stored.clone();
    for name in newer.keys() {
        fields.remove(name);
    }
    fields.extend(newer.clone());
    fields.remove(CONTENT_RANGE);
    fields
}

/// What a stored response holds: a whole one everything.
fn held(stored: &StoredResponse) -> Option<Cow<'_, Parts>> {
    if stored.status == StatusCode::OK {
        let complete = Some(stored.body.len() as u64);
        return Parts::of([(0, Bytes::clone(&stored.body))], complete).map(Cow::Owned);
    }
    parts(stored)
}

/// The parts that are stored with status 206.
pub(super) fn parts(stored: &StoredResponse) -> Option<Cow<'_, Parts>> {
    if let Some(parts) = stored.parts.as_deref() {
        return Some(Cow::Borrowed(parts));
    }
    let ContentRange { range, complete } = sound_part(stored)?;
    Parts::of([(range.first, Bytes::clone(&stored.body))], complete).map(Cow::Owned)
}

/// The range of a part whose content is as long as it says.
fn sound_part(stored: &StoredResponse) -> Option<ContentRange> {
    let is_part = stored.status == StatusCode::PARTIAL_CONTENT;
    content_range(&stored.fields).filter(|held| is_part && held.range.len() == stored.body.len() as u64)
}
