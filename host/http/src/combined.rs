//! The combined value of a request's field: all of its lines, in their order (RFC 9110 section 5.3).

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName};

use crate::twin::twin;

/// The lines of a field combined, with a character for each byte; none where [`combined`] gives none.
pub(crate) fn joined_lines(name: &str, request: &HeaderMap) -> Option<String> {
    combined(name, request).map(|value| value.into_iter().map(char::from).collect())
}

/// The lines of a field, looked up by its twin's name and combined; none where there are none, and for the fields that
/// this cache answers itself and keeps from the origin.
pub(crate) fn combined(name: &str, request: &HeaderMap) -> Option<Vec<u8>> {
    let name = twin(name);
    let mut lines = request.get_all(&*name).iter().peekable();
    if lines.peek().is_none() || ANSWERED_HERE.iter().any(|answered| *answered == *name) {
        return None;
    }
    // An empty line counts: an origin may read no further than it.
    let lines: Vec<_> = lines.map(|line| line.as_bytes().trim_ascii()).collect();
    Some(lines.join(&b", "[..]))
}

/// Conditions and ranges: a stored response was fetched without those of the request (RFC 9111 section 4.3.1), so it
/// does not depend on them.
const ANSWERED_HERE: [HeaderName; 6] =
    [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE];

/// Whether this cache acts on a field itself and does not pass it on.
pub(crate) fn is_answered_here(name: &HeaderName) -> bool {
    ANSWERED_HERE.contains(name)
}
