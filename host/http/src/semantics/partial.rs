//! Storing and combining parts (RFC 9111 sections 3.3 and 3.4). Of what has status 206 one part is stored as it came, and
//! `Content-Range` says which; several of one representation are [`Parts`].

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sandbar_base::memory_budget::Content;

use super::RequestHead;
use super::ranges::{ByteRange, RangeSpec, asked, if_range_holds};
use super::short_part::{is_one_byte_short, short_answers, short_label};
use super::validator::same_representation;
use crate::entry::{Parts, StoredResponse};

/// Which part of what a 206 holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The part.
    pub range: ByteRange,
    /// Length of the whole in bytes, where it is known.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Whether it is all there is.
    pub fn is_whole(self) -> bool {
        self.range.first == 0 && self.complete == Some(self.range.last + 1)
    }
}

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

/// The `Content-Range` of a 206 (RFC 9110 section 14.4); none where it is missing, repeated or makes no sense.
pub fn content_range(fields: &HeaderMap) -> Option<ContentRange> {
    let mut lines = fields.get_all(CONTENT_RANGE).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let (unit, rest) = line.to_str().ok()?.trim().split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (range, complete) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = ByteRange { first: number(first)?, last: number(last)? };
    let complete = if complete == "*" { None } else { Some(number(complete)?) };
    // "A Content-Range field value is invalid if it contains a range-resp that has a last-pos value less than its
    // first-pos value, or a complete-length value less than or equal to its last-pos value."
    let sound = range.first <= range.last && range.last < u64::MAX && complete.is_none_or(|all| range.last < all);
    sound.then_some(ContentRange { range, complete })
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
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
    if let Some(label) = short_label(stored) {
        return short_answers(label, stored, request);
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

/// The one range that a request asks for of what is stored.
pub(super) fn asked_for_one(stored: &StoredResponse, request: &RequestHead<'_>) -> Option<RangeSpec> {
    let is_get = *request.method == Method::GET;
    let specs = asked(request.fields).filter(|_| is_get && if_range_holds(stored, request.fields))?;
    let [spec] = specs.as_slice() else { return None };
    Some(*spec)
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

pub(super) fn label(held: ContentRange) -> Option<HeaderValue> {
    let complete = held.complete.map_or_else(|| "*".to_owned(), |complete| complete.to_string());
    HeaderValue::from_str(&format!("bytes {}-{}/{complete}", held.range.first, held.range.last)).ok()
}
