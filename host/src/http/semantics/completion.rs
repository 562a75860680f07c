//! Completing a stored part (RFC 9111 section 3.4): what it lacks is asked for, and what comes makes it whole.

use http::header::{CONTENT_LENGTH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};

use super::fields::strip_hop_by_hop;
use super::partial::{content_range, sound_part, updated};
use super::validate::validation_fields;
use super::validator::{same_strong_validator, strong_validator};
use crate::entry::StoredResponse;

/// A part that the origin has sent the rest of.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The fields of the whole, as those of a response with status 200.
    pub fields: HeaderMap,
    /// Length of the whole in bytes.
    pub complete: u64,
}

/// Makes a request for what a stored part still lacks at its end: `Range` with `If-Range`. False, and nothing changed,
/// where the part does not begin at the beginning or has no strong validator (section 3.4).
pub fn completion_fields(stored: &StoredResponse, fields: &mut HeaderMap) -> bool {
    let Some(held) = sound_part(stored).filter(|held| held.range.first == 0) else { return false };
    let Some(validator) = strong_validator(stored) else { return false };
    let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", held.range.last + 1)) else { return false };
    validation_fields(&[], fields);
    fields.insert(RANGE, range);
    fields.insert(IF_RANGE, validator);
    true
}

/// What a stored part and a 206 that answers [`completion_fields`] are together; none where they are not the whole of
/// one representation: another validator, another range, another length.
///
/// Section 3.4: "A cache MAY combine these ranges into a single stored response [...] if they all share the same strong
/// validator", and then it "MUST update the stored response header fields using the header fields provided in the new
/// response".
pub fn completion(stored: &StoredResponse, response_206: &HeaderMap) -> Option<Completion> {
    let (held, rest) = (sound_part(stored)?, content_range(response_206)?);
    let complete = rest.complete?;
    let fits = held.range.first == 0
        && rest.range.first == held.range.last + 1
        && rest.range.last + 1 == complete
        && held.complete.is_none_or(|known| known == complete);
    if !fits || !same_strong_validator(stored, response_206) {
        return None;
    }
    let mut newer = response_206.clone();
    strip_hop_by_hop(&mut newer);
    let mut fields = updated(&stored.fields, &newer);
    fields.insert(CONTENT_LENGTH, HeaderValue::from(complete));
    Some(Completion { fields, complete })
}
