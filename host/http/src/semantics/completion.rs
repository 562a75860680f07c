//! Completing stored parts (RFC 9111 section 3.4): the origin is asked for the bytes that they lack for an answer, and
//! its 206 fills the gap.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::RequestHead;
use super::content_range::{ContentRange, content_range, label};
use super::fields::strip_hop_by_hop;
use super::partial::{parts, updated, wanted};
use super::ranges::ByteRange;
use super::validate::validation_fields;
use super::validator::{same_strong_validator, strong_validator};
use crate::entry::{Parts, StoredResponse};

/// The one gap that stored parts have in the range or the whole that a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The range that is wanted; none where the whole is.
    ranged: Option<ByteRange>,
    /// Position of the first byte that is missing.
    first: u64,
    /// Position of the last byte that is missing; none where everything to the end is, wherever that is.
    last: Option<u64>,
}

/// An answer made of stored parts and a 206 whose content, being received, fills the gap between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// 200 where the answer is the whole representation, else 206.
    pub status: StatusCode,
    /// The stored fields updated with those of the 206, with `Content-Length` and `Content-Range` of the answer.
    pub fields: HeaderMap,
    /// Length of the answer's content in bytes.
    pub bytes: u64,
    /// Stored content before the gap.
    pub before: Vec<Bytes>,
    /// Stored content after the gap.
    pub after: Vec<Bytes>,
}

/// The gap that stored parts have in the range that `ranged` asks for, or in the whole where that is none. None where
/// nothing is missing, everything is, or there is more than one gap, or where the parts have no strong validator
/// (section 3.4).
pub fn lacking(stored: &StoredResponse, ranged: Option<&RequestHead<'_>>) -> Option<Lacking> {
    let held = parts(stored)?;
    strong_validator(stored)?;
    match (ranged, held.complete()) {
        (Some(request), complete) => {
            let wanted = wanted(stored, request, Some(complete?))?;
            let gap = held.gap(wanted)?;
            Some(Lacking { ranged: Some(wanted), first: gap.first, last: Some(gap.last) })
        }
        (None, Some(complete)) => {
            let gap = held.gap(ByteRange { first: 0, last: complete.checked_sub(1)? })?;
            let last = (gap.last + 1 < complete).then_some(gap.last);
            Some(Lacking { ranged: None, first: gap.first, last })
        }
        // Where the length is not known, only the end may be missing.
        (None, None) => {
            let mut runs = held.ranges();
            let only = runs.next().filter(|run| run.first == 0)?;
            runs.next().is_none().then_some(Lacking { ranged: None, first: only.last + 1, last: None })
        }
    }
}

impl Lacking {
    /// How many bytes are missing; none where the gap goes to the end.
    pub fn bytes(&self) -> Option<u64> {
        self.last.map(|last| last - self.first + 1)
    }
}

/// Makes `fields` those of a request for the missing bytes: `Range` with `If-Range`. False, with `fields` unchanged,
/// where the parts can't be completed in this way.
pub fn completion_fields(stored: &StoredResponse, lacking: &Lacking, fields: &mut HeaderMap) -> bool {
    let Some(validator) = strong_validator(stored) else { return false };
    let last = lacking.last.map(|last| last.to_string()).unwrap_or_default();
    let Ok(range) = HeaderValue::from_str(&format!("bytes={}-{last}", lacking.first)) else { return false };
    validation_fields(&[], fields);
    fields.insert(RANGE, range);
    fields.insert(IF_RANGE, validator);
    true
}

/// The answer that stored parts and a 206 to the request of [`completion_fields`] make together; none where the 206 has
/// another validator, range or length, so that they are not of one representation or do not fill the gap.
///
/// Section 3.4: "A cache MAY combine these ranges into a single stored response [...] if they all share the same strong
/// validator", and then it "MUST update the stored response header fields using the header fields provided in the new
/// response".
pub fn completion(stored: &StoredResponse, lacking: &Lacking, response_206: &HeaderMap) -> Option<Completion> {
    let (held, came) = (parts(stored)?, content_range(response_206)?);
    let complete = came.complete?;
    let gap = ByteRange { first: lacking.first, last: lacking.last.unwrap_or(complete - 1) };
    let fits = came.range == gap && held.complete().is_none_or(|known| known == complete);
    if !fits || !same_strong_validator(stored, response_206) {
        return None;
    }
    let mut newer = response_206.clone();
    strip_hop_by_hop(&mut newer);
    let mut fields = updated(&stored.fields, &newer);
    let range = lacking.ranged.unwrap_or(ByteRange { first: 0, last: complete - 1 });
    fields.insert(CONTENT_LENGTH, HeaderValue::from(range.len()));
    let status = match lacking.ranged {
        None => StatusCode::OK,
        Some(range) => {
            fields.insert(CONTENT_RANGE, label(ContentRange { range, complete: Some(complete) })?);
            StatusCode::PARTIAL_CONTENT
        }
    };
    let before = (range.first < gap.first).then(|| ByteRange { first: range.first, last: gap.first - 1 });
    let after = (gap.last < range.last).then(|| ByteRange { first: gap.last + 1, last: range.last });
    Some(Completion {
        status,
        fields,
        bytes: range.len(),
        before: sliced(&held, before)?,
        after: sliced(&held, after)?,
    })
}

fn sliced(held: &Parts, range: Option<ByteRange>) -> Option<Vec<Bytes>> {
    range.map_or(Some(Vec::new()), |range| held.slice(range))
}
