//! Preconditions against a stored response: RFC 9110 section 13, RFC 9111 section 4.3.2.

use sandbar_http::semantics::Precondition::{self, Forward, NotModified, Serve};
use sandbar_http::semantics::precondition;

use super::support::{Asked, stored};

const BOTH: &str = "Date: @0\nETag: \"abcdef\"\nLast-Modified: @-5000";

fn check(section: &str, method: &str, status: u16, response: &str, request: &str, expected: Precondition) {
    let found = precondition(&stored(status, response), &Asked::new(method, request).head());
    assert_eq!(found, expected, "{section}: {method} {request:?} of {status} {response:?}");
}

#[test]
fn if_none_match() {
    let weak = "ETag: W/\"abcdef\"";
    for (section, response, request, expected) in [
        ("9110 13.1.2", BOTH, "", Serve),
        ("9110 13.1.2", BOTH, "If-None-Match: \"abcdef\"", NotModified),
        ("9110 13.1.2", BOTH, "If-None-Match: \"abc\"", Serve),
        ("9110 8.8.3.2: weak comparison", BOTH, "If-None-Match: W/\"abcdef\"", NotModified),
        ("9110 8.8.3.2: weak comparison", weak, "If-None-Match: W/\"abcdef\"", NotModified),
        ("9110 8.8.3.2: weak comparison", weak, "If-None-Match: \"abcdef\"", NotModified),
        ("9110 13.1.2: first", BOTH, "If-None-Match: \"abcdef\", \"1234\", \"5678\"", NotModified),
        ("9110 13.1.2: middle", BOTH, "If-None-Match: \"1234\", \"abcdef\", \"5678\"", NotModified),
        ("9110 13.1.2: last", BOTH, "If-None-Match: \"1234\",\"5678\" ,\"abcdef\"", NotModified),
        ("9110 13.1.2: on lines", BOTH, "If-None-Match: \"1234\"\nIf-None-Match: \"abcdef\"", NotModified),
        ("9110 8.8.3: a comma in a tag", "ETag: \"a, b\"", "If-None-Match: \"x\", \"a, b\"", NotModified),
        ("9110 8.8.3: a comma in a tag", "ETag: \"b\"", "If-None-Match: \"a, \"b\"\"", Serve),
        ("9110 13.1.2: any", BOTH, "If-None-Match: *", NotModified),
        ("9110 13.1.2: any, even without a tag", "Cache-Control: max-age=60", "If-None-Match: *", NotModified),
        ("9110 13.1.2: no tag", "Last-Modified: @-5000", "If-None-Match: \"abcdef\"", Serve),
        ("9110 8.8.3: no tag in the request", BOTH, "If-None-Match: abcdef", Serve),
        ("9110 8.8.3: half a tag", BOTH, "If-None-Match: \"abcdef", Serve),
        ("9110 8.8.3: case", BOTH, "If-None-Match: \"ABCDEF\"", Serve),
        ("9110 8.8.3: lower-case w", "ETag: w/\"abcdef\"", "If-None-Match: w/\"abcdef\"", Serve),
        ("9110 8.8.3: obs-text", "ETag: \"abcdef\u{fc}\"", "If-None-Match: \"abcdef\u{fc}\"", NotModified),
        ("9110 8.8.3: empty tag", "ETag: \"\"", "If-None-Match: \"\"", NotModified),
        ("9110 13.2.2: over If-Modified-Since", BOTH, "If-None-Match: \"x\"\nIf-Modified-Since: @0", Serve),
        (
            "9110 13.2.2: over If-Modified-Since",
            BOTH,
            "If-None-Match: \"abcdef\"\nIf-Modified-Since: @-9000",
            NotModified,
        ),
    ] {
        check(section, "GET", 200, response, request, expected);
    }
}

#[test]
fn if_modified_since() {
    for (section, response, request, expected) in [
        ("9110 13.1.3: the same", BOTH, "If-Modified-Since: @-5000", NotModified),
        ("9110 13.1.3: later", BOTH, "If-Modified-Since: @-4000", NotModified),
        ("9110 13.1.3: earlier", BOTH, "If-Modified-Since: @-5001", Serve),
        (
            "9110 5.6.7: RFC 850",
            "Last-Modified: @-86400",
            "If-Modified-Since: Wednesday, 31-Dec-25 00:00:00 GMT",
            NotModified,
        ),
        ("9110 5.6.7: asctime", "Last-Modified: @-86400", "If-Modified-Since: Wed Dec 31 00:00:00 2025", NotModified),
        (
            "9110 5.6.7: RFC 850, earlier",
            "Last-Modified: @-86400",
            "If-Modified-Since: Tuesday, 30-Dec-25 23:59:59 GMT",
            Serve,
        ),
        ("9110 13.1.3: garbage is ignored", BOTH, "If-Modified-Since: yesterday", Serve),
        ("9110 13.1.3: two are ignored", BOTH, "If-Modified-Since: @-1\nIf-Modified-Since: @-1", Serve),
        (
            "9111 4.3.2: without Last-Modified, Date",
            "Date: @-100\nCache-Control: max-age=900",
            "If-Modified-Since: @-100",
            NotModified,
        ),
        (
            "9111 4.3.2: without Last-Modified, Date",
            "Date: @-100\nCache-Control: max-age=900",
            "If-Modified-Since: @-101",
            Serve,
        ),
        ("9111 4.3.2: without either, receipt", "Cache-Control: max-age=900", "If-Modified-Since: @0", NotModified),
        ("9111 4.3.2: without either, receipt", "Cache-Control: max-age=900", "If-Modified-Since: @-3000", Serve),
        ("9110 13.1.3: garbage Last-Modified", "Date: @-100\nLast-Modified: x", "If-Modified-Since: @-50", NotModified),
    ] {
        check(section, "GET", 200, response, request, expected);
    }
}

#[test]
fn methods_and_status() {
    let request = "If-None-Match: \"abcdef\"";
    check("9110 13.1.2: HEAD too", "HEAD", 200, BOTH, request, NotModified);
    check("9110 13.1.3: only GET and HEAD", "POST", 200, BOTH, "If-Modified-Since: @0", Serve);
    check("9110 13.2.1: only 2xx", "GET", 404, BOTH, request, Serve);
    check("9110 13.2.1: only 2xx", "GET", 301, BOTH, request, Serve);
    check("9110 13.2.1", "GET", 203, BOTH, request, NotModified);
    check("9111 4.3.2: a part too", "GET", 206, BOTH, request, NotModified);
}

#[test]
fn what_is_not_for_a_cache_is_forwarded() {
    for request in [
        "If-Match: \"abcdef\"",
        "If-Match: \"x\"",
        "If-Match: *",
        "If-Unmodified-Since: @0",
        "If-Unmodified-Since: @-9000",
        "If-Match: \"x\"\nIf-None-Match: \"abcdef\"",
    ] {
        check("9111 4.3.2", "GET", 200, BOTH, request, Forward);
    }
}
