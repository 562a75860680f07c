//! Answering `Range` and `If-Range` from a complete stored response (RFC 9110 section 14, RFC 9111 section 3.3).

use http::header::{ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::list::{Members, Quotes};
use super::validator::{strong_last_modified, strong_match};
use super::{RequestHead, date};
pub use crate::entry::ByteRange;
use crate::entry::StoredResponse;

/// How many ranges a request may have before the whole is sent instead: RFC 9110 section 17.15, servers "ought to
/// ignore, coalesce, or reject egregious range requests".
pub const RANGES_MAX: usize = 16;

/// The value of `Content-Range` in a 416 for a representation of `complete` bytes (RFC 9110 section 15.5.17).
pub fn unsatisfied_range(complete: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("bytes */{complete}")).unwrap_or_else(|_| HeaderValue::from_static("bytes */*"))
}

/// The ranges of a complete stored response that answer a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// The whole content: 200.
    Full,
    /// One range: 206 with `Content-Range`.
    Single(ByteRange),
    /// Several ranges: 206 as `multipart/byteranges`. At most [`RANGES_MAX`], none of which overlap.
    Multi(Vec<ByteRange>),
    /// No requested range begins within the content: 416.
    Unsatisfiable,
}

/// Selects the ranges of a complete stored response that answer a request; preconditions are evaluated before (RFC 9110
/// section 13.2.2).
pub fn ranges(stored: &StoredResponse, request: &RequestHead<'_>) -> Ranges {
    // Section 14.2: "A server MUST ignore a Range header field received with a request method that is unrecognized or
    // for which range handling is not defined. For this specification, GET is the only method for which range handling
    // is defined."
    if *request.method != Method::GET || stored.status != StatusCode::OK || !if_range_holds(stored, request.fields) {
        return Ranges::Full;
    }
    match asked(request.fields) {
        Some(specs) => select(&specs, stored.body.len() as u64),
        None => Ranges::Full,
    }
}

/// One `range-spec` of the unit `bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// `first-last`, or `first-`.
    From {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte, where it was given.
        last: Option<u64>,
    },
    /// `-length`: the last `length` bytes.
    Suffix {
        /// How many bytes.
        length: u64,
    },
}

impl RangeSpec {
    /// The range that it means of a representation of `complete` bytes; none where it can't be satisfied (section
    /// 14.1.2).
    pub fn of(self, complete: u64) -> Option<ByteRange> {
        let end = complete.checked_sub(1)?;
        match self {
            Self::From { first, .. } if first > end => None,
            Self::From { first, last } => Some(ByteRange { first, last: last.unwrap_or(end).min(end) }),
            Self::Suffix { length: 0 } => None,
            Self::Suffix { length } => Some(ByteRange { first: complete.saturating_sub(length), last: end }),
        }
    }
}

/// The ranges that a request asks for; none where it has no `Range`, an invalid one, another unit than bytes or more
/// than [`RANGES_MAX`] ranges: section 14.2, "A server that supports range requests MAY ignore or reject a Range header
/// field that contains an invalid ranges-specifier".
pub fn asked(fields: &HeaderMap) -> Option<Vec<RangeSpec>> {
    let mut lines = fields.get_all(RANGE).iter();
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let text = line.to_str().ok()?.trim();
    let (unit, set) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let members = Members::of(set.as_bytes(), Quotes::None).filter(|member| !member.is_empty());
    // One more than is allowed is read, to notice that there are too many.
    let specs: Option<Vec<RangeSpec>> = members.take(RANGES_MAX + 1).map(spec).collect();
    specs.filter(|specs| !specs.is_empty() && specs.len() <= RANGES_MAX)
}

fn spec(text: &[u8]) -> Option<RangeSpec> {
    let (first, last) = std::str::from_utf8(text).ok()?.split_once('-')?;
    match (first, last) {
        ("", length) => Some(RangeSpec::Suffix { length: position(length)? }),
        (first, "") => Some(RangeSpec::From { first: position(first)?, last: None }),
        (first, last) => {
            let (first, last) = (position(first)?, position(last)?);
            // "An int-range is invalid if the last-pos value is present and less than first-pos."
            (first <= last).then_some(RangeSpec::From { first, last: Some(last) })
        }
    }
}

/// Reads a position or length (`1*DIGIT`); a number that does not fit becomes `u64::MAX`.
fn position(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn select(specs: &[RangeSpec], complete: u64) -> Ranges {
    let satisfiable: Vec<ByteRange> = specs.iter().filter_map(|spec| spec.of(complete)).collect();
    match coalesced(satisfiable).as_slice() {
        // A suffix range of empty content is satisfiable, but has no `Content-Range`: the (empty) whole is sent.
        [] if complete == 0 && specs.iter().any(|spec| matches!(spec, RangeSpec::Suffix { length: 1.. })) => {
            Ranges::Full
        }
        [] => Ranges::Unsatisfiable,
        [only] => Ranges::Single(*only),
        several => Ranges::Multi(several.to_vec()),
    }
}

/// Section 15.3.7.2: "When multiple ranges are requested, a server MAY coalesce any of the ranges that overlap".
/// Coalesced ranges are sorted by position; where none overlap or touch, they stay in the client's order.
fn coalesced(ranges: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|range| (range.first, range.last));
    let mut merged: Vec<ByteRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(before) if range.first <= before.last.saturating_add(1) => before.last = before.last.max(range.last),
            _ => merged.push(range),
        }
    }
    if merged.len() == ranges.len() { ranges } else { merged }
}

/// The one range that a GET asks for of a stored response; none where it asks for several, or `If-Range` does not hold.
pub(super) fn asked_for_one(stored: &StoredResponse, request: &RequestHead<'_>) -> Option<RangeSpec> {
    let is_get = *request.method == Method::GET;
    let specs = asked(request.fields).filter(|_| is_get && if_range_holds(stored, request.fields))?;
    let [spec] = specs.as_slice() else { return None };
    Some(*spec)
}

/// RFC 9110 section 13.1.5: `Range` counts only where `If-Range` is absent or names the stored representation itself.
fn if_range_holds(stored: &StoredResponse, fields: &HeaderMap) -> bool {
    let mut conditions = fields.get_all(IF_RANGE).iter();
    let Some(condition) = conditions.next() else { return true };
    if conditions.next().is_some() {
        return false;
    }
    if condition.as_bytes().contains(&b'"') {
        // "A client MUST NOT generate an If-Range header field containing an entity tag that is marked as weak."
        return stored.fields.get(ETAG).is_some_and(|tag| strong_match(tag, condition));
    }
    let asked = date::parse(condition, stored.received);
    asked.is_some() && strong_last_modified(stored) == asked
}
