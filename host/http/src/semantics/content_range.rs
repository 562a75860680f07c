//! `Content-Range` (RFC 9110 section 14.4): which part of a representation a 206 holds.

use http::header::CONTENT_RANGE;
use http::{HeaderMap, HeaderValue};

use crate::entry::ByteRange;

/// The value of `Content-Range` with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes that the 206 holds, as positions in the whole representation.
    pub range: ByteRange,
    /// Length of the whole in bytes, where it is known.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Whether the range is the whole representation.
    pub fn is_whole(self) -> bool {
        self.range.first == 0 && self.complete == Some(self.range.last + 1)
    }
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

/// A position or a length in decimal.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The field value of a `Content-Range`.
pub(super) fn label(held: ContentRange) -> Option<HeaderValue> {
    let complete = held.complete.map_or_else(|| "*".to_owned(), |complete| complete.to_string());
    HeaderValue::from_str(&format!("bytes {}-{}/{complete}", held.range.first, held.range.last)).ok()
}
