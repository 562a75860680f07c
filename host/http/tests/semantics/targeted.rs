//! Targeted cache control: RFC 9213.

use http::HeaderName;
use sandbar_http::plan::Obstacle::{self, NoLifetime, NoStore, Private};
use sandbar_http::semantics::StoreRules;

use super::support::{Asked, judge};

fn check(section: &str, response: &str, lifetime: u64, obstacles: &[Obstacle]) {
    let standard = judge(&Asked::get(""), 200, response, &StoreRules::default());
    assert_eq!(standard.plan.freshness_lifetime_ms, lifetime * 1000, "{section}: {response:?}");
    assert_eq!(standard.obstacles, obstacles, "{section}: {response:?}");
}

#[test]
fn a_valid_targeted_field_replaces_the_others() {
    for (section, response, lifetime, obstacles) in [
        ("9213 2.1", "CDN-Cache-Control: max-age=60", 60, &[][..]),
        ("9213 2.2: longer", "Cache-Control: max-age=1\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9213 2.2: shorter", "Cache-Control: max-age=3600\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9213 2.2: over no-store", "Cache-Control: no-store\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9213 2.2: over private", "Cache-Control: private\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9213 2.2: over no-cache", "Cache-Control: no-cache\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9213 2.2: over Expires", "Expires: @-10000\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9213 2.2: over a garbage Expires", "Expires: 0\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9213 2.2: zero", "Expires: @10000\nCDN-Cache-Control: max-age=0", 0, &[NoLifetime]),
        ("9213 2.2: no-store", "Cache-Control: max-age=60\nCDN-Cache-Control: no-store", 0, &[NoStore, NoLifetime]),
        (
            "9213 2.2: private",
            "Cache-Control: max-age=60\nExpires: @60\nCDN-Cache-Control: private",
            0,
            &[Private, NoLifetime],
        ),
        ("9213 2.2: no-cache", "Cache-Control: max-age=60\nCDN-Cache-Control: no-cache", 0, &[NoLifetime]),
        (
            "9213 2.2: it says nothing of freshness",
            "Cache-Control: max-age=60\nCDN-Cache-Control: foo",
            0,
            &[NoLifetime],
        ),
        ("9213 2.1: a heuristic is still one", "CDN-Cache-Control: foo\nLast-Modified: @-1000", 100, &[]),
        ("9213 2.1: s-maxage", "CDN-Cache-Control: max-age=1, s-maxage=60", 60, &[]),
        ("9213 2.1: extensions", "CDN-Cache-Control: foobar, x=(a b), y=1.5, max-age=60", 60, &[]),
        ("9213 2.1: parameters are ignored", "CDN-Cache-Control: max-age=60;foo=bar, no-store;x=?0", 60, &[NoStore]),
        ("9651 4.2.2: lines combine", "CDN-Cache-Control: foo\nCDN-Cache-Control: max-age=60", 60, &[]),
        ("9651 4.2.2: the last member counts", "CDN-Cache-Control: max-age=1, max-age=60", 60, &[]),
        ("9651: false is not there", "CDN-Cache-Control: max-age=60, no-store=?0", 60, &[]),
        ("9111 1.2.2", "CDN-Cache-Control: max-age=2147483648", 1 << 31, &[]),
        ("9111 1.2.2: overflow", "CDN-Cache-Control: max-age=99999999999", 1 << 31, &[]),
        ("9213 2.2: a name withheld", "CDN-Cache-Control: max-age=60, private=\"a\"", 60, &[]),
    ] {
        check(section, response, lifetime, obstacles);
    }
}

#[test]
fn an_invalid_targeted_field_is_not_there() {
    for (section, field) in [
        ("9213 2.1: empty", ""),
        ("9213 2.1: empty", "   "),
        ("9651: no dictionary", "max-age=10000, &&&&&"),
        ("9651: upper case", "MaX-aGe=10000"),
        ("9651: upper case", "Max-Age=10000, no-store"),
        ("9651: space before =", "max-age =10000"),
        ("9651: space after =", "max-age= 10000"),
        ("9651: too many digits", "max-age=9999999999999999"),
        ("9651: trailing comma", "max-age=10000,"),
        ("9651: trailing garbage", "max-age=10000 s"),
        ("9651: not ASCII", "max-age=10000, x=\"\u{e9}\""),
        ("9213 2.1: type", "max-age=\"10000\""),
        ("9213 2.1: type", "max-age=1.5"),
        ("9213 2.1: type", "max-age=abc"),
        ("9213 2.1: type", "max-age"),
        ("9213 2.1: type", "max-age=-1"),
        ("9213 2.1: type", "s-maxage=?1, max-age=10000"),
        ("9213 2.1: type", "no-store=1"),
        ("9213 2.1: type", "max-age=10000, stale-if-error=\"1\""),
        ("9213 2.1: type", "private=5, max-age=10000"),
    ] {
        check(section, &format!("Cache-Control: max-age=60\nCDN-Cache-Control: {field}"), 60, &[]);
        check(section, &format!("Expires: @60\nCDN-Cache-Control: {field}"), 60, &[]);
        check(section, &format!("Cache-Control: no-store\nCDN-Cache-Control: {field}"), 0, &[NoStore, NoLifetime]);
    }
}

#[test]
fn the_first_valid_target_counts() {
    let names = ["sandbar-cache-control", "cdn-cache-control"];
    let rules = StoreRules { targets: names.map(HeaderName::from_static).to_vec(), ..StoreRules::default() };
    for (section, response, lifetime) in [
        ("9213 2.2", "Sandbar-Cache-Control: max-age=1\nCDN-Cache-Control: max-age=2\nCache-Control: max-age=3", 1),
        ("9213 2.2", "CDN-Cache-Control: max-age=2\nCache-Control: max-age=3", 2),
        ("9213 2.2: invalid", "Sandbar-Cache-Control: &\nCDN-Cache-Control: max-age=2\nCache-Control: max-age=3", 2),
        ("9213 2.2: invalid", "Sandbar-Cache-Control: &\nCDN-Cache-Control: &\nCache-Control: max-age=3", 3),
        ("9213 2.2: none", "Cache-Control: max-age=3", 3),
    ] {
        let plan = judge(&Asked::get(""), 200, response, &rules).plan;
        assert_eq!(plan.freshness_lifetime_ms, lifetime * 1000, "{section}: {response:?}");
    }
    let none = StoreRules { targets: Vec::new(), ..StoreRules::default() };
    let response = "CDN-Cache-Control: max-age=2\nCache-Control: max-age=3";
    assert_eq!(judge(&Asked::get(""), 200, response, &none).plan.freshness_lifetime_ms, 3000, "no target list");
}

#[test]
fn stale_windows_and_insistence_come_from_it_too() {
    let response = "Cache-Control: must-revalidate, max-age=1\nCDN-Cache-Control: max-age=60, stale-if-error=30";
    let standard = judge(&Asked::get(""), 200, response, &StoreRules::default());
    assert_eq!(standard.plan.stale_if_error_ms, 30_000, "9213 2.2");
    assert!(!standard.directives.must_revalidate, "9213 2.2");
    let response =
        "Cache-Control: max-age=1\nCDN-Cache-Control: max-age=60, stale-if-error=30, must-revalidate, immutable";
    let standard = judge(&Asked::get(""), 200, response, &StoreRules::default());
    assert_eq!(standard.plan.stale_if_error_ms, 0, "9111 4.2.4");
    assert!(standard.directives.must_revalidate && standard.directives.immutable, "9213 2.2");
}
