//! Completing stored parts (RFC 9111 section 3.4): what they lack for an answer is asked for, and what comes fills the gap.

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

/// The one gap that stored parts have in what is wanted of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The range that is wanted; none where that is the whole.
    ranged: Option<ByteRange>,
    /// Position of the first byte that is not there.
    first: u64,
    /// Position of the last one; none where the gap goes to an end that need not be known.
    last: Option<u64>,
}

/// An answer that the origin has sent the lacking bytes of.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// 200 where it is the whole, else 206.
    pub status: StatusCode,
    /// The fields of the answer.
    pub fields: HeaderMap,
    /// Its length in bytes.
    pub bytes: u64,
    /// Stored content before what has come.
    pub before: Vec<Bytes>,
    /// Stored content behind it.
    pub after: Vec<Bytes>,
}

/// What stored parts lack of the range that a request is for, or of the whole where there is none; none where that is
/// nothing, everything, or more than one gap, or where they have no strong validator (section 3.4).
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
        // Of an unknown length only the end may be lacking.
        (None, None) => {
            let mut runs = held.ranges();
            let only = runs.next().filter(|run| run.first == 0)?;
            runs.next().is_none().then_some(Lacking { ranged: None, first: only.last + 1, last: None })
        }
    }
}

impl Lacking {
    /// How many bytes are lacking, where that is known.
    pub fn bytes(&self) -> Option<u64> {
        self.last.map(|last| last - self.first + 1)
    }
}

/// Makes a request for what stored parts lack: `Range` with `If-Range`. False, and nothing changed, where they can't be
/// completed so.
pub fn completion_fields(stored: &StoredResponse, lacking: &Lacking, fields: &mut HeaderMap) -> bool {
    let Some(validator) = strong_validator(stored) else { return false };
    let last = lacking.last.map(|last| last.to_string()).unwrap_or_default();
    let Ok(range) = HeaderValue::from_str(&format!("bytes={}-{last}", lacking.first)) else { return false };
    validation_fields(&[], fields);
    fields.insert(RANGE, range);
    fields.insert(IF_RANGE, validator);
    true
}

/// What stored parts and a 206 that answers [`completion_fields`] are together; none where they are not what was wanted of
/// one representation: another validator, another range, another length.
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
