//! Reading `Cache-Control`, RFC 9111 section 5.2.

use http::header::CACHE_CONTROL;
use sandbar_http::semantics::cache_control::{RequestDirectives, ResponseDirectives};
use sandbar_http::semantics::directive::{DELTA_SECONDS_MAX, Delta, delta_seconds, each_directive};

use super::support::fields;

#[test]
fn elements() {
    for (section, line, expected) in [
        ("9111 5.2", "a, b=c", &["a", "b=c"][..]),
        ("9110 5.6.1: empty elements are passed over", " ,a ,\t, b", &["a", "b"]),
        ("9111 5.2", "a=\"b, c\", d", &["a=b, c", "d"]),
        ("9110 5.6.4", "a=\"b\\\"c, d\", e", &["a=b\"c, d", "e"]),
        ("9110 5.6.4", "a=\"b\\\\\", e", &["a=b\\", "e"]),
        ("no space around =", "a = b", &["a= "]),
        ("a quote that never ends", "a=\"b, c", &["a=\"b", "c"]),
        ("a quote that ends early", "a=\"b\"c, d", &["a=\"b\"c", "d"]),
        ("a quote in a name", "a\"b, c\"=d, e", &["a\"b, c\"=d", "e"]),
        ("an empty argument", "a=, b=\"\"", &["a=", "b="]),
        ("two =", "a=b=c", &["a=b=c"]),
        ("a lone quote", "\"", &["\""]),
        ("nothing opens a quote again", "a=\"b, \\\", c, \\\"d", &["a=\"b", "\\\"", "c", "\\\"d"]),
        ("a trailing backslash", "a=\"b\\", &["a=\"b\\"]),
    ] {
        let mut found = Vec::new();
        each_directive(line.as_bytes(), |name, argument| {
            let name = String::from_utf8_lossy(name).into_owned();
            found.push(match argument {
                Some(argument) => format!("{name}={}", String::from_utf8_lossy(argument)),
                None => name,
            });
        });
        assert_eq!(found, expected, "{section}: {line:?}");
    }
}

#[test]
fn delta_seconds_saturate() {
    for (text, expected) in [
        ("0", Some(0)),
        ("00", Some(0)),
        ("60", Some(60)),
        ("2147483648", Some(DELTA_SECONDS_MAX)),
        ("4294967296", Some(DELTA_SECONDS_MAX)),
        ("18446744073709551616", Some(DELTA_SECONDS_MAX)),
        ("", None),
        ("-0", None),
        ("1_0", None),
        ("\u{0661}", None),
    ] {
        assert_eq!(delta_seconds(text.as_bytes()), expected, "9111 1.2.2: {text:?}");
    }
    assert_eq!(delta_seconds("9".repeat(100_000).as_bytes()), Some(DELTA_SECONDS_MAX), "9111 1.2.2");
}

#[test]
fn request_directives() {
    for (request, expected) in [
        ("", RequestDirectives::default()),
        ("Cache-Control: no-cache", RequestDirectives { no_cache: true, ..Default::default() }),
        (
            "Cache-Control: max-stale",
            RequestDirectives { max_stale: Delta::Seconds(DELTA_SECONDS_MAX), ..Default::default() },
        ),
        ("Cache-Control: max-stale=", RequestDirectives { max_stale: Delta::Invalid, ..Default::default() }),
        (
            "Cache-Control: max-stale=5, max-stale",
            RequestDirectives { max_stale: Delta::Seconds(5), ..Default::default() },
        ),
        (
            "Cache-Control: max-age=1, MIN-FRESH=2",
            RequestDirectives { max_age: Delta::Seconds(1), min_fresh: Delta::Seconds(2), ..Default::default() },
        ),
        ("Cache-Control: must-revalidate, private, s-maxage=0", RequestDirectives::default()),
        ("Cache-Control: max-stale, x=\"y", RequestDirectives::default()),
        ("Cache-Control: x=\"y, no-store", RequestDirectives { no_store: true, ..Default::default() }),
    ] {
        assert_eq!(RequestDirectives::of(&fields(request)), expected, "9111 5.2.1: {request:?}");
    }
}

#[test]
fn after_a_quote_that_never_ends_only_restrictions_count() {
    let of = |line: &str| ResponseDirectives::of(&fields(line), &CACHE_CONTROL);
    let found = of("Cache-Control: public, max-age=60, stale-if-error=9, x=\"y, no-cache, must-revalidate");
    let expected = ResponseDirectives {
        max_age: Delta::Invalid,
        no_cache: true,
        must_revalidate: true,
        ..ResponseDirectives::default()
    };
    assert_eq!(found, expected);
    let found = of("Cache-Control: x=\"y, must-understand\nCache-Control: no-store, max-age=60");
    assert!(found.no_store && !found.must_understand, "9111 5.2.2.3: no-store is not lifted: {found:?}");
    assert_eq!(found.max_age, Delta::Invalid, "whatever line it is on");
}

#[test]
fn withheld_fields() {
    for (section, line, expected) in [
        ("9111 5.2.2.4", "no-cache=\"a, B\"", &["a", "b"][..]),
        ("9111 5.2.2.7", "private=\"a\", no-cache=\"b\"", &["a", "b"]),
        ("9110 5.6.1", "private=\", a ,, b,\"", &["a", "b"]),
        ("all of it", "private, no-cache", &[]),
        ("not names", "private=\"a(b)\"", &[]),
    ] {
        let found = ResponseDirectives::of(&fields(&format!("Cache-Control: {line}")), &CACHE_CONTROL).withheld;
        assert_eq!(found, expected, "{section}: {line:?}");
    }
}
