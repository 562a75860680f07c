//! Checks of a request before the cache handles it: whether its framing is sound, its method safe, and whether it may
//! be forwarded.

use http::header::{CONTENT_LENGTH, HOST, MAX_FORWARDS, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Version};

use super::RequestHead;

/// Whether the method is safe (RFC 9110 section 9.2.1): it asks for no change of state. A method that is not registered
/// as safe (section 16.1.1) counts as unsafe.
pub fn is_safe(method: &Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY")
}

/// Whether a stored response to GET may answer the method.
pub fn is_cacheable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// How many more recipients a request may be forwarded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwards {
    /// There is no limit.
    Any,
    /// So many after the next one: the value of `Max-Forwards` in the forwarded request.
    Left(u64),
    /// None: this recipient answers itself.
    Last,
}

/// Reads `Max-Forwards`. RFC 9110 section 7.6.2: "Each intermediary that receives a TRACE or OPTIONS request containing
/// a Max-Forwards header field MUST check and update its value prior to forwarding the request. If the received value
/// is zero (0), the intermediary MUST NOT forward the request"; "A recipient MAY ignore a Max-Forwards header field
/// received with any other request methods."
pub fn forwards(method: &Method, fields: &HeaderMap) -> Forwards {
    if !matches!(*method, Method::TRACE | Method::OPTIONS) {
        return Forwards::Any;
    }
    let value = fields.get(MAX_FORWARDS).and_then(|value| value.to_str().ok());
    match value.and_then(|value| value.trim().parse::<u64>().ok()) {
        None => Forwards::Any,
        Some(0) => Forwards::Last,
        Some(left) => Forwards::Left(left - 1),
    }
}

/// The authority that a request is for, in lower case: that of its target, else `Host`; empty where there is neither.
pub fn host(request: &RequestHead<'_>) -> String {
    let of_target = request.uri.authority().map(|authority| authority.as_str().to_ascii_lowercase());
    let named = || request.fields.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
    of_target.or_else(named).unwrap_or_default()
}

/// Why a request is answered with 400 and never forwarded: two recipients could disagree on where it ends, or on its
/// host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// RFC 9112 section 6.1: "A server MAY reject a request that contains both Content-Length and Transfer-Encoding".
    #[error("both Content-Length and Transfer-Encoding")]
    BothLengths,
    /// RFC 9110 section 8.6: several lengths that differ, or one that is no number.
    #[error("Content-Length is not one number")]
    ContentLength,
    /// RFC 9112 section 6.3: a transfer coding of a request must end in `chunked`, and only HTTP/1.1 has any.
    #[error("a transfer coding other than chunked")]
    TransferEncoding,
    /// RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request
    /// message that lacks a Host header field and to any request message that contains more than one Host header field
    /// line".
    #[error("not exactly one Host")]
    Host,
}

impl Ambiguous {
    /// The stable word for this ambiguity in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BothLengths => "both-lengths",
            Self::ContentLength => "bad-content-length",
            Self::TransferEncoding => "bad-transfer-encoding",
            Self::Host => "bad-host",
        }
    }
}

/// Checks that a request is framed in one way only.
///
/// # Errors
/// The first ambiguity that was found.
pub fn check_framing(version: Version, fields: &HeaderMap) -> Result<(), Ambiguous> {
    let hosts = fields.get_all(HOST).iter().count();
    if hosts > 1 || hosts == 0 && version == Version::HTTP_11 {
        return Err(Ambiguous::Host);
    }
    let coded = fields.contains_key(TRANSFER_ENCODING);
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if coded && length.is_some() {
        return Err(Ambiguous::BothLengths);
    }
    if let Some(first) = length {
        let number = first.as_bytes();
        if number.is_empty()
            || number.len() > 19
            || !number.iter().all(u8::is_ascii_digit)
            || lengths.any(|next| next != first)
        {
            return Err(Ambiguous::ContentLength);
        }
    }
    if coded && (version != Version::HTTP_11 || !is_chunked(fields)) {
        return Err(Ambiguous::TransferEncoding);
    }
    Ok(())
}

fn is_chunked(fields: &HeaderMap) -> bool {
    let mut lines = fields.get_all(TRANSFER_ENCODING).iter();
    let only = lines.next().is_some_and(|line| line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"));
    only && lines.next().is_none()
}
