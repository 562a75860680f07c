//! Soundness of a response, checked before anything else looks at it: its framing is unambiguous, it answers what was
//! asked, and a part says which range it is (RFC 9112 section 6, RFC 9110 sections 8.6, 14.4, 15.2, 15.3.7 and 15.4.5).
//!
//! No code may believe an announced length that differs from the content's. So of two announced lengths one is removed
//! or the response is refused, and the remaining one says how many bytes the content must have: the reader of the
//! content counts them.

use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
    RANGE, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};

use super::content_range::{ContentRange, content_range};
use super::ranges::{RangeSpec, asked};
use super::short_part::is_one_byte_short;

/// The properties of a request that decide which responses may answer it.
#[derive(Clone, Debug)]
pub struct Expected {
    method: Method,
    ranged: bool,
    /// Empty where there is no `Range`, or none that this cache understands.
    ranges: Vec<RangeSpec>,
    conditional: bool,
    /// The protocols that the origin was asked to switch to.
    protocols: Vec<HeaderValue>,
}

/// The head of a response, to be checked and put right.
#[derive(Debug)]
pub struct Received<'a> {
    /// The status code; a 206 that holds the whole, and was not asked for, becomes 200.
    pub status: &'a mut StatusCode,
    /// The HTTP version that the response came in.
    pub version: Version,
    /// The fields; those that repeat the framing, or contradict it, are removed.
    pub fields: &'a mut HeaderMap,
}

/// How long the content of a sound response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// There is no content, whatever follows.
    None,
    /// No length was announced: any length is right.
    Any,
    /// Exactly so many bytes.
    Exactly(u64),
    /// So many bytes, or one less: a part without a validator that answers a suffix range. With one less it is not
    /// stored.
    OrOneLess(u64),
}

/// Why a response is refused: it can't be believed, and is neither passed on nor stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsound {
    /// RFC 9112 section 6.1: this cache asks for no coding (`TE`), so `chunked` is the only one allowed; any other
    /// coding would be stored and passed on as if it were content.
    #[error("its Transfer-Encoding is not \"chunked\" alone")]
    Coding,
    /// RFC 9112 section 6.1: "A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header
    /// field MUST treat the message as if the framing is faulty, even if a Content-Length is present".
    #[error("it has a Transfer-Encoding, and is HTTP/1.0")]
    CodingInHttp10,
    /// RFC 9112 section 6.3: "If a message is received without Transfer-Encoding and with an invalid Content-Length
    /// header field, then the message framing is invalid".
    #[error("its Content-Length is not one number")]
    Length,
    /// RFC 9110 section 7.8: "A server MUST NOT switch to a protocol that was not indicated by the client in the
    /// corresponding request's Upgrade header field."
    #[error("it switches to a protocol that it was not asked for (101)")]
    Switch,
    /// RFC 9110 section 15.2: an interim response is followed by the final one.
    #[error("it is an interim response, and the last")]
    Interim,
    /// RFC 9110 section 15.2 does not limit interim responses; this cache does, or one request could go on for ever.
    #[error("more than {responses} interim responses (1xx) came before it, or than {bytes} bytes of them")]
    Interims {
        /// How many interim responses are allowed.
        responses: usize,
        /// How many bytes their fields may have together.
        bytes: usize,
    },
    /// RFC 9110 section 15.3.7: a 206 is "fulfilling a range request".
    #[error("it is a part (206), and the request has no Range")]
    UnaskedPart,
    /// RFC 9110 section 15.3.7.1: the server "MUST generate a Content-Range header field, describing what range of the
    /// selected representation is enclosed".
    #[error("it is a part (206) that does not say which: its Content-Range is missing, repeated or makes no sense")]
    Unlabelled,
    /// RFC 9110 section 15.3.7.2: "To avoid confusion with single-part responses, a server MUST NOT generate a
    /// Content-Range header field in the HTTP header section of a multiple part response".
    #[error("it has several parts (multipart/byteranges) and a Content-Range of its own")]
    LabelledMultipart,
    /// RFC 9110 section 14.4: the range of `Content-Range` is the one that is enclosed.
    #[error("its Content-Range speaks of {labelled} bytes, its Content-Length of {length}")]
    Mislabelled {
        /// How many bytes the range has.
        labelled: u64,
        /// How many bytes `Content-Length` says.
        length: u64,
    },
    /// RFC 9110 section 15.3.7: a 206 transfers parts of the ranges that were asked for.
    #[error("its Content-Range has no byte of the range that was asked for")]
    OtherRange,
    /// RFC 9110 section 15.4.5: a 304 answers "a conditional GET or HEAD request".
    #[error("it is a 304, and the request has no condition")]
    UnaskedNotModified,
    /// The content does not have the length that the head says.
    #[error("its content has {} than the {said} bytes that its head says", if *.longer { "more" } else { "less" })]
    Content {
        /// How many bytes the head says.
        said: u64,
        /// Whether the content has more than that, rather than less.
        longer: bool,
    },
}

impl Expected {
    /// The expectations of a request with this method and these fields, as it is sent to the origin.
    pub fn of(method: &Method, fields: &HeaderMap) -> Self {
        let conditions = [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE];
        Self {
            method: method.clone(),
            ranged: fields.contains_key(RANGE),
            ranges: asked(fields).unwrap_or_default(),
            conditional: conditions.iter().any(|name| fields.contains_key(name)),
            protocols: fields.get_all(UPGRADE).iter().cloned().collect(),
        }
    }

    /// Checks the head of a response and corrects it where possible: afterwards it says nothing wrong about its
    /// framing. Returns the length that the content must have.
    ///
    /// # Errors
    /// When the head can't be believed.
    pub fn check(&self, received: Received<'_>) -> Result<Length, Unsound> {
        let Received { status, version, fields } = received;
        let length = framed(version, fields)?;
        if status.is_informational() {
            fields.remove(CONTENT_LENGTH);
            let switches = *status == StatusCode::SWITCHING_PROTOCOLS;
            return if !switches {
                Err(Unsound::Interim)
            } else if self.asked_for(fields) {
                Ok(Length::None)
            } else {
                Err(Unsound::Switch)
            };
        }
        match *status {
            StatusCode::NO_CONTENT => {
                // RFC 9110 section 8.6: "A server MUST NOT send a Content-Length header field in any response with a
                // status code of 1xx (Informational) or 204 (No Content)."
                fields.remove(CONTENT_LENGTH);
                Ok(Length::None)
            }
            StatusCode::NOT_MODIFIED if !self.conditional => Err(Unsound::UnaskedNotModified),
            StatusCode::NOT_MODIFIED => Ok(Length::None),
            _ if self.method == Method::HEAD => Ok(Length::None),
            StatusCode::PARTIAL_CONTENT if self.method == Method::GET => self.check_part(status, fields, length),
            _ => Ok(length.map_or(Length::Any, Length::Exactly)),
        }
    }

    fn check_part(
        &self,
        status: &mut StatusCode,
        fields: &mut HeaderMap,
        length: Option<u64>,
    ) -> Result<Length, Unsound> {
        if is_multipart(fields) {
            return match (self.ranged, fields.contains_key(CONTENT_RANGE)) {
                (_, true) => Err(Unsound::LabelledMultipart),
                (false, _) => Err(Unsound::UnaskedPart),
                (true, false) => Ok(length.map_or(Length::Any, Length::Exactly)),
            };
        }
        let Some(label) = content_range(fields) else {
            // A range in another unit than bytes is understood only by the client and the origin.
            return match self.ranged && self.ranges.is_empty() && is_of_another_unit(fields) {
                true => Ok(length.map_or(Length::Any, Length::Exactly)),
                false => Err(Unsound::Unlabelled),
            };
        };
        let labelled = label.range.len();
        if !self.ranged && !label.is_whole() {
            return Err(Unsound::UnaskedPart);
        }
        if !self.ranges.is_empty() && !self.ranges.iter().any(|range| meets(*range, label)) {
            return Err(Unsound::OtherRange);
        }
        let content = match length {
            Some(length) if length == labelled => Length::Exactly(labelled),
            _ if !self.may_be_one_byte_short(label, fields) => match length {
                Some(length) => return Err(Unsound::Mislabelled { labelled, length }),
                None => Length::Exactly(labelled),
            },
            Some(length) if length + 1 == labelled => Length::Exactly(length),
            Some(length) => return Err(Unsound::Mislabelled { labelled, length }),
            None => Length::OrOneLess(labelled),
        };
        if !self.ranged {
            *status = StatusCode::OK;
            fields.remove(CONTENT_RANGE);
        }
        Ok(content)
    }

    /// Whether the request was for a suffix range that is one byte shorter than this label, so that the part may be
    /// short.
    fn may_be_one_byte_short(&self, label: ContentRange, fields: &HeaderMap) -> bool {
        let [RangeSpec::Suffix { length }] = self.ranges.as_slice() else { return false };
        is_one_byte_short(label, *length, fields)
    }

    fn asked_for(&self, fields: &HeaderMap) -> bool {
        let asked =
            |protocol: &[u8]| self.protocols.iter().flat_map(members).any(|one| one.eq_ignore_ascii_case(protocol));
        let mut switched = fields.get_all(UPGRADE).iter().flat_map(members).peekable();
        switched.peek().is_some() && switched.all(asked)
    }
}

/// Whether it is uncertain which bytes follow a response on its connection: no other request may be sent there.
///
/// RFC 9112 section 6.3 on messages with both lengths: "Such a message might indicate an attempt to perform request
/// smuggling [...] or response splitting". A 204 has no content, but may be followed by the content that it announces.
pub fn leaves_doubt(status: StatusCode, fields: &HeaderMap) -> bool {
    let (coded, length) = (fields.contains_key(TRANSFER_ENCODING), fields.get(CONTENT_LENGTH));
    let announced = coded || length.is_some_and(|length| length.as_bytes() != b"0");
    coded && length.is_some() || status == StatusCode::NO_CONTENT && announced
}

/// The announced length, where the framing is sound. Afterwards `fields` hold at most one `Content-Length`, and no
/// `Transfer-Encoding`.
fn framed(version: Version, fields: &mut HeaderMap) -> Result<Option<u64>, Unsound> {
    if fields.contains_key(TRANSFER_ENCODING) {
        if version < Version::HTTP_11 {
            return Err(Unsound::CodingInHttp10);
        }
        let codings: Vec<_> = fields.get_all(TRANSFER_ENCODING).iter().flat_map(members).collect();
        if !matches!(codings.as_slice(), [only] if only.eq_ignore_ascii_case(b"chunked")) {
            return Err(Unsound::Coding);
        }
        // RFC 9112 section 6.3: the coding "overrides the Content-Length", and a recipient that forwards the message
        // "MUST first remove the received Content-Length field".
        fields.remove(CONTENT_LENGTH);
        fields.remove(TRANSFER_ENCODING);
    }
    if !fields.contains_key(CONTENT_LENGTH) {
        return Ok(None);
    }
    let length = one_length(fields).ok_or(Unsound::Length)?;
    // RFC 9110 section 8.6: "replace the duplicated field values with a single valid Content-Length".
    fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(Some(length))
}

/// The one number on which all members of all `Content-Length` lines agree.
fn one_length(fields: &HeaderMap) -> Option<u64> {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter().flat_map(every_member).map(number);
    let length = lengths.next()??;
    lengths.all(|other| other == Some(length)).then_some(length)
}

fn number(digits: &[u8]) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(digits).ok()?.parse().ok()).flatten()
}

/// The members of a list, including empty ones.
fn every_member(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn members(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    every_member(line).filter(|member| !member.is_empty())
}

fn is_multipart(fields: &HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/byteranges";
    let content_type = fields.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes().trim_ascii_start());
    content_type.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

fn is_of_another_unit(fields: &HeaderMap) -> bool {
    let label = fields.get(CONTENT_RANGE).and_then(|value| value.to_str().ok()?.split_once(' '));
    // A unit is a token (RFC 9110 section 14.1), as a field name is: `bytes=0-1/2` has none.
    label
        .is_some_and(|(unit, _)| !unit.eq_ignore_ascii_case("bytes") && HeaderName::from_bytes(unit.as_bytes()).is_ok())
}

/// Whether a part has a byte of a range that was asked for; true where that can't be known.
fn meets(asked: RangeSpec, label: ContentRange) -> bool {
    match (asked, label.complete) {
        (RangeSpec::From { first, last }, _) => {
            label.range.first <= last.unwrap_or(u64::MAX) && first <= label.range.last
        }
        (RangeSpec::Suffix { .. }, None) => true,
        (RangeSpec::Suffix { .. }, Some(complete)) => {
            asked.of(complete).is_some_and(|range| range.first <= label.range.last)
        }
    }
}
