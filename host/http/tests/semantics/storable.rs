//! Whether a response may be stored: RFC 9111 section 3.

use sandbar_http::plan::Obstacle::{self, *};
use sandbar_http::semantics::StoreRules;

use super::support::{Asked, judge};

const FRESH: &str = "Cache-Control: max-age=60";

fn check(section: &str, asked: &Asked, status: u16, response: &str, rules: &StoreRules, expected: &[Obstacle]) {
    let standard = judge(asked, status, response, rules);
    let about = format!("{section}: {} {:?} -> {status} {response:?}", asked.method, asked.fields);
    assert_eq!(standard.obstacles, expected, "{about}");
    assert_eq!(standard.plan.stores(), expected.is_empty(), "{about}");
}

#[test]
fn method_decides() {
    for (section, method, response, expected) in [
        ("9110 9.3.1", "GET", FRESH, &[][..]),
        ("9110 9.3.2: HEAD only freshens", "HEAD", FRESH, &[Method]),
        ("9110 9.3.3", "POST", FRESH, &[Method]),
        ("9110 9.3.3", "POST", "Cache-Control: max-age=60\nContent-Location: /a/b?q", &[]),
        ("9110 9.3.3", "POST", "Expires: @60\nContent-Location: b?q", &[]),
        ("9110 9.3.3", "POST", "Cache-Control: s-maxage=60\nContent-Location: http://a.example/a/b?q", &[]),
        ("9110 9.3.3: another target", "POST", "Cache-Control: max-age=60\nContent-Location: /a/c", &[Method]),
        (
            "9110 9.3.3: another origin",
            "POST",
            "Cache-Control: max-age=60\nContent-Location: //b.example/a/b?q",
            &[Method],
        ),
        ("9110 9.3.3: no explicit freshness", "POST", "ETag: \"a\"\nContent-Location: /a/b?q", &[Method]),
        ("9110 9.3.4", "PUT", "Cache-Control: max-age=60\nContent-Location: /a/b?q", &[Method]),
        ("9110 9.3.5", "DELETE", FRESH, &[Method]),
        ("9110 9.3.6", "CONNECT", FRESH, &[Method]),
        ("9110 9.3.7", "OPTIONS", FRESH, &[Method]),
        ("9110 9.3.8", "TRACE", FRESH, &[Method]),
        ("5789 2", "PATCH", FRESH, &[Method]),
        ("9110 9.1: case-sensitive", "get", FRESH, &[Method]),
        ("9110 9.1: unknown", "M-SEARCH", FRESH, &[Method]),
    ] {
        check(section, &Asked::new(method, "Host: a.example"), 200, response, &StoreRules::default(), expected);
    }
}

#[test]
fn any_final_status_with_explicit_freshness_is_stored() {
    for status in (200..=599).chain([600, 799, 999]) {
        let expected: &[Obstacle] = match status {
            // 9111 4.3.4: a 304 only freshens.
            304 => &[Status],
            // They answer a precondition, a range or an expectation, not the target as such.
            412 | 416 | 417 => &[Status],
            // 6585 3-6: "MUST NOT be stored by a cache".
            428 | 429 | 431 | 511 => &[Status],
            // 9111 3.3: the request has no Range, and the part no Content-Range.
            206 => &[Status, Partial],
            _ => &[],
        };
        check("9111 3", &Asked::get(""), status, FRESH, &StoreRules::default(), expected);
    }
    for status in [100, 101, 102, 103, 199] {
        check("9111 3: not final", &Asked::get(""), status, FRESH, &StoreRules::default(), &[Status]);
    }
}

#[test]
fn must_understand_needs_a_known_status() {
    for (section, status, response, expected) in [
        ("9111 5.2.2.3", 200, "Cache-Control: max-age=60, must-understand, no-store", &[][..]),
        ("9111 5.2.2.3", 404, "Cache-Control: no-store, must-understand, max-age=60", &[]),
        ("9111 5.2.2.3", 599, "Cache-Control: max-age=60, must-understand, no-store", &[Status, NoStore]),
        ("9111 5.2.2.3", 599, "Cache-Control: max-age=60, must-understand", &[Status]),
        ("9111 5.2.2.3", 299, "Cache-Control: max-age=60, MUST-UNDERSTAND", &[Status]),
        ("9111 5.2.2.3", 499, "Cache-Control: max-age=60, must-understand", &[Status]),
        ("9111 5.2.2.3", 451, "Cache-Control: max-age=60, must-understand", &[]),
        ("9111 5.2.2.5", 200, "Cache-Control: max-age=60, no-store", &[NoStore]),
        (
            "9111 5.2.2.3: only no-store is ignored",
            200,
            "Cache-Control: must-understand, private, max-age=9",
            &[Private],
        ),
    ] {
        check(section, &Asked::get(""), status, response, &StoreRules::default(), expected);
    }
    let strict = StoreRules { understood_only: true, ..StoreRules::default() };
    check("operator", &Asked::get(""), 599, FRESH, &strict, &[Status]);
    check("operator", &Asked::get(""), 503, FRESH, &strict, &[]);
    check("operator: no-store stays", &Asked::get(""), 200, "Cache-Control: no-store", &strict, &[NoStore, NoLifetime]);
}

#[test]
fn directives_forbid() {
    for (section, request, response, expected) in [
        ("9111 5.2.2.5", "", "Cache-Control: no-store, max-age=60", &[NoStore][..]),
        ("9111 5.2.2.5", "", "Cache-Control: No-StOrE, max-age=60", &[NoStore]),
        ("9111 5.2.2.5: an argument changes nothing", "", "Cache-Control: no-store=\"x\", max-age=60", &[NoStore]),
        ("9111 5.2.2.5: second line", "", "Cache-Control: max-age=60\nCache-Control: no-store", &[NoStore]),
        ("9111 5.2: in quotes it is no directive", "", "Cache-Control: max-age=60, x=\"no-store\"", &[]),
        ("9111 5.2: in quotes with a comma", "", "Cache-Control: max-age=60, x=\"a, no-store, b\"", &[]),
        ("9111 4.2.1: the quote never ends", "", "Cache-Control: x=\"a, no-store", &[NoStore, NoLifetime]),
        ("9111 5.2.2.7", "", "Cache-Control: private, max-age=60", &[Private]),
        ("9111 5.2.2.7", "", "Cache-Control: PRIVATE, max-age=60", &[Private]),
        ("9111 5.2.2.7: qualified", "", "Cache-Control: private=\"set-cookie\", max-age=60", &[]),
        ("9111 5.2.2.7: qualified, token", "", "Cache-Control: private=x-user, max-age=60", &[]),
        ("9111 5.2.2.7: no names", "", "Cache-Control: private=\"\", max-age=60", &[Private]),
        ("9111 5.2.2.7: bad names", "", "Cache-Control: private=\"a b\", max-age=60", &[Private]),
        ("9111 5.2.2.7: both forms", "", "Cache-Control: private, private=\"a\", max-age=60", &[Private]),
        ("9111 5.2.1.5", "Cache-Control: no-store", FRESH, &[RequestNoStore]),
        ("9111 5.2.1.5", "Cache-Control: max-age=0, NO-STORE", FRESH, &[RequestNoStore]),
        ("9111 5.2.1.5", "Cache-Control: x=\"no-store\"", FRESH, &[]),
        ("9111 5.4: Pragma says nothing of storing", "Pragma: no-store", FRESH, &[]),
        ("9111 5.4: nor does it in a response", "", "Cache-Control: max-age=60\nPragma: no-cache", &[]),
        ("9111 4.1", "", "Cache-Control: max-age=60\nVary: *", &[VaryAny]),
        ("9111 4.1", "", "Cache-Control: max-age=60\nVary: accept\nVary: x, *", &[VaryAny]),
        ("9111 4.1", "", "Cache-Control: max-age=60\nVary: accept", &[]),
        ("9111 4.1: no field name", "", "Cache-Control: max-age=60\nVary: a b", &[VaryAny]),
        ("operators", "", "Cache-Control: max-age=60\nSet-Cookie: a=b", &[SetCookie]),
        ("operators", "", "Cache-Control: public, max-age=60\nSet-Cookie: a=b", &[SetCookie]),
        (
            "9111 5.2.2.4: the cookie is left out",
            "",
            "Cache-Control: max-age=60, no-cache=\"Set-Cookie\"\nSet-Cookie: a=b",
            &[],
        ),
        (
            "9111 5.2.2.7: the cookie is left out",
            "",
            "Cache-Control: max-age=60, private=\"set-cookie\"\nSet-Cookie: a=b",
            &[],
        ),
    ] {
        check(section, &Asked::get(request), 200, response, &StoreRules::default(), expected);
    }
    let cookies = StoreRules { store_set_cookie: true, ..StoreRules::default() };
    check("9111 7.3", &Asked::get(""), 200, "Cache-Control: max-age=60\nSet-Cookie: a=b", &cookies, &[]);
}

#[test]
fn authorization_needs_leave() {
    let asked = Asked::get("Authorization: Basic eDp5");
    for (response, expected) in [
        ("Cache-Control: max-age=60", &[Authorization][..]),
        ("Expires: @60", &[Authorization]),
        ("Cache-Control: max-age=60, public", &[]),
        ("Cache-Control: max-age=60, must-revalidate", &[]),
        ("Cache-Control: s-maxage=60", &[]),
        ("Cache-Control: max-age=60, proxy-revalidate", &[Authorization]),
        ("Cache-Control: max-age=60, immutable", &[Authorization]),
        ("Cache-Control: max-age=60, x=\"public\"", &[Authorization]),
        ("Cache-Control: public, private, max-age=60", &[Private]),
        ("Cache-Control: max-age=60\nCDN-Cache-Control: max-age=60, public", &[]),
        ("Cache-Control: max-age=60, public\nCDN-Cache-Control: max-age=60", &[Authorization]),
    ] {
        check("9111 3.5", &asked, 200, response, &StoreRules::default(), expected);
    }
}

#[test]
fn without_use_it_is_not_stored() {
    for (section, status, response, expected) in [
        ("9111 3: no ground, no use", 200, "", &[NoLifetime][..]),
        ("9111 4.3.1: can be validated", 200, "ETag: \"a\"", &[]),
        ("9111 4.3.1: can be validated", 200, "Last-Modified: @0", &[]),
        ("9111 4.3.1: garbage can't", 200, "Last-Modified: yesterday", &[NoLifetime]),
        ("9110 13.2.1: an error can't", 404, "ETag: \"a\"", &[NoLifetime]),
        ("9111 4.2.2: but may be guessed", 404, "Last-Modified: @-3600", &[]),
        ("9111 3: no ground", 302, "ETag: \"a\"", &[NoLifetime]),
        ("9111 3: no ground", 201, "ETag: \"a\"", &[NoLifetime]),
        ("9111 3: no ground", 403, "Last-Modified: @-3600", &[NoLifetime]),
        ("9111 3: no ground", 503, "Last-Modified: @-3600", &[NoLifetime]),
        ("9111 3: public is ground", 201, "Cache-Control: public\nETag: \"a\"", &[]),
        ("9111 3: public is ground", 599, "Cache-Control: public\nLast-Modified: @-3600", &[]),
        ("9111 3: public is no lifetime", 599, "Cache-Control: public", &[NoLifetime]),
        ("9111 5.2.2.1", 200, "Cache-Control: max-age=0", &[NoLifetime]),
        ("9111 5.2.2.1", 200, "Cache-Control: max-age=0\nETag: \"a\"", &[]),
        ("5861 3", 200, "Cache-Control: max-age=0, stale-while-revalidate=9", &[]),
        ("5861 4", 200, "Cache-Control: max-age=0, stale-if-error=9", &[]),
        ("5861 4: forbidden", 200, "Cache-Control: max-age=0, stale-if-error=9, must-revalidate", &[NoLifetime]),
        ("9111 5.2.2.4: never used unvalidated", 200, "Cache-Control: no-cache, max-age=60", &[NoLifetime]),
        ("9111 5.2.2.4", 200, "Cache-Control: no-cache\nETag: \"a\"", &[]),
        ("9111 5.2.2.4", 200, "Cache-Control: no-cache, max-age=60\nETag: \"a\"", &[]),
        ("9111 5.3", 200, "Expires: 0", &[NoLifetime]),
        ("9111 5.3", 200, "Expires: 0\nETag: \"a\"", &[]),
        ("9111 5.3", 302, "Expires: @60", &[]),
    ] {
        check(section, &Asked::get(""), status, response, &StoreRules::default(), expected);
    }
}

#[test]
fn a_part_says_which() {
    let range = Asked::get("Range: bytes=0-4");
    for (section, content_range, expected) in [
        ("9111 3.3", "Content-Range: bytes 0-4/10", &[][..]),
        ("9110 14.4: unknown length", "Content-Range: bytes 0-4/*", &[]),
        ("9110 14.4: missing", "", &[Partial]),
        ("9110 14.6: several", "Content-Type: multipart/byteranges; boundary=x", &[Partial]),
        ("9110 14.4: another unit", "Content-Range: lines 0-4/10", &[Partial]),
        ("9110 14.4: backwards", "Content-Range: bytes 4-0/10", &[Partial]),
        ("9110 14.4: beyond the end", "Content-Range: bytes 0-10/10", &[Partial]),
        ("9110 14.4: unsatisfied", "Content-Range: bytes */10", &[Partial]),
        ("9110 14.4: twice", "Content-Range: bytes 0-4/10\nContent-Range: bytes 0-4/10", &[Partial]),
    ] {
        let response = format!("Cache-Control: max-age=60\n{content_range}");
        check(section, &range, 206, &response, &StoreRules::default(), expected);
    }
    check("9110 14.2: the whole answers a range too", &range, 200, FRESH, &StoreRules::default(), &[]);
    check("9110 15.5.17", &range, 416, FRESH, &StoreRules::default(), &[Status]);
}
