//! What describes the content of a request, and whether somebody reads it.

use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a PUT that describe its content, and are those of a later GET.
const OF_CONTENT: [HeaderName; 3] = [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE];

/// The fields with which a GET gets the content of a PUT, made of the PUT's own.
pub(crate) fn content_fields(put: &HeaderMap) -> HeaderMap {
    let of_content = OF_CONTENT.iter().flat_map(|name| put.get_all(name).iter().map(move |value| (name, value)));
    let mut fields: HeaderMap = of_content.map(|(name, value)| (name.clone(), value.clone())).collect();
    if fields.contains_key(CONTENT_ENCODING) {
        // Not every client that asks for the target can read it.
        fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    fields
}

/// Whether whoever sends these fields says that it reads content in this encoding (RFC 9110 section 12.5.3); without an encoding
/// everybody does. `*` and weights are not looked at: who means them is asked to wait for the origin's own choice.
pub(crate) fn reads_encoding(fields: &HeaderMap, encoding: Option<&HeaderValue>) -> bool {
    let Some(encoding) = encoding else { return true };
    let accepted = fields.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut accepted = accepted.flat_map(|line| line.split(',')).map(str::trim);
    encoding.to_str().is_ok_and(|encoding| accepted.any(|coding| coding.eq_ignore_ascii_case(encoding.trim())))
}
