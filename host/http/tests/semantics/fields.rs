//! Which fields are passed on and stored: RFC 9110 sections 6.6.1 and 7.6, RFC 9111 section 3.1.

use std::time::Duration;

use http::header::{CACHE_CONTROL, VIA};
use http::{HeaderMap, HeaderName, Version};
use sandbar_http::semantics::fields::{append_via, retain_for_not_modified, strip_hop_by_hop, times_through};
use sandbar_http::semantics::{StoreRules, downstream_fields, stored_fields};

use super::support::{NOW, date_from_now, fields, text};

/// `name: value` of all lines, sorted, without `Date`.
fn shown(fields: &HeaderMap) -> Vec<String> {
    let lines = fields.iter().filter(|(name, _)| *name != "date");
    let mut shown: Vec<String> = lines.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    shown.sort();
    shown
}

const HOP_BY_HOP: [(&str, &[&str]); 15] = [
    ("Connection: close", &[]),
    ("Keep-Alive: timeout=5", &[]),
    ("Proxy-Connection: keep-alive", &[]),
    ("TE: trailers", &[]),
    ("Trailer: x", &[]),
    ("Transfer-Encoding: chunked", &[]),
    ("Upgrade: h2c", &[]),
    ("Proxy-Authenticate: Basic", &[]),
    ("Proxy-Authentication-Info: x", &[]),
    ("Proxy-Authorization: Basic x", &[]),
    ("HTTP2-Settings: x", &[]),
    ("Connection: a, B\nA: 1\nb: 2\nc: 3", &["c: 3"]),
    ("Connection: a\nConnection: b\nA: 1\nb: 2\nc: 3", &["c: 3"]),
    ("Connection: , (bad), c\nA: 1\nc: 3\nc: 4", &["a: 1"]),
    ("Connection: etag, Content-Encoding\nETag: \"1\"\nContent-Encoding: br", &["content-encoding: br", "etag: \"1\""]),
];

#[test]
fn fields_of_a_connection_stay_behind() {
    for (sent, expected) in HOP_BY_HOP {
        let sent = fields(sent);
        let mut forwarded = sent.clone();
        strip_hop_by_hop(&mut forwarded);
        assert_eq!(shown(&forwarded), expected, "9110 7.6.1: {sent:?}");
        assert_eq!(shown(&stored_fields(&sent, NOW, &StoreRules::default())), expected, "9111 3.1: {sent:?}");
        assert_eq!(shown(&downstream_fields(&sent, None, &[])), expected, "9110 7.6.1: {sent:?}");
    }
}

#[test]
fn fields_that_are_stored() {
    for (section, received, expected) in [
        ("9111 5.1: the entry knows its age", "Age: 5\nA: 1", &["a: 1"][..]),
        ("9111 5.2.2.4", "Cache-Control: no-cache=\"a\"\nA: 1\nB: 2", &["b: 2", "cache-control: no-cache=\"a\""]),
        (
            "9111 5.2.2.7",
            "Cache-Control: private=\"a, b\"\nA: 1\nB: 2\nC: 3",
            &["c: 3", "cache-control: private=\"a, b\""],
        ),
        (
            "9111 3.1: all others",
            "Set-Cookie: a=b\nX-Unknown: 1\nContent-Range: x",
            &["content-range: x", "set-cookie: a=b", "x-unknown: 1"],
        ),
        ("9110 5.3: every line", "Link: a\nLink: b", &["link: a", "link: b"]),
        (
            "9213 2.2: the targeted field withholds",
            "CDN-Cache-Control: private=\"a\"\nCache-Control: private=\"b\"\nA: 1\nB: 2",
            &["b: 2", "cache-control: private=\"b\"", "cdn-cache-control: private=\"a\""],
        ),
    ] {
        assert_eq!(
            shown(&stored_fields(&fields(received), NOW, &StoreRules::default())),
            expected,
            "{section}: {received:?}"
        );
    }
    for (section, received, expected) in [
        ("9110 6.6.1: kept", "Date: @-5", -5),
        ("9110 6.6.1: kept, even from the future", "Date: @3600", 3600),
        ("9110 6.6.1: missing", "", 0),
        ("9110 6.6.1: garbage", "Date: foo", 0),
    ] {
        let stored = stored_fields(&fields(received), NOW, &StoreRules::default());
        assert_eq!(stored.get("date"), Some(&date_from_now(expected)), "{section}: {received:?}");
    }
}

#[test]
fn fields_towards_the_client() {
    let key = HeaderName::from_static("surrogate-key");
    for (section, stored, age_ms, withheld, expected) in [
        ("9111 4: Age is generated", "A: 1", Some(0), &[][..], &["a: 1", "age: 0"][..]),
        ("9111 5.1: in whole seconds", "A: 1", Some(1999), &[], &["a: 1", "age: 1"]),
        ("9111 5.1: in the place of another", "Age: 9", Some(30_000), &[], &["age: 30"]),
        ("9111 1.2.2", "", Some(u64::MAX), &[], &["age: 2147483648"]),
        ("straight from the origin", "Age: 9", None, &[], &["age: 9"]),
        (
            "as configured",
            "Surrogate-Key: a\nSurrogate-Key: b\nA: 1",
            Some(0),
            std::slice::from_ref(&key),
            &["a: 1", "age: 0"],
        ),
        (
            "9213 2: other caches may need it",
            "CDN-Cache-Control: max-age=1",
            None,
            &[],
            &["cdn-cache-control: max-age=1"],
        ),
    ] {
        let found = downstream_fields(&fields(stored), age_ms.map(Duration::from_millis), withheld);
        assert_eq!(shown(&found), expected, "{section}: {stored:?}");
    }
}

#[test]
fn fields_of_a_304() {
    let mut found = fields(
        "Date: @0\nETag: \"a\"\nCache-Control: x\nExpires: 0\nVary: a\nContent-Location: /x\nContent-Length: 5\n\
         Content-Type: t\nContent-Encoding: gzip\nContent-Language: de\nContent-Range: r\nLast-Modified: @-9\nX: 1",
    );
    retain_for_not_modified(&mut found);
    let expected = ["cache-control: x", "content-location: /x", "etag: \"a\"", "expires: 0", "vary: a", "x: 1"];
    assert_eq!(shown(&found), expected, "9110 15.4.5");
    assert!(found.contains_key("date"), "9110 15.4.5");
    let mut without_tag = fields("Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\nContent-Type: t");
    retain_for_not_modified(&mut without_tag);
    assert_eq!(shown(&without_tag), ["last-modified: Thu, 01 Jan 2026 00:00:00 GMT"], "9110 15.4.5: all there is");
}

#[test]
fn via() {
    for (version, expected) in [
        (Version::HTTP_09, "0.9 sandbar"),
        (Version::HTTP_10, "1.0 sandbar"),
        (Version::HTTP_11, "1.1 sandbar"),
        (Version::HTTP_2, "2 sandbar"),
        (Version::HTTP_3, "3 sandbar"),
    ] {
        let mut sent = fields("Via: 1.1 a");
        append_via(&mut sent, version, "sandbar");
        let lines: Vec<_> = sent.get_all(VIA).iter().map(|line| line.to_str().unwrap()).collect();
        assert_eq!(lines, ["1.1 a", expected], "9110 7.6.3");
    }
    let mut sent = HeaderMap::new();
    append_via(&mut sent, Version::HTTP_11, "bad\nname");
    assert!(sent.is_empty(), "what can't be a value is left out");
    for (sent, times) in [
        ("", 0),
        ("Via: 1.1 a", 0),
        ("Via: 1.1 sandbar", 1),
        ("Via: 1.1 a, HTTP/2 sandbar (comment)", 1),
        ("Via: 1.1 a, 1.0 sandbar\nVia: 1.1 sandbar", 2),
        ("Via: sandbar", 0),
        ("Via: 1.1 sandbar2", 0),
        ("Via:   1.1    sandbar  , 1.1 b", 1),
    ] {
        assert_eq!(times_through(&fields(sent), "sandbar"), times, "9110 7.6.3: {sent:?}");
    }
    assert_eq!(text(&fields("Cache-Control: a"), CACHE_CONTROL.as_str()), "a");
}
