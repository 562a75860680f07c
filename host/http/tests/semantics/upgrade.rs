//! Switching protocols: RFC 9110 sections 7.8 and 15.5.22.

use http::{Method, StatusCode};
use sandbar_http::semantics::upgrade::{answered, may_allow, offered};

use super::support::{fields, text};

#[test]
fn what_a_class_allows_is_offered_to_the_origin() {
    let websocket = ["websocket".to_owned()];
    let both = ["websocket".to_owned(), "x/2".to_owned()];
    for (section, method, asked, allowed, expected) in [
        ("9110 7.8", "GET", "Connection: Upgrade\nUpgrade: websocket", &websocket[..], "websocket"),
        (
            "9110 7.8: in any case",
            "GET",
            "Connection: keep-alive, UPGRADE\nUpgrade: WebSocket",
            &websocket,
            "WebSocket",
        ),
        ("9110 7.8: one of two", "GET", "Connection: upgrade\nUpgrade: h2c, websocket", &websocket, "websocket"),
        ("9110 7.8: both", "GET", "Connection: upgrade\nUpgrade: x/2\nUpgrade: websocket", &both, "x/2, websocket"),
        ("9110 7.8: another version", "GET", "Connection: upgrade\nUpgrade: x/1", &both, ""),
        ("9110 7.8: none of them", "GET", "Connection: upgrade\nUpgrade: h2c", &websocket, ""),
        ("9110 7.8: for somebody else", "GET", "Upgrade: websocket", &websocket, ""),
        ("9110 7.8: nothing", "GET", "Connection: upgrade", &websocket, ""),
        ("6455 4.1: not by POST", "POST", "Connection: upgrade\nUpgrade: websocket", &websocket, ""),
        ("off by default", "GET", "Connection: upgrade\nUpgrade: websocket", &[], ""),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = offered(&method, &fields(asked), allowed);
        assert_eq!(
            found.map_or(String::new(), |value| value.to_str().unwrap().to_owned()),
            expected,
            "{section}: {asked:?}"
        );
    }
}

#[test]
fn no_class_lets_requests_pass_the_cache_by() {
    for protocol in ["websocket", "WebSocket", "IRC/6.9", "x-own"] {
        assert_eq!(may_allow(protocol), Ok(()), "{protocol}");
    }
    for protocol in ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.0", "", "/", "a b", "a,b", "a/", "ä"] {
        assert!(may_allow(protocol).is_err(), "{protocol}");
    }
}

#[test]
fn the_answer_names_the_protocol() {
    let said = fields("Upgrade: websocket\nConnection: Upgrade, X\nX: 1");
    for (status, expected) in [(101, "websocket"), (426, "websocket"), (200, ""), (400, "")] {
        let left = answered(StatusCode::from_u16(status).unwrap(), &said);
        assert_eq!(text(&left, "upgrade"), expected, "{status}");
        assert_eq!(text(&left, "connection"), if expected.is_empty() { "" } else { "upgrade" }, "{status}");
    }
    assert!(answered(StatusCode::UPGRADE_REQUIRED, &fields("")).is_empty());
}
