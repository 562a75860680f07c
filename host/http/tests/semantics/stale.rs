//! For how long a response may be served stale, and when it may not: RFC 5861, RFC 9111 section 4.2.4.

use sandbar_http::semantics::{FwdReason, Reuse, StaleReason, StoreRules, may_serve_on_error, reuse};

use super::support::{Asked, at, judge, stored};

#[test]
fn windows() {
    for (section, directives, while_revalidate, if_error) in [
        ("5861 3", "max-age=60, stale-while-revalidate=30", 30, 0),
        ("5861 4", "max-age=60, stale-if-error=30", 0, 30),
        ("5861", "max-age=60, stale-if-error=30, stale-while-revalidate=20", 20, 30),
        ("5861: any case", "max-age=60, Stale-If-Error=30, STALE-WHILE-REVALIDATE=20", 20, 30),
        ("5861: quoted", "max-age=60, stale-if-error=\"30\"", 0, 30),
        ("5861: no argument", "max-age=60, stale-if-error, stale-while-revalidate", 0, 0),
        ("5861: garbage", "max-age=60, stale-if-error=x, stale-while-revalidate=-1", 0, 0),
        ("5861: the smaller of two", "max-age=60, stale-if-error=30, stale-if-error=20", 0, 20),
        ("9111 1.2.2: overflow", "max-age=60, stale-if-error=99999999999", 0, 1 << 31),
        ("9111 4.2.4", "max-age=60, stale-if-error=30, stale-while-revalidate=30, must-revalidate", 0, 0),
        ("9111 4.2.4", "max-age=60, stale-if-error=30, stale-while-revalidate=30, proxy-revalidate", 0, 0),
        ("9111 4.2.4", "max-age=60, stale-if-error=30, stale-while-revalidate=30, no-cache", 0, 0),
        ("9111 4.2.4", "s-maxage=60, stale-if-error=30, stale-while-revalidate=30", 0, 0),
        ("9111 5.2.2.4: qualified no-cache forbids nothing", "max-age=60, stale-if-error=30, no-cache=\"a\"", 0, 30),
        ("9111 4.2.1: a quote that never ends", "max-age=60, stale-if-error=30, x=\"", 0, 0),
    ] {
        let response = format!("Cache-Control: {directives}\nETag: \"a\"");
        let plan = judge(&Asked::get(""), 200, &response, &StoreRules::default()).plan;
        let found = (plan.stale_while_revalidate_ms, plan.stale_if_error_ms);
        assert_eq!(found, (while_revalidate * 1000, if_error * 1000), "{section}: {directives:?}");
    }
}

#[test]
fn while_revalidate_ends_exactly() {
    let stored = stored(200, "Cache-Control: max-age=60, stale-while-revalidate=30");
    let stale = Reuse::Stale(StaleReason::WhileRevalidate);
    for (age_ms, request, expected) in [
        (59_999, "", Reuse::Fresh),
        (60_000, "", stale),
        (89_999, "", stale),
        (90_000, "", Reuse::Validate(FwdReason::Stale)),
        (90_000, "Cache-Control: max-stale=30", Reuse::Stale(StaleReason::MaxStale)),
        (60_000, "Cache-Control: max-stale=30", stale),
        (60_000, "Cache-Control: no-cache", Reuse::Validate(FwdReason::Request)),
        (60_000, "Cache-Control: max-age=3600", Reuse::Validate(FwdReason::Stale)),
        (60_000, "Cache-Control: min-fresh=1", Reuse::Validate(FwdReason::Stale)),
        (70_000, "Cache-Control: max-age=3600, max-stale=5", stale),
    ] {
        assert_eq!(reuse(&stored, &Asked::get(request).head(), at(age_ms), false), expected, "{age_ms} {request:?}");
    }
}

#[test]
fn on_error() {
    for (section, response, age_ms, request, soft_purged, expected) in [
        ("5861 4", "max-age=60, stale-if-error=30", 60_000, "", false, true),
        ("5861 4", "max-age=60, stale-if-error=30", 89_999, "", false, true),
        ("5861 4: the window's end", "max-age=60, stale-if-error=30", 90_000, "", false, false),
        ("9111 4.2.4: a plain one is not served", "max-age=60", 60_000, "", false, false),
        ("5861 3 is for another case", "max-age=60, stale-while-revalidate=30", 70_000, "", false, false),
        ("5861 4: the request's", "max-age=60", 89_999, "Cache-Control: stale-if-error=30", false, true),
        ("5861 4: the request's", "max-age=60", 90_000, "Cache-Control: stale-if-error=30", false, false),
        ("5861 4: the longer", "max-age=60, stale-if-error=5", 80_000, "Cache-Control: stale-if-error=30", false, true),
        ("9111 5.2.1.2", "max-age=60", 80_000, "Cache-Control: max-stale=30", false, true),
        ("9111 5.2.1.2", "max-age=60", 9_999_000, "Cache-Control: max-stale", false, true),
        ("9111 4.2.4", "max-age=60, must-revalidate", 60_000, "Cache-Control: stale-if-error=30", false, false),
        ("9111 4.2.4", "max-age=60, proxy-revalidate", 60_000, "Cache-Control: max-stale", false, false),
        ("9111 4.2.4", "s-maxage=60", 60_000, "Cache-Control: stale-if-error=30", false, false),
        ("9111 4.2.4", "no-cache, max-age=60", 0, "Cache-Control: stale-if-error=30", false, false),
        ("9111 5.2.1.4", "max-age=60, stale-if-error=30", 70_000, "Cache-Control: no-cache", false, false),
        ("9111 5.2.1.4", "max-age=60, stale-if-error=30", 70_000, "Pragma: no-cache", false, false),
        ("still fresh, the client wanted it younger", "max-age=60", 30_000, "Cache-Control: max-age=5", false, true),
        ("still fresh, the client wanted it validated", "max-age=60", 30_000, "Cache-Control: no-cache", false, false),
        ("still fresh, to be validated when stale", "max-age=60, must-revalidate", 30_000, "", false, true),
        ("softly purged", "max-age=60, stale-if-error=30", 0, "", true, true),
        ("softly purged", "max-age=60", 0, "", true, false),
        ("softly purged", "max-age=60, must-revalidate, stale-if-error=30", 0, "", true, false),
    ] {
        let stored = stored(200, &format!("Cache-Control: {response}\nETag: \"a\""));
        let found = may_serve_on_error(&stored, &Asked::get(request).head(), at(age_ms), soft_purged);
        assert_eq!(found, expected, "{section}: {response:?} after {age_ms} ms for {request:?}");
    }
}
