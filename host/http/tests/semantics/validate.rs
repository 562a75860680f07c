//! Validating and freshening stored responses: RFC 9111 sections 4.3.1, 4.3.4, 4.3.5 and 3.2.

use http::HeaderMap;
use http::header::{AGE, DATE};
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::{
    HeadUpdate, Times, date, freshen, freshen_from_head, selected_by_304, validation_fields,
};

use super::support::{Asked, INSTANT, at, date_from_now, fields, judge_at, stored, text};

#[test]
fn conditions_that_are_sent() {
    let modified = date_from_now(-3600).to_str().unwrap().to_owned();
    for (section, status, response, none_match, modified_since) in [
        ("9111 4.3.1", 200, "ETag: \"a\"", "\"a\"", ""),
        ("9111 4.3.1: weak is good enough", 200, "ETag: W/\"a\"", "W/\"a\"", ""),
        ("9111 4.3.1", 200, "Last-Modified: @-3600", "", &*modified),
        ("9111 4.3.1: both", 200, "ETag: \"a\"\nLast-Modified: @-3600", "\"a\"", &*modified),
        ("9111 4.3.1: as it came", 200, "ETag: a", "a", ""),
        ("no date", 200, "Last-Modified: yesterday", "", ""),
        ("nothing to validate with", 200, "Cache-Control: max-age=60", "", ""),
        ("9110 13.2.1: no 2xx", 404, "ETag: \"a\"\nLast-Modified: @-3600", "", ""),
        ("9110 13.2.1: no 2xx", 301, "ETag: \"a\"", "", ""),
        ("9110 13.2.1", 203, "ETag: \"a\"", "\"a\"", ""),
        ("9111 4.3.2: a part is not validated", 206, "ETag: \"a\"\nContent-Range: bytes 0-9/10", "", ""),
    ] {
        let mut sent =
            fields("If-None-Match: \"client\"\nIf-Modified-Since: @-1\nRange: bytes=0-1\nIf-Range: \"c\"\nAccept: x");
        validation_fields(&[&stored(status, response)], &mut sent);
        assert_eq!(text(&sent, "if-none-match"), none_match, "{section}: {response:?}");
        assert_eq!(text(&sent, "if-modified-since"), modified_since, "{section}: {response:?}");
        assert!(!sent.contains_key("range") && !sent.contains_key("if-range"), "{section}: the whole is validated");
        assert_eq!(text(&sent, "accept"), "x");
    }
}

#[test]
fn several_stored_responses_are_validated_at_once() {
    let all = [stored(200, "ETag: \"a\"\nLast-Modified: @-9"), stored(200, "ETag: W/\"b, c\""), stored(200, "")];
    let mut sent = HeaderMap::new();
    validation_fields(&all.iter().collect::<Vec<_>>(), &mut sent);
    assert_eq!(text(&sent, "if-none-match"), "\"a\", W/\"b, c\"", "9111 4.3.1");
    assert!(!sent.contains_key("if-modified-since"), "9111 4.3.1: only for a single stored response");
}

#[test]
fn which_are_freshened() {
    let tagged = |tag: &str| stored(200, &format!("ETag: {tag}\nLast-Modified: @-3600"));
    let dated = |seconds: i64| stored(200, &format!("Last-Modified: @{seconds}"));
    for (section, all, response_304, expected) in [
        ("9111 4.3.4: strong", vec![tagged("\"a\"")], "ETag: \"a\"", &[0][..]),
        ("9111 4.3.4: all of them", vec![tagged("\"a\""), tagged("\"b\""), tagged("\"a\"")], "ETag: \"a\"", &[0, 2]),
        ("9111 4.3.4: none of them", vec![tagged("\"a\"")], "ETag: \"b\"", &[]),
        ("9111 4.3.4: a weak one does not match a strong one", vec![tagged("W/\"a\"")], "ETag: \"a\"", &[]),
        ("9111 4.3.4: weak, the newest", vec![tagged("W/\"a\""), tagged("W/\"a\"")], "ETag: W/\"a\"", &[0]),
        ("9111 4.3.4: weak, against a strong one", vec![tagged("\"a\"")], "ETag: W/\"a\"", &[0]),
        ("9111 4.3.4: weak, none", vec![tagged("W/\"a\"")], "ETag: W/\"b\"", &[]),
        ("unquoted, as it was", vec![tagged("a")], "ETag: a", &[0]),
        ("unquoted, another", vec![tagged("a")], "ETag: b", &[]),
        ("9111 4.3.4: by date", vec![dated(-5), dated(-9)], "Last-Modified: @-9", &[1]),
        ("9111 4.3.4: by date, none", vec![dated(-5)], "Last-Modified: @-6", &[]),
        ("9111 4.3.4: the tag first", vec![tagged("\"a\"")], "ETag: \"b\"\nLast-Modified: @-3600", &[]),
        ("9111 4.3.4: nothing repeated, only one", vec![tagged("\"a\"")], "Date: @0", &[0]),
        ("9111 4.3.4: nothing repeated, several", vec![tagged("\"a\""), tagged("\"b\"")], "Date: @0", &[]),
    ] {
        let all: Vec<&StoredResponse> = all.iter().collect();
        assert_eq!(selected_by_304(&all, &fields(response_304)), expected, "{section}");
    }
}

#[test]
fn fields_of_a_304_replace_the_stored_ones() {
    let old = "Date: @0\nETag: \"a\"\nX-Keep: k\nX-Old: 1\nX-Old: 2\nContent-Type: text/plain\nContent-Length: 10\n\
               Content-Encoding: gzip\nCache-Control: max-age=1\nSet-Cookie: a=b";
    for (section, response_304, name, expected) in [
        ("9111 3.2: kept", "Date: @5", "x-keep", "k"),
        ("9111 3.2: replaced, all lines", "X-Old: 3", "x-old", "3"),
        ("9111 3.2: added", "X-New: n", "x-new", "n"),
        ("9111 3.2", "Content-Foo: b", "content-foo", "b"),
        ("9111 3.2", "Cache-Control: max-age=3600", "cache-control", "max-age=3600"),
        ("9111 3.2", "Content-Type: text/html", "content-type", "text/html"),
        ("9111 3.2", "Content-Location: /bar", "content-location", "/bar"),
        ("9111 3.2", "Content-Security-Policy: default-src 'self'", "content-security-policy", "default-src 'self'"),
        ("9111 3.2", "Set-Cookie: a=c", "set-cookie", "a=c"),
        ("9111 3.2", "Expires: 0", "expires", "0"),
        ("9111 3.2: excepted", "Content-Length: 99", "content-length", "10"),
        ("9111 3.2: bound to the stored content", "Content-Encoding: br", "content-encoding", "gzip"),
        ("9111 3.2: bound to the stored content", "Content-Range: bytes 0-1/2", "content-range", ""),
        ("9111 3.2: names the stored content", "ETag: \"b\"", "etag", "\"a\""),
        (
            "9111 3.2: nothing named it yet",
            "Content-MD5: rL0Y20zC+Fzt72VPzMSk2A==",
            "content-md5",
            "rL0Y20zC+Fzt72VPzMSk2A==",
        ),
        ("9111 3.1: of the connection", "Connection: close", "connection", ""),
        ("9111 3.1: of the connection", "Keep-Alive: timeout=5", "keep-alive", ""),
        ("9111 3.1: named by Connection", "Connection: x-hop\nX-Hop: 1", "x-hop", ""),
        ("9111 3.1: named by Connection, so not replaced", "Connection: x-keep\nX-Keep: 1", "x-keep", "k"),
        ("9111 3.1: of a proxy", "Proxy-Authenticate: Basic", "proxy-authenticate", ""),
        ("9111 3.1: of the connection", "Transfer-Encoding: chunked", "transfer-encoding", ""),
    ] {
        let merged = freshen(&stored(200, old), &fields(response_304), INSTANT);
        let found: Vec<_> = merged.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(found.join("|"), expected, "{section}: {response_304:?}");
    }
}

#[test]
fn a_freshened_response_is_young_again() {
    let old = stored(200, "Date: @0\nCache-Control: max-age=60\nAge: 30\nETag: \"a\"");
    let times = Times { requested: at(3_600_000), received: at(3_600_100) };
    for (section, response_304, age_ms) in [
        ("9110 6.6.1: no Date", "ETag: \"a\"", 100),
        ("9111 4.2.3: its own Date", "Date: @3590", 10_000),
        ("9111 4.2.3: its own Age", "Date: @3600\nAge: 7", 7_100),
        ("9110 6.6.1: a garbage Date", "Date: foo", 100),
    ] {
        let merged = freshen(&old, &fields(response_304), times);
        let text: String =
            merged.iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
        let standard = judge_at(&Asked::get(""), 200, &text, &Default::default(), times);
        assert_eq!(standard.initial_age.as_millis(), age_ms, "{section}: {response_304:?}");
        assert_eq!(standard.plan.freshness_lifetime_ms, 60_000, "{section}");
        assert!(date::field(&merged, &DATE, times.received).is_some(), "{section}");
    }
    assert!(!freshen(&old, &fields(""), times).contains_key(AGE), "the old age is not the new one");
}

#[test]
fn head_freshens_what_it_describes() {
    let old = "Date: @0\nETag: \"a\"\nLast-Modified: @-3600\nContent-Length: 10\nX: 1\nCache-Control: max-age=1";
    for (section, head, same) in [
        ("9111 4.3.5", "ETag: \"a\"\nLast-Modified: @-3600\nContent-Length: 10\nX: 2", true),
        ("9111 4.3.5: nothing to compare", "X: 2", true),
        ("9111 4.3.5: a new lifetime", "X: 2\nCache-Control: max-age=1000", true),
        ("9111 4.3.5: another tag", "ETag: \"b\"\nX: 2", false),
        ("9111 4.3.5: another date", "Last-Modified: @-3599\nX: 2", false),
        ("9111 4.3.5: another length", "Content-Length: 11\nX: 2", false),
        ("9111 4.3.5: garbage length", "Content-Length: x\nX: 2", false),
    ] {
        match freshen_from_head(&stored(200, old), &fields(head), INSTANT) {
            HeadUpdate::Freshened(merged) => {
                assert!(same, "{section}: {head:?}");
                assert_eq!(text(&merged, "x"), "2", "{section}: {head:?}");
                assert_eq!(text(&merged, "content-length"), "10", "{section}: {head:?}");
            }
            HeadUpdate::Outdated => assert!(!same, "{section}: {head:?}"),
        }
    }
    // A stored response without Content-Length is compared by the length of its body.
    let chunked = stored(200, "ETag: \"a\"\nX: 1");
    assert!(matches!(freshen_from_head(&chunked, &fields("Content-Length: 10"), INSTANT), HeadUpdate::Freshened(_)));
    assert_eq!(freshen_from_head(&chunked, &fields("Content-Length: 9"), INSTANT), HeadUpdate::Outdated);
}
