//! Ranges of a complete stored response: RFC 9110 sections 13.1.5 and 14.

use sandbar_http::semantics::Ranges::{self, Full, Multi, Single, Unsatisfiable};
use sandbar_http::semantics::multipart::{multipart, slice};
use sandbar_http::semantics::ranges::{RANGES_MAX, unsatisfied_range};
use sandbar_http::semantics::{ByteRange, ranges};

use super::support::{Asked, stored, stored_with_body, text};

const fn range(first: u64, last: u64) -> ByteRange {
    ByteRange { first, last }
}

/// Checks which ranges of the ten bytes `0123456789` answer a request.
fn check(section: &str, request: &str, expected: Ranges) {
    let stored = stored(200, "Date: @0\nETag: \"a\"\nLast-Modified: @-3600");
    assert_eq!(ranges(&stored, &Asked::get(request).head()), expected, "{section}: {request:?}");
}

#[test]
fn one_range() {
    for (section, value, expected) in [
        ("9110 14.1.2", "bytes=0-0", Single(range(0, 0))),
        ("9110 14.1.2", "bytes=0-4", Single(range(0, 4))),
        ("9110 14.1.2", "bytes=5-9", Single(range(5, 9))),
        ("9110 14.1.2: the end is cut off", "bytes=5-99", Single(range(5, 9))),
        ("9110 14.1.2: open", "bytes=5-", Single(range(5, 9))),
        ("9110 14.1.2: open", "bytes=0-", Single(range(0, 9))),
        ("9110 14.1.2: suffix", "bytes=-1", Single(range(9, 9))),
        ("9110 14.1.2: suffix", "bytes=-10", Single(range(0, 9))),
        ("9110 14.1.2: a suffix longer than it", "bytes=-99", Single(range(0, 9))),
        ("9110 14.1.1: overflow", "bytes=5-99999999999999999999999999", Single(range(5, 9))),
        ("9110 14.1.1: overflow", "bytes=-99999999999999999999999999", Single(range(0, 9))),
        ("9110 14.1: any case", "Bytes=1-2", Single(range(1, 2))),
        ("9110 5.6.1: white space and empty members", "bytes= , 1-2 ,", Single(range(1, 2))),
        ("9110 14.1.2: beyond", "bytes=10-", Unsatisfiable),
        ("9110 14.1.2: beyond", "bytes=10-11", Unsatisfiable),
        ("9110 14.1.2: beyond", "bytes=99999999999999999999999999-", Unsatisfiable),
        ("9110 14.1.2: a suffix of nothing", "bytes=-0", Unsatisfiable),
        ("9110 14.2: another unit", "lines=0-4", Full),
        ("9110 14.2: invalid", "bytes=4-0", Full),
        ("9110 14.2: invalid", "bytes=", Full),
        ("9110 14.2: invalid", "bytes=,", Full),
        ("9110 14.2: invalid", "bytes=-", Full),
        ("9110 14.2: invalid", "bytes=a-b", Full),
        ("9110 14.2: invalid", "bytes=1", Full),
        ("9110 14.2: invalid", "bytes=--1", Full),
        ("9110 14.2: invalid", "bytes=1 - 2", Full),
        ("9110 14.2: invalid", "bytes=+1-2", Full),
        ("9110 14.2: invalid", "bytes 1-2", Full),
        ("9110 14.2: invalid", "bytes =1-2", Full),
        ("9110 14.2: invalid", "0-4", Full),
        ("9110 14.2: one of them invalid", "bytes=0-1, x", Full),
        ("9110 14.2: not visible ASCII", "bytes=0-1\u{e9}", Full),
    ] {
        check(section, &format!("Range: {value}"), expected);
    }
    check("9110 14.2: two lines", "Range: bytes=0-1\nRange: bytes=0-1", Full);
    check("9110 14.2", "", Full);
}

#[test]
fn several_ranges() {
    for (section, value, expected) in [
        ("9110 15.3.7.2", "bytes=0-1,4-5", Multi(vec![range(0, 1), range(4, 5)])),
        ("9110 15.3.7.2: in the client's order", "bytes=-1, 0-1", Multi(vec![range(9, 9), range(0, 1)])),
        ("9110 15.3.7.2: overlapping", "bytes=0-4, 2-6", Single(range(0, 6))),
        ("9110 15.3.7.2: adjacent", "bytes=0-1, 2-3", Single(range(0, 3))),
        ("9110 15.3.7.2: overlapping among others", "bytes=8-9, 0-4, 2-5", Multi(vec![range(0, 5), range(8, 9)])),
        ("9110 15.3.7.2: the same", "bytes=1-2, 1-2, 1-2", Single(range(1, 2))),
        ("9110 15.3.7.2: all", "bytes=0-, -10", Single(range(0, 9))),
        ("9110 14.1.2: what can't be is left out", "bytes=0-1, 20-30", Single(range(0, 1))),
        ("9110 14.1.2: none can be", "bytes=20-30, 40-, -0", Unsatisfiable),
    ] {
        check(section, &format!("Range: {value}"), expected);
    }
    let many = |count: usize| format!("Range: bytes={}", vec!["0-0"; count].join(","));
    check("9110 14.2: as many as are allowed", &many(RANGES_MAX), Single(range(0, 0)));
    check("9110 14.2: abusive", &many(RANGES_MAX + 1), Full);
    check("9110 14.2: abusive", &many(10_000), Full);
}

#[test]
fn methods_status_and_empty_content() {
    let stored = stored(200, "ETag: \"a\"");
    let asked = |method: &str| Asked::new(method, "Range: bytes=0-1");
    assert_eq!(ranges(&stored, &asked("GET").head()), Single(range(0, 1)));
    for method in ["HEAD", "POST", "PUT", "QUERY"] {
        assert_eq!(ranges(&stored, &asked(method).head()), Full, "9110 14.2: only GET: {method}");
    }
    for status in [203, 204, 206, 301, 404, 500] {
        let stored = super::support::stored(status, "ETag: \"a\"");
        assert_eq!(ranges(&stored, &asked("GET").head()), Full, "9110 14.2: only a 200: {status}");
    }
    let empty = stored_with_body(200, "ETag: \"a\"", "");
    for (request, expected) in
        [("Range: bytes=0-", Unsatisfiable), ("Range: bytes=-0", Unsatisfiable), ("Range: bytes=-5", Full), ("", Full)]
    {
        assert_eq!(
            ranges(&empty, &Asked::get(request).head()),
            expected,
            "9110 14.1.2: nothing of nothing: {request:?}"
        );
    }
}

#[test]
fn if_range() {
    let strong = "Date: @0\nETag: \"a\"\nLast-Modified: @-3600";
    for (section, response, condition, holds) in [
        ("9110 13.1.5", strong, "\"a\"", true),
        ("9110 13.1.5", strong, "\"b\"", false),
        ("9110 13.1.5: weak", strong, "W/\"a\"", false),
        ("9110 13.1.5: weak", "ETag: W/\"a\"", "W/\"a\"", false),
        ("9110 13.1.5: weak", "ETag: W/\"a\"", "\"a\"", false),
        ("9110 13.1.5: no list", strong, "\"a\", \"b\"", false),
        ("9110 13.1.5: no tag", "Last-Modified: @-3600", "\"a\"", false),
        ("9110 13.1.5: garbage", strong, "a", false),
        ("9110 13.1.5: any", strong, "*", false),
        ("9110 13.1.5: exactly this date", strong, "@-3600", true),
        ("9110 13.1.5: a later one", strong, "@-3599", false),
        ("9110 13.1.5: an earlier one", strong, "@-3601", false),
        ("9110 8.8.2.2: modified within the second it was sent", "Date: @0\nLast-Modified: @0", "@0", false),
        ("9110 8.8.2.2: modified a second before", "Date: @0\nLast-Modified: @-1", "@-1", true),
        ("9110 13.1.5: no date to compare with", "ETag: \"a\"", "@-3600", false),
    ] {
        let request = Asked::get(&format!("Range: bytes=0-1\nIf-Range: {condition}"));
        let expected = if holds { Single(range(0, 1)) } else { Full };
        assert_eq!(
            ranges(&stored(200, response), &request.head()),
            expected,
            "{section}: {condition:?} of {response:?}"
        );
    }
    check("9110 13.1.5: twice", "Range: bytes=0-1\nIf-Range: \"a\"\nIf-Range: \"a\"", Full);
    check("9110 13.1.5: without Range it is ignored", "If-Range: \"a\"", Full);
}

#[test]
fn content_range() {
    assert_eq!(range(0, 4).content_range(10), "bytes 0-4/10", "9110 14.4");
    assert_eq!(range(9, 9).content_range(10), "bytes 9-9/10", "9110 14.4");
    assert_eq!(range(0, u64::MAX - 1).len(), u64::MAX);
    assert_eq!(unsatisfied_range(10), "bytes */10", "9110 15.5.17");
}

#[test]
fn slices_stay_within_the_content() {
    let body = stored(200, "").body;
    assert_eq!(slice(&body, range(2, 4)).as_deref(), Some(&b"234"[..]));
    assert_eq!(slice(&body, range(9, 9)).as_deref(), Some(&b"9"[..]));
    for (first, last) in [(10, 10), (0, 10), (5, u64::MAX), (u64::MAX, u64::MAX)] {
        assert_eq!(slice(&body, range(first, last)), None, "{first}-{last}");
    }
}

#[test]
fn multipart_body() {
    let stored = stored(200, "Content-Type: text/plain; charset=utf-8\nETag: \"a\"");
    let made = multipart(&stored, &[range(0, 1), range(8, 9)]);
    let content_type = made.content_type.to_str().unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("9110 14.6");
    assert!((1..=70).contains(&boundary.len()), "2046 5.1.1: a boundary has 1 to 70 characters");
    let body = String::from_utf8(made.chunks.concat()).unwrap();
    let expected = format!(
        "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
         \r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
         \r\n--{boundary}--\r\n"
    );
    assert_eq!(body, expected, "9110 15.3.7.2");
    assert_eq!(made.length, body.len() as u64);
    let mut later = stored.clone();
    later.received = super::support::at(1);
    assert_ne!(multipart(&later, &[range(0, 1)]).content_type, made.content_type, "nobody can foresee a boundary");
    assert_eq!(text(&stored.fields, "content-type"), "text/plain; charset=utf-8");
}
