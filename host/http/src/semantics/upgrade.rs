//! Switching protocols (RFC 9110 section 7.8): which of the protocols that a client offers are passed on to the origin,
//! and which fields of the answer are passed back.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// Protocols that no class may allow: requests in them would be HTTP requests that the cache does not see.
const HTTP: [&str; 4] = ["http", "h2", "h2c", "tls"];

/// Why a class may not allow a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The text is no name of a protocol.
    #[error("it is no name of a protocol (RFC 9110 section 7.8), such as \"websocket\"")]
    NoName,
    /// The protocol carries HTTP, or may: `http`, `h2`, `h2c` and `tls`.
    #[error("requests in it would pass the cache, its keys and its purges by")]
    Http,
}

/// Checks whether a class may let clients switch to `protocol`.
///
/// # Errors
/// When it may not, with the reason.
pub fn may_allow(protocol: &str) -> Result<(), NotAllowed> {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let (name, version) = protocol.split_once('/').unwrap_or((protocol, "1"));
    if [name, version].iter().any(|part| part.is_empty() || !part.bytes().all(is_tchar)) {
        return Err(NotAllowed::NoName);
    }
    if HTTP.iter().any(|http| name.eq_ignore_ascii_case(http)) { Err(NotAllowed::Http) } else { Ok(()) }
}

/// The protocols that a client offers and `allowed` contains, in the client's order: the value of `Upgrade` for the
/// origin. None where there are none, or the request can't be answered with 101.
///
/// "A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field": an `Upgrade`
/// that `Connection` does not name was meant for a recipient before this gateway. Only GET opens a WebSocket (RFC 6455
/// section 4.1), and a request with content can't be switched before all of its content was sent.
pub fn offered(method: &Method, fields: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    if allowed.is_empty() || *method != Method::GET || !names_upgrade(fields) {
        return None;
    }
    let lines = fields.get_all(UPGRADE).iter().filter_map(|line| line.to_str().ok());
    let offers = lines.flat_map(|line| line.split(',')).map(str::trim);
    let kept: Vec<&str> = offers.filter(|offer| allowed.iter().any(|one| one.eq_ignore_ascii_case(offer))).collect();
    if kept.is_empty() { None } else { HeaderValue::from_str(&kept.join(", ")).ok() }
}

/// Makes `fields` those of a request to switch to `protocols`.
pub fn ask(protocols: HeaderValue, fields: &mut HeaderMap) {
    fields.insert(UPGRADE, protocols);
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// The fields of the origin's answer about protocols, to be added to those for the client: in a 101 the protocol that
/// is spoken from there on; in a 426, which "MUST" name them (section 15.5.22), the acceptable ones. Empty for any
/// other status.
pub fn answered(status: StatusCode, fields: &HeaderMap) -> HeaderMap {
    let mut answered = HeaderMap::new();
    if matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED) {
        for protocols in fields.get_all(UPGRADE) {
            answered.append(UPGRADE, protocols.clone());
        }
        if !answered.is_empty() {
            answered.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
    }
    answered
}

fn names_upgrade(fields: &HeaderMap) -> bool {
    let lines = fields.get_all(CONNECTION).iter();
    let mut options = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}
