//! Short parts: 206 responses with one byte less of content than their label (`Content-Range`) says.
//!
//! Some origins count so. Only a part is accepted that goes to the end of the whole, as it may have been counted from
//! there, and that has no validator, so that it could not be combined anyway. A short part is never combined; where it
//! answers a request, its bytes count from the last one for a suffix range, else from the first one. Every other part
//! whose length differs from its label is refused. A public suite of tests for caches has such parts and expects them
//! to be reused.

use bytes::Bytes;
use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};

use super::RequestHead;
use super::content_range::{ContentRange, content_range};
use super::ranges::{RangeSpec, asked_for_one};
use crate::entry::{ByteRange, StoredResponse};

/// Whether a part with `length` bytes of content under this label is a short part.
pub(super) fn is_one_byte_short(label: ContentRange, length: u64, fields: &HeaderMap) -> bool {
    let to_the_end = label.complete.is_some_and(|complete| label.range.last + 1 == complete);
    let unvalidated = !fields.contains_key(ETAG) && !fields.contains_key(LAST_MODIFIED);
    to_the_end && unvalidated && length > 0 && length.checked_add(1) == Some(label.range.len())
}

/// The label of a stored response that is a short part; none for all others.
pub(super) fn short_label(stored: &StoredResponse) -> Option<ContentRange> {
    let label = content_range(&stored.fields).filter(|_| stored.status == StatusCode::PARTIAL_CONTENT)?;
    is_one_byte_short(label, stored.body.len() as u64, &stored.fields).then_some(label)
}

/// The part of a stored short part with label `held` that answers a request with `Range`, and its content.
pub(super) fn short_answers(
    held: ContentRange,
    stored: &StoredResponse,
    request: &RequestHead<'_>,
) -> Option<(ContentRange, Bytes)> {
    let (range, inner) = meant(held, asked_for_one(stored, request)?, stored.body.len() as u64)?;
    let (first, last) = (usize::try_from(inner.first).ok()?, usize::try_from(inner.last).ok()?);
    Some((ContentRange { range, ..held }, stored.body.slice(first..=last)))
}

/// The range that a request means, and where its bytes are in the `length` bytes of stored content.
fn meant(held: ContentRange, spec: RangeSpec, length: u64) -> Option<(ByteRange, ByteRange)> {
    let complete = held.complete?;
    match spec {
        RangeSpec::Suffix { length: wanted } => {
            let range = spec.of(complete)?;
            (wanted <= length).then(|| (range, ByteRange { first: length - wanted, last: length - 1 }))
        }
        RangeSpec::From { first, last } => {
            let end = held.range.first + length - 1;
            let last = last.map_or(end, |last| last.min(complete - 1));
            let within = held.range.first <= first && first <= last && last <= end;
            let inner = || ByteRange { first: first - held.range.first, last: last - held.range.first };
            within.then(|| (ByteRange { first, last }, inner()))
        }
    }
}
