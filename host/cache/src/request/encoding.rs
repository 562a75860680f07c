//! Whether a request reads content in an encoding.

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// Whether whoever sends these fields says that it reads content in this encoding (RFC 9110 section 12.5.3); without an encoding
/// everybody does. `*` and weights are not looked at: who means them is asked to wait for the origin's own choice.
pub(crate) fn reads_encoding(fields: &HeaderMap, encoding: Option<&HeaderValue>) -> bool {
    let Some(encoding) = encoding else { return true };
    let accepted = fields.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    let mut accepted = accepted.flat_map(|line| line.split(',')).map(str::trim);
    encoding.to_str().is_ok_and(|encoding| accepted.any(|coding| coding.eq_ignore_ascii_case(encoding.trim())))
}
