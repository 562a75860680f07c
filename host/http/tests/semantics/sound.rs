//! Soundness of the origin's responses: RFC 9112 section 6, RFC 9110 sections 8.6, 14.4, 15.2, 15.3.7 and 15.4.5.

use http::{Method, StatusCode, Version};
use sandbar_http::semantics::sound::{Expected, Length, Received, leaves_doubt};

use super::support::{fields, text};

/// A response after the check: its status, the length that its content must have, `[Content-Length]`, and `part` where
/// a `Content-Range` is left; or why it is refused.
fn checked(method: &str, asked: &str, version: Version, status: u16, response: &str) -> Result<String, String> {
    let expected = Expected::of(&Method::from_bytes(method.as_bytes()).unwrap(), &fields(asked));
    let (mut status, mut fields) = (StatusCode::from_u16(status).unwrap(), fields(response));
    let received = Received { status: &mut status, version, fields: &mut fields };
    let length = expected.check(received).map_err(|why| why.to_string())?;
    assert!(!fields.contains_key("transfer-encoding"), "{response:?}: the coding is undone, and must not be said");
    let content = match length {
        Length::None => "none".to_owned(),
        Length::Any => "any".to_owned(),
        Length::Exactly(bytes) => bytes.to_string(),
        Length::OrOneLess(bytes) => format!("{}-{bytes}", bytes - 1),
    };
    let lines = fields.get_all("content-length").iter().count();
    assert!(lines <= 1, "{response:?}");
    Ok(format!(
        "{} {content} [{}]{}",
        status.as_u16(),
        text(&fields, "content-length"),
        if fields.contains_key("content-range") { " part" } else { "" }
    ))
}

/// Section, method, fields of the request, status and fields of the response, and the expected result of [`checked`].
type Case = (&'static str, &'static str, &'static str, u16, &'static str, Result<&'static str, &'static str>);

fn check(cases: &[Case]) {
    for (section, method, asked, status, response, expected) in cases {
        let found = checked(method, asked, Version::HTTP_11, *status, response);
        match (&found, expected) {
            (Ok(left), Ok(expected)) => assert_eq!(left, expected, "{section}: {status} {response:?}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{section}: {status} {response:?}: {why}"),
            _ => panic!("{section}: {status} {response:?} to {method} {asked:?}: {found:?}, expected {expected:?}"),
        }
    }
}

#[test]
fn a_response_is_framed_in_one_way() {
    const CHUNKED: &str = "Transfer-Encoding: chunked";
    check(&[
        ("9112 6.3: no length", "GET", "", 200, "", Ok("200 any []")),
        ("9112 6.3: a length", "GET", "", 200, "Content-Length: 5", Ok("200 5 [5]")),
        ("9112 6.3: chunked", "GET", "", 200, CHUNKED, Ok("200 any []")),
        ("9112 7: in any case", "GET", "", 200, "Transfer-Encoding: Chunked", Ok("200 any []")),
        ("9112 6.3: both", "GET", "", 200, "Content-Length: 5\nTransfer-Encoding: chunked", Ok("200 any []")),
        ("9112 6.3: both", "POST", "", 404, "Transfer-Encoding: chunked\nContent-Length: 500", Ok("404 any []")),
        (
            "9112 6.3: both, and one is none",
            "GET",
            "",
            200,
            "Content-Length: x\nTransfer-Encoding: chunked",
            Ok("200 any []"),
        ),
        ("9112 6.1: another coding", "GET", "", 200, "Transfer-Encoding: gzip, chunked", Err("chunked")),
        (
            "9112 6.1: on two lines",
            "GET",
            "",
            200,
            "Transfer-Encoding: gzip\nTransfer-Encoding: chunked",
            Err("chunked"),
        ),
        ("9112 6.1: not the last", "GET", "", 200, "Transfer-Encoding: chunked, gzip", Err("chunked")),
        ("9112 6.1: not at all", "GET", "", 200, "Transfer-Encoding: gzip", Err("chunked")),
        ("9112 6.1: with a length", "GET", "", 200, "Transfer-Encoding: gzip\nContent-Length: 5", Err("chunked")),
        ("9112 7.1: twice", "GET", "", 200, "Transfer-Encoding: chunked, chunked", Err("chunked")),
        ("9112 7.1: twice", "GET", "", 200, "Transfer-Encoding: chunked\nTransfer-Encoding: chunked", Err("chunked")),
        ("9112 7: nearly", "GET", "", 200, "Transfer-Encoding: xchunked", Err("chunked")),
        ("9112 7: with a parameter", "GET", "", 200, "Transfer-Encoding: chunked;q=1", Err("chunked")),
        ("9112 7: none any more", "GET", "", 200, "Transfer-Encoding: identity", Err("chunked")),
        ("9112 7: an empty list", "GET", "", 200, "Transfer-Encoding:", Err("chunked")),
        ("9110 8.6: the same again", "GET", "", 200, "Content-Length: 5\nContent-Length: 5", Ok("200 5 [5]")),
        ("9110 8.6: the same again", "GET", "", 200, "Content-Length: 5, 5", Ok("200 5 [5]")),
        ("9112 6.3: two", "GET", "", 200, "Content-Length: 5\nContent-Length: 6", Err("Content-Length")),
        ("9112 6.3: two", "GET", "", 200, "Content-Length: 5, 6", Err("Content-Length")),
        ("9110 8.6: a sign", "GET", "", 200, "Content-Length: +5", Err("Content-Length")),
        ("9110 8.6: another base", "GET", "", 200, "Content-Length: 0x5", Err("Content-Length")),
        ("9110 8.6: nothing", "GET", "", 200, "Content-Length:", Err("Content-Length")),
        ("9110 8.6: nothing beside", "GET", "", 200, "Content-Length: 5,", Err("Content-Length")),
        ("9110 8.6: too large", "GET", "", 200, "Content-Length: 99999999999999999999", Err("Content-Length")),
        ("9112 6.3: HEAD has none", "HEAD", "", 200, "Content-Length: 5", Ok("200 none [5]")),
        ("9112 6.1: HEAD has none", "HEAD", "", 200, CHUNKED, Ok("200 none []")),
        ("9112 6.3: nor believes two", "HEAD", "", 200, "Content-Length: 5\nContent-Length: 6", Err("Content-Length")),
        ("9110 8.6: 204 has none", "GET", "", 204, "Content-Length: 0", Ok("204 none []")),
        ("9112 6.1: 204 has none", "GET", "", 204, CHUNKED, Ok("204 none []")),
        ("9112 6.1: 304 has none", "GET", "If-None-Match: \"a\"", 304, CHUNKED, Ok("304 none []")),
        ("9110 8.6: 304 may say it", "GET", "If-None-Match: \"a\"", 304, "Content-Length: 5", Ok("304 none [5]")),
    ]);
    let old = checked("GET", "", Version::HTTP_10, 200, CHUNKED).unwrap_err();
    assert!(old.contains("HTTP/1.0"), "9112 6.1: {old}");
    assert_eq!(checked("GET", "", Version::HTTP_10, 200, "Content-Length: 5"), Ok("200 5 [5]".to_owned()));
}

#[test]
fn a_response_answers_what_was_asked() {
    let websocket = "Connection: upgrade\nUpgrade: websocket";
    check(&[
        ("9110 7.8: unasked", "GET", "", 101, "Upgrade: websocket", Err("101")),
        ("9110 7.8: asked", "GET", websocket, 101, "Upgrade: WebSocket", Ok("101 none []")),
        ("9110 7.8: one of two", "GET", "Upgrade: a, websocket", 101, "Upgrade: websocket", Ok("101 none []")),
        ("9110 7.8: to another", "GET", websocket, 101, "Upgrade: h2c", Err("101")),
        ("9110 7.8: to another too", "GET", websocket, 101, "Upgrade: websocket, h2c", Err("101")),
        ("9110 7.8: to none", "GET", websocket, 101, "", Err("101")),
        ("9110 15.2: and nothing after it", "GET", "", 103, "", Err("interim")),
        ("9110 15.4.5: unasked", "GET", "", 304, "ETag: \"a\"", Err("304")),
        ("9110 15.4.5: asked", "GET", "If-Modified-Since: @0", 304, "", Ok("304 none []")),
    ]);
}

#[test]
fn a_part_says_which() {
    const TO_9: &str = "Range: bytes=0-9";
    check(&[
        ("9110 14.4", "GET", TO_9, 206, "Content-Range: bytes 0-9/100", Ok("206 10 [] part")),
        ("9110 14.4", "GET", TO_9, 206, "Content-Range: bytes 0-9/*\nContent-Length: 10", Ok("206 10 [10] part")),
        ("9110 14.4: all of it", "GET", "Range: bytes=0-", 206, "Content-Range: bytes 0-9/10", Ok("206 10 [] part")),
        ("9110 15.3.7: less than asked", "GET", TO_9, 206, "Content-Range: bytes 3-5/100", Ok("206 3 [] part")),
        ("9110 15.3.7: unasked", "GET", "", 206, "Content-Range: bytes 0-9/100", Err("no Range")),
        ("9110 15.3.7: unasked, but all", "GET", "", 206, "Content-Range: bytes 0-9/10", Ok("200 10 []")),
        ("9110 15.3.7: unasked", "GET", "", 206, "Content-Range: bytes 0-9/*", Err("no Range")),
        ("9110 15.3.7: which?", "GET", TO_9, 206, "", Err("which")),
        ("9110 15.3.7: which?", "GET", TO_9, 206, "Content-Range: bytes */100", Err("which")),
        ("9110 15.3.7: which?", "GET", TO_9, 206, "Content-Range: bytes 9-0/100", Err("which")),
        ("9110 15.3.7: beyond", "GET", TO_9, 206, "Content-Range: bytes 0-9/9", Err("which")),
        (
            "9110 15.3.7: two",
            "GET",
            TO_9,
            206,
            "Content-Range: bytes 0-9/100\nContent-Range: bytes 0-9/100",
            Err("which"),
        ),
        ("9110 15.3.7: another", "GET", TO_9, 206, "Content-Range: bytes 10-19/100", Err("asked for")),
        ("9110 15.3.7: another", "GET", "Range: bytes=-5", 206, "Content-Range: bytes 0-4/100", Err("asked for")),
        (
            "9110 15.3.7: from the end",
            "GET",
            "Range: bytes=-5",
            206,
            "Content-Range: bytes 95-99/*",
            Ok("206 5 [] part"),
        ),
        ("9110 14.4: shorter", "GET", TO_9, 206, "Content-Range: bytes 0-9/100\nContent-Length: 5", Err("10 bytes")),
        ("9110 14.4: longer", "GET", TO_9, 206, "Content-Range: bytes 0-9/100\nContent-Length: 11", Err("10 bytes")),
        (
            "9110 14.2: another unit",
            "GET",
            "Range: lines=0-9",
            206,
            "Content-Range: lines 0-9/10",
            Ok("206 any [] part"),
        ),
        ("9110 14.2: another unit than asked", "GET", TO_9, 206, "Content-Range: lines 0-9/10", Err("which")),
        ("9110 14.1: no unit", "GET", TO_9, 206, "Content-Range: bytes=0-9/100", Err("which")),
        ("9110 14.1: no unit", "GET", "Range: lines=0-9", 206, "Content-Range: lines=0-9/10", Err("which")),
        ("9110 14.2: unasked, another unit", "GET", "", 206, "Content-Range: lines 0-9/10", Err("which")),
        ("9110 14.2: only GET has ranges", "HEAD", TO_9, 206, "Content-Range: bytes 0-9/100", Ok("206 none [] part")),
    ]);
    let several = "Content-Type: multipart/byteranges; boundary=x";
    let labelled = "Content-Type: Multipart/Byteranges\nContent-Range: bytes 0-9/100";
    check(&[
        ("9110 15.3.7.2", "GET", "Range: bytes=0-9,20-29", 206, several, Ok("206 any []")),
        ("9110 15.3.7.2: unasked", "GET", "", 206, several, Err("no Range")),
        ("9110 15.3.7.2: labelled", "GET", "Range: bytes=0-9,20-29", 206, labelled, Err("several parts")),
    ]);
}

#[test]
fn a_part_may_lack_one_byte_only_where_it_was_counted_from_the_end_and_has_no_validator() {
    const LAST_5: &str = "Range: bytes=-5";
    check(&[
        ("not announced", "GET", LAST_5, 206, "Content-Range: bytes 4-9/10", Ok("206 5-6 [] part")),
        ("announced", "GET", LAST_5, 206, "Content-Range: bytes 4-9/10\nContent-Length: 5", Ok("206 5 [5] part")),
        ("as it should be", "GET", LAST_5, 206, "Content-Range: bytes 4-9/10\nContent-Length: 6", Ok("206 6 [6] part")),
        ("two bytes", "GET", LAST_5, 206, "Content-Range: bytes 3-9/10\nContent-Length: 5", Err("7 bytes")),
        ("fewer than asked", "GET", LAST_5, 206, "Content-Range: bytes 5-9/10\nContent-Length: 4", Err("5 bytes")),
        ("not to the end", "GET", LAST_5, 206, "Content-Range: bytes 4-9/11\nContent-Length: 5", Err("6 bytes")),
        (
            "with a validator",
            "GET",
            LAST_5,
            206,
            "Content-Range: bytes 4-9/10\nContent-Length: 5\nETag: \"a\"",
            Err("6 bytes"),
        ),
        ("no suffix", "GET", "Range: bytes=4-9", 206, "Content-Range: bytes 4-9/10\nContent-Length: 5", Err("6 bytes")),
    ]);
}

#[test]
fn nothing_is_sent_after_a_response_that_leaves_doubt() {
    for (section, status, response, doubt) in [
        ("9112 6.3", 200, "Content-Length: 5", false),
        ("9112 6.3", 200, "Transfer-Encoding: chunked", false),
        ("9112 6.3: both", 200, "Transfer-Encoding: chunked\nContent-Length: 5", true),
        ("9112 6.3: no content", 204, "", false),
        ("9110 8.6: no content, and says so", 204, "Content-Length: 0", false),
        ("9110 8.6: no content, and some", 204, "Content-Length: 5", true),
        ("9112 6.1: no content, and some", 204, "Transfer-Encoding: chunked", true),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(leaves_doubt(status, &fields(response)), doubt, "{section}: {status} {response:?}");
    }
}
