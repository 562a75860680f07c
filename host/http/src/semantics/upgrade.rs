//! Switching protocols (RFC 9110 section 7.8): which of the protocols that a client offers go on to the origin, and what of
//! the answer goes back.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

/// Protocols that no class may allow: whatever is asked in them would be HTTP requests of which the cache knows nothing.
const HTTP: [&str; 4] = ["http", "h2", "h2c", "tls"];

/// Why a protocol can't be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// It is no name of a protocol.
    #[error("it is no name of a protocol (RFC 9110 section 7.8), such as \"websocket\"")]
    NoName,
    /// It carries HTTP.
    #[error("requests in it would pass the cache, its keys and its purges by")]
    Http,
}

/// Whether a class may let clients switch to a protocol.
///
/// # Errors
/// When it may not: why.
pub fn may_allow(protocol: &str) -> Result<(), NotAllowed> {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let (name, version) = protocol.split_once('/').unwrap_or((protocol, "1"));
    if [name, version].iter().any(|part| part.is_empty() || !part.bytes().all(is_tchar)) {
        return Err(NotAllowed::NoName);
    }
    if HTTP.iter().any(|http| name.eq_ignore_ascii_case(http)) { Err(NotAllowed::Http) } else { Ok(()) }
}

/// What a client offers to switch to and `allowed` lets it, in the client's order: the value of `Upgrade` for the origin.
/// None where it offers nothing of that, or asks in a way that can't be answered with 101.
///
/// "A sender of Upgrade MUST also send an "Upgrade" connection option in the Connection header field": an `Upgrade` that it
/// does not name was meant for somebody before this gateway. Only GET opens a WebSocket (RFC 6455 section 4.1), and a
/// request with content can't be switched before all of it was sent.
pub fn offered(method: &Method, fields: &HeaderMap, allowed: &[String]) -> Option<HeaderValue> {
    if allowed.is_empty() || *method != Method::GET || !names_upgrade(fields) {
        return None;
    }
    let lines = fields.get_all(UPGRADE).iter().filter_map(|line| line.to_str().ok());
    let offers = lines.flat_map(|line| line.split(',')).map(str::trim);
    let kept: Vec<&str> = offers.filter(|offer| allowed.iter().any(|one| one.eq_ignore_ascii_case(offer))).collect();
    if kept.is_empty() { None } else { HeaderValue::from_str(&kept.join(", ")).ok() }
}

/// Makes a request one to switch to `protocols`.
pub fn ask(protocols: HeaderValue, fields: &mut HeaderMap) {
    fields.insert(UPGRADE, protocols);
    fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

/// What the answer to such a request says of protocols, to be added to what goes to the client: of a 101 the protocol that
/// is spoken from there on; of a 426, which "MUST" name them (section 15.5.22), those that would do.
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
