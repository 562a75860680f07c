//! Whether a stored response may answer a request: RFC 9111 sections 4 and 5.2.1.

use sandbar_http::semantics::FwdReason::{Request, Stale as WasStale};
use sandbar_http::semantics::Reuse::{self, Fresh, Stale, Validate};
use sandbar_http::semantics::StaleReason::{MaxStale, WhileRevalidate};
use sandbar_http::semantics::reuse;

use super::support::{Asked, at, stored};

fn check(section: &str, response: &str, age_ms: u64, request: &str, expected: Reuse) {
    let found = reuse(&stored(200, response), &Asked::get(request).head(), at(age_ms), false);
    assert_eq!(found, expected, "{section}: {response:?} after {age_ms} ms for {request:?}");
}

const HOUR: &str = "Cache-Control: max-age=3600";
const OLD: &str = "Cache-Control: max-age=3600\nAge: 1800";

#[test]
fn request_directives() {
    for (section, response, age_ms, request, expected) in [
        ("9111 4", HOUR, 0, "", Fresh),
        ("9111 4", HOUR, 0, "Cookie: a=b\nAccept: */*", Fresh),
        ("9111 5.2: unknown directives", HOUR, 0, "Cache-Control: nothing-to-see-here\nPragma: foo", Fresh),
        ("9111 5.2.1.4", HOUR, 0, "Cache-Control: no-cache", Validate(Request)),
        ("9111 5.2.1.4", HOUR, 0, "Cache-Control: No-Cache", Validate(Request)),
        ("9111 5.2.1.4", HOUR, 0, "Cache-Control: a\nCache-Control: no-cache", Validate(Request)),
        ("9111 5.2: in quotes", HOUR, 0, "Cache-Control: x=\"no-cache\"", Fresh),
        ("9111 5.2: a quote that never ends", HOUR, 0, "Cache-Control: x=\"a, no-cache", Validate(Request)),
        ("9111 5.4", HOUR, 0, "Pragma: no-cache", Validate(Request)),
        ("9111 5.4", HOUR, 0, "Pragma: foo, NO-CACHE", Validate(Request)),
        ("9111 5.4", HOUR, 0, "Pragma: unrecognised-extension", Fresh),
        ("9111 5.4: not beside Cache-Control", HOUR, 0, "Pragma: no-cache\nCache-Control: max-age=60", Fresh),
        ("9111 5.2.1.5: says nothing of reuse", HOUR, 0, "Cache-Control: no-store", Fresh),
        ("9111 5.2.1.7: says nothing of a hit", HOUR, 0, "Cache-Control: only-if-cached", Fresh),
        ("9111 5.2.1.1", OLD, 0, "Cache-Control: max-age=1800", Fresh),
        ("9111 5.2.1.1", OLD, 1, "Cache-Control: max-age=1800", Validate(Request)),
        ("9111 5.2.1.1", OLD, 0, "Cache-Control: max-age=600", Validate(Request)),
        ("9111 5.2.1.1", OLD, 0, "Cache-Control: MAX-AGE=\"600\"", Validate(Request)),
        ("9111 5.2.1.1", HOUR, 3000, "Cache-Control: max-age=1", Validate(Request)),
        ("9111 5.2.1.1: none has age zero", HOUR, 0, "Cache-Control: max-age=0", Validate(Request)),
        ("9111 5.2.1.1: garbage asks for the most", HOUR, 0, "Cache-Control: max-age=x", Validate(Request)),
        ("9111 5.2.1.1: the smallest of two", OLD, 0, "Cache-Control: max-age=9999, max-age=600", Validate(Request)),
        ("9111 1.2.2: overflow", OLD, 0, "Cache-Control: max-age=99999999999", Fresh),
        ("9111 5.2.1.3", OLD, 0, "Cache-Control: min-fresh=1800", Fresh),
        ("9111 5.2.1.3", OLD, 1, "Cache-Control: min-fresh=1800", Validate(Request)),
        ("9111 5.2.1.3", HOUR, 0, "Cache-Control: min-fresh=7200", Validate(Request)),
        ("9111 5.2.1.3: garbage asks for the most", HOUR, 0, "Cache-Control: min-fresh", Validate(Request)),
        ("9111 1.2.2: overflow", HOUR, 0, "Cache-Control: min-fresh=99999999999", Validate(Request)),
        ("9111 5.2.1.3: never stale", HOUR, 3_600_000, "Cache-Control: min-fresh=0, max-stale", Validate(WasStale)),
        ("9111 4.2", HOUR, 3_600_000, "", Validate(WasStale)),
        ("9111 5.2.1.2", HOUR, 3_600_000, "Cache-Control: max-stale", Stale(MaxStale)),
        ("9111 5.2.1.2", HOUR, 3_600_000, "Cache-Control: Max-Stale=60", Stale(MaxStale)),
        ("9111 5.2.1.2: exactly", HOUR, 3_660_000, "Cache-Control: max-stale=60", Stale(MaxStale)),
        ("9111 5.2.1.2: no more", HOUR, 3_660_001, "Cache-Control: max-stale=60", Validate(WasStale)),
        ("9111 5.2.1.2: garbage", HOUR, 3_600_000, "Cache-Control: max-stale=x", Validate(WasStale)),
        (
            "9111 5.2.1.2: stored stale",
            "Cache-Control: max-age=1500\nAge: 2000",
            0,
            "Cache-Control: max-stale=1000",
            Stale(MaxStale),
        ),
        ("9111 5.2.1.1 and .2", HOUR, 3_601_000, "Cache-Control: max-age=7200, max-stale=60", Stale(MaxStale)),
        (
            "9111 5.2.1.1: too old, whatever max-stale",
            HOUR,
            3_601_000,
            "Cache-Control: max-age=60, max-stale=60",
            Validate(Request),
        ),
        ("9111 5.2.1.4: over max-stale", HOUR, 3_601_000, "Cache-Control: no-cache, max-stale", Validate(Request)),
    ] {
        check(section, response, age_ms, request, expected);
    }
}

#[test]
fn response_directives() {
    for (section, response, age_ms, request, expected) in [
        ("9111 5.2.2.4", "Cache-Control: no-cache, max-age=60\nETag: \"a\"", 0, "", Validate(WasStale)),
        ("9111 5.2.2.4: qualified", "Cache-Control: no-cache=\"a\", max-age=60", 0, "", Fresh),
        ("9111 5.2.2.4: no names", "Cache-Control: no-cache=\"\", max-age=60", 0, "", Validate(WasStale)),
        ("9111 5.2.2.4: bad names", "Cache-Control: no-cache=\"a b\", max-age=60", 0, "", Validate(WasStale)),
        (
            "9111 5.2.2.4: over max-stale",
            "Cache-Control: no-cache, max-age=60",
            0,
            "Cache-Control: max-stale",
            Validate(WasStale),
        ),
        ("9111 5.2.2.2: while fresh", "Cache-Control: must-revalidate, max-age=60", 59_999, "", Fresh),
        (
            "9111 5.2.2.2",
            "Cache-Control: must-revalidate, max-age=60",
            60_000,
            "Cache-Control: max-stale",
            Validate(WasStale),
        ),
        (
            "9111 5.2.2.8",
            "Cache-Control: proxy-revalidate, max-age=60",
            60_000,
            "Cache-Control: max-stale",
            Validate(WasStale),
        ),
        ("9111 5.2.2.10", "Cache-Control: s-maxage=60", 60_000, "Cache-Control: max-stale", Validate(WasStale)),
        (
            "9111 5.2.2.10: even a bad one",
            "Cache-Control: s-maxage=x, max-age=60",
            60_000,
            "Cache-Control: max-stale",
            Validate(WasStale),
        ),
        ("9111 5.4: Pragma in a response", "Cache-Control: max-age=60\nPragma: no-cache", 0, "", Fresh),
        ("8246 2: fresh is fresh", "Cache-Control: max-age=60, immutable", 59_999, "", Fresh),
        ("8246 2: stale is stale", "Cache-Control: max-age=60, immutable", 60_000, "", Validate(WasStale)),
        (
            "8246 2: the client insists",
            "Cache-Control: max-age=60, immutable",
            0,
            "Cache-Control: no-cache",
            Validate(Request),
        ),
    ] {
        check(section, response, age_ms, request, expected);
    }
}

#[test]
fn a_soft_purge_makes_it_stale_at_once() {
    let asked = Asked::get("");
    for (response, age_ms, expected) in [
        ("Cache-Control: max-age=60", 0, Validate(WasStale)),
        ("Cache-Control: max-age=60, stale-while-revalidate=30", 0, Stale(WhileRevalidate)),
        ("Cache-Control: max-age=60, stale-while-revalidate=30", 59_000, Stale(WhileRevalidate)),
        ("Cache-Control: max-age=60, stale-while-revalidate=30", 90_000, Validate(WasStale)),
        ("Cache-Control: max-age=60, stale-while-revalidate=30, must-revalidate", 0, Validate(WasStale)),
    ] {
        assert_eq!(reuse(&stored(200, response), &asked.head(), at(age_ms), true), expected, "{response:?} {age_ms}");
    }
    let lenient = Asked::get("Cache-Control: max-stale=1");
    assert_eq!(reuse(&stored(200, HOUR), &lenient.head(), at(0), true), Stale(MaxStale));
}

#[test]
fn questions_about_the_request_alone() {
    for (section, request, only, no_store) in [
        ("9111 5.2.1.7", "Cache-Control: only-if-cached", true, false),
        ("9111 5.2.1.7", "Cache-Control: ONLY-IF-CACHED, max-stale", true, false),
        ("9111 5.2.1.5", "Cache-Control: no-store", false, true),
        ("9111 5.2", "Cache-Control: no-store, only-if-cached", true, true),
        ("9111 5.2", "Cache-Control: x=\"only-if-cached, no-store\"", false, false),
        ("9111 5.2", "", false, false),
    ] {
        let asked = Asked::get(request);
        let directives = *asked.head().directives();
        assert_eq!((directives.only_if_cached, directives.no_store), (only, no_store), "{section}: {request:?}");
    }
}
