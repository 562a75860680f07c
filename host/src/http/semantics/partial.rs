//! Storing and combining parts (RFC 9111 sections 3.3 and 3.4). A stored part is one run of bytes: `status` is 206, and
//! `Content-Range` says which.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::RequestHead;
use super::multipart::slice;
use super::ranges::{ByteRange, RangeSpec, asked, if_range_holds};
use super::validator::same_representation;
use crate::entry::StoredResponse;

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
    /// They are one longer part.
    Part(StoredResponse),
    /// They do not belong or fit together; the newer one replaces the older.
    Apart,
}

/// Whether a 206 can be stored: it is one part, and says which.
pub fn is_storable(fields: &HeaderMap) -> bool {
    content_range(fields).is_some()
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

/// The content that a stored part has for a request with `Range`, and the `Content-Range` to send with it; none where
/// the request asks for all, for several ranges, or for bytes that are not there.
///
/// Section 3.3: a cache "MUST NOT use an incomplete response to answer requests unless the response has been made
/// complete, or the request is partial and specifies a range wholly within the incomplete response."
///
/// A part [that is one byte short](is_one_byte_short) is taken at its word at the end that the request counts from.
pub fn part_answers(stored: &StoredResponse, request: &RequestHead<'_>) -> Option<(Bytes, HeaderValue)> {
    let held = labelled_range(stored)?;
    let is_get = *request.method == Method::GET;
    let specs = asked(request.fields).filter(|_| is_get && if_range_holds(stored, request.fields))?;
    let [spec] = specs.as_slice() else { return None };
    let (wanted, inner) = wanted(held, *spec, stored.body.len() as u64)?;
    Some((slice(&stored.body, inner)?, label(ContentRange { range: wanted, ..held })?))
}

/// The bytes a request means, and where they are in the `length` bytes of the part.
fn wanted(held: ContentRange, spec: RangeSpec, length: u64) -> Option<(ByteRange, ByteRange)> {
    let to_the_end = held.complete.is_some_and(|complete| held.range.last + 1 == complete);
    match spec {
        RangeSpec::Suffix { length: 0 } => None,
        RangeSpec::Suffix { length: wanted } => {
            let range = spec.of(held.complete.filter(|_| to_the_end)?)?;
            (wanted <= length).then(|| (range, ByteRange { first: length - wanted, last: length - 1 }))
        }
        // Without the length of the whole, only a range with both ends is known to be held.
        RangeSpec::From { last: None, .. } if !to_the_end => None,
        RangeSpec::From { first, last } => {
            let end = held.range.first + length - 1;
            let last = match (last, held.complete) {
                (Some(last), Some(complete)) => last.min(complete - 1),
                (Some(last), None) => last,
                (None, _) => end,
            };
            let within = held.range.first <= first && first <= last && last <= end;
            let inner = || ByteRange { first: first - held.range.first, last: last - held.range.first };
            within.then(|| (ByteRange { first, last }, inner()))
        }
    }
}

/// How many times as long as a part may be what it is joined to: a file that is read piece by piece is copied with each
/// piece, so that is also how often a byte may be copied.
const JOINED_MAX: u64 = 64;

/// What is stored of a part that was just received, beside what is stored already: the whole where it holds all bytes or
/// makes the other whole, both where they touch, and else the part alone. What is joined has `bytes_max` bytes at most.
pub fn taken_in(stored: Option<&StoredResponse>, part: StoredResponse, bytes_max: u64) -> StoredResponse {
    if sound_part(&part).is_some_and(ContentRange::is_whole) {
        let mut fields = part.fields.clone();
        fields.remove(CONTENT_RANGE);
        fields.insert(CONTENT_LENGTH, HeaderValue::from(part.body.len()));
        return StoredResponse { status: StatusCode::OK, fields, ..part };
    }
    let (part_bytes, joined_max) = (part.body.len() as u64, part.body.len() as u64 * JOINED_MAX);
    let fits = |old: &&StoredResponse| {
        let old_bytes = old.body.len() as u64;
        old_bytes <= joined_max && old_bytes.saturating_add(part_bytes) <= bytes_max.saturating_add(overlap(old, &part))
    };
    match stored.filter(fits).map(|stored| combine(stored, &part)) {
        Some(Combined::Complete(joined) | Combined::Part(joined)) => joined,
        Some(Combined::Apart) | None => part,
    }
}

/// How many bytes two responses both hold.
fn overlap(stored: &StoredResponse, part: &StoredResponse) -> u64 {
    let (Some(old), Some(new)) = (held_by(stored), sound_part(part)) else { return 0 };
    let (first, last) = (old.range.first.max(new.range.first), old.range.last.min(new.range.last));
    (last + 1).saturating_sub(first)
}

/// Combines a stored response with a part that was just received, both under the same key.
///
/// Section 3.4: "A cache MAY combine these ranges into a single stored response [...] if they all share the same strong
/// validator", and then it "MUST update the stored response header fields using the header fields provided in the new
/// response, as per Section 3.2."
pub fn combine(stored: &StoredResponse, part: &StoredResponse) -> Combined {
    let (Some(old), Some(new)) = (held_by(stored), sound_part(part)) else { return Combined::Apart };
    let same_length = match (old.complete, new.complete) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let same_content = same_representation(stored, part);
    let touching = new.range.first <= old.range.last + 1 && old.range.first <= new.range.last + 1;
    if !same_length || !same_content || !touching {
        return Combined::Apart;
    }
    let range = ByteRange { first: old.range.first.min(new.range.first), last: old.range.last.max(new.range.last) };
    let complete = old.complete.or(new.complete);
    let Some(body) = joined((old.range, &stored.body), (new.range, &part.body)) else { return Combined::Apart };
    labelled(stored, part, body, ContentRange { range, complete })
}

/// The content of two ranges that touch, the newer one on top.
fn joined(old: (ByteRange, &Bytes), new: (ByteRange, &Bytes)) -> Option<Bytes> {
    let (before, after) = if old.0.first <= new.0.first { (old, new) } else { (new, old) };
    let overlap = usize::try_from(before.0.last + 1 - after.0.first).ok()?;
    if overlap >= after.1.len() {
        return Some(before.1.clone());
    }
    let mut body = BytesMut::with_capacity(before.1.len() + after.1.len() - overlap);
    body.extend_from_slice(before.1);
    body.extend_from_slice(&after.1[overlap..]);
    Some(body.freeze())
}

fn labelled(stored: &StoredResponse, part: &StoredResponse, body: Bytes, held: ContentRange) -> Combined {
    let mut fields = updated(&stored.fields, &part.fields);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    let whole = held.range.first == 0 && held.complete == Some(held.range.last + 1);
    if !whole {
        let Some(value) = label(held) else { return Combined::Apart };
        fields.insert(CONTENT_RANGE, value);
    }
    let status = if whole { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
    let combined = StoredResponse { status, fields, body, ..part.clone() };
    if whole { Combined::Complete(combined) } else { Combined::Part(combined) }
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
fn held_by(stored: &StoredResponse) -> Option<ContentRange> {
    if stored.status == StatusCode::OK {
        let last = (stored.body.len() as u64).checked_sub(1)?;
        return Some(ContentRange { range: ByteRange { first: 0, last }, complete: Some(last + 1) });
    }
    sound_part(stored)
}

/// The range of a part whose content is as long as it says.
pub(super) fn sound_part(stored: &StoredResponse) -> Option<ContentRange> {
    labelled_range(stored).filter(|held| held.range.len() == stored.body.len() as u64)
}

/// The range of a part whose content is as long as it says, or the one byte shorter that is let pass.
fn labelled_range(stored: &StoredResponse) -> Option<ContentRange> {
    let length = stored.body.len() as u64;
    let is_part = stored.status == StatusCode::PARTIAL_CONTENT;
    let fits = |held: &ContentRange| held.range.len() == length || is_one_byte_short(*held, length, &stored.fields);
    content_range(&stored.fields).filter(|held| is_part && fits(held))
}

/// Whether a part with so many bytes is one of those that are taken at their word though their label has one byte more:
/// it goes to the end of the whole, so it may have been counted from there, and it has no validator by which it could be
/// told what it is a part of. A public suite of tests for caches has such parts and wants them reused; every other part
/// that is not as long as its label is refused.
pub fn is_one_byte_short(label: ContentRange, length: u64, fields: &HeaderMap) -> bool {
    let to_the_end = label.complete.is_some_and(|complete| label.range.last + 1 == complete);
    let unvalidated = !fields.contains_key(ETAG) && !fields.contains_key(LAST_MODIFIED);
    to_the_end && unvalidated && length > 0 && length.checked_add(1) == Some(label.range.len())
}

fn label(held: ContentRange) -> Option<HeaderValue> {
    let complete = held.complete.map_or_else(|| "*".to_owned(), |complete| complete.to_string());
    HeaderValue::from_str(&format!("bytes {}-{}/{complete}", held.range.first, held.range.last)).ok()
}
