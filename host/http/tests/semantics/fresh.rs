//! The freshness lifetime of a response: RFC 9111 section 4.2.

use std::time::Duration;

use sandbar_http::plan::LifetimeSource::{self, Explicit, Heuristic, Missing};
use sandbar_http::semantics::{Reuse, StoreRules, reuse};

use super::support::{Asked, at, judge, stored};

const MAX: u64 = 1 << 31;

fn check(section: &str, status: u16, response: &str, expected: (u64, LifetimeSource)) {
    let standard = judge(&Asked::get(""), status, response, &StoreRules::default());
    let found = (standard.plan.freshness_lifetime_ms, standard.lifetime);
    assert_eq!(found, (expected.0 * 1000, expected.1), "{section}: {status} {response:?}");
}

#[test]
fn explicit_lifetimes() {
    for (section, response, seconds) in [
        ("9111 5.2.2.1", "Cache-Control: max-age=60", 60),
        ("9111 5.2.2.10", "Cache-Control: s-maxage=60", 60),
        ("9111 4.2.1: s-maxage first", "Cache-Control: max-age=1, s-maxage=60", 60),
        ("9111 4.2.1: in any order", "Cache-Control: s-maxage=60, max-age=3600", 60),
        ("9111 4.2.1: on two lines", "Cache-Control: max-age=3600\nCache-Control: s-maxage=60", 60),
        ("9111 4.2.1: s-maxage=0", "Cache-Control: s-maxage=0, max-age=60", 0),
        ("9111 5.3", "Date: @0\nExpires: @60", 60),
        ("9111 4.2.1: without Date from receipt", "Expires: @60", 60),
        ("9111 4.2.1: with a garbage Date from receipt", "Date: foo\nExpires: @60", 60),
        ("9111 4.2.1: both slow", "Date: @-3600\nExpires: @-3000", 600),
        ("9111 4.2.1: both fast", "Date: @400\nExpires: @300", 0),
        ("9111 4.2.1: fast", "Date: @3600\nExpires: @4200", 600),
        ("9111 5.3: max-age first", "Cache-Control: max-age=60\nExpires: @-7200", 60),
        ("9111 5.3: max-age first", "Cache-Control: max-age=60\nExpires: 0", 60),
        ("9111 5.3: s-maxage first", "Cache-Control: max-age=0, s-maxage=60\nExpires: @-10", 60),
        ("9111 5.3: max-age=0 first", "Cache-Control: max-age=0\nExpires: @3600", 0),
        ("9111 5.2: any case", "Cache-Control: MaX-aGe=60", 60),
        ("9111 5.2: any case", "Cache-Control: S-MAXAGE=60", 60),
        ("9111 5.2.3: extensions are ignored", "Cache-Control: foobar, max-age=60, x=y, z=\"q\"", 60),
        ("9110 5.6.1: empty members", "Cache-Control: ,, max-age=60 ,,", 60),
        ("9111 5.2.2.1: both forms of argument", "Cache-Control: max-age=\"60\"", 60),
        ("9110 5.6.4: quoted pairs", "Cache-Control: max-age=\"6\\0\"", 60),
        ("9111 1.2.2: leading zeros", "Cache-Control: max-age=000060", 60),
        ("9111 1.2.2", "Cache-Control: max-age=2147483647", MAX - 1),
        ("9111 1.2.2", "Cache-Control: max-age=2147483648", MAX),
        ("9111 1.2.2: overflow", "Cache-Control: max-age=2147483649", MAX),
        ("9111 1.2.2: overflow", "Cache-Control: max-age=99999999999", MAX),
        ("9111 1.2.2: overflow", "Cache-Control: max-age=340282366920938463463374607431768211456", MAX),
        ("9111 5.2: in quotes it is no directive", "Cache-Control: x=\"max-age=3600\", max-age=60", 60),
        ("9111 5.2: in quotes it is no directive", "Cache-Control: max-age=60, x=\"max-age=3600\"", 60),
        ("9111 5.2: quoted comma", "Cache-Control: x=\"a, max-age=3600\", max-age=60", 60),
        ("9111 5.2: escaped quote", "Cache-Control: x=\"\\\", max-age=3600\", max-age=60", 60),
        ("9111 4.2.1: equal twice", "Cache-Control: max-age=60, max-age=60", 60),
        ("9111 4.2.1: conflicting", "Cache-Control: max-age=1800, max-age=60", 60),
        ("9111 4.2.1: conflicting", "Cache-Control: max-age=60\nCache-Control: max-age=1800", 60),
    ] {
        check(section, 200, response, (seconds, Explicit));
    }
}

#[test]
fn invalid_lifetimes_are_stale() {
    for argument in [
        "", "=", "=\"\"", "=abc", "=60a", "=a60", "=-60", "=+60", "=60.0", "=60.5", "='60'", "=0x60", "=6 0", "=\"60",
        "=60\"", "=\"60\"x", " =60", "= 60", "\t=60", "=1e3", "=\u{ff}", "=60;x", "==60",
    ] {
        check("9111 4.2.1", 200, &format!("Cache-Control: max-age{argument}"), (0, Explicit));
        check("9111 4.2.1", 200, &format!("Cache-Control: s-maxage{argument}, max-age=60"), (0, Explicit));
        check("9111 4.2.1", 200, &format!("Cache-Control: max-age{argument}\nExpires: @3600"), (0, Explicit));
        check("9111 4.2.1", 200, &format!("Cache-Control: max-age=60, max-age{argument}"), (0, Explicit));
    }
    // An invalid max-age does not matter beside a valid s-maxage.
    check("9111 4.2.1", 200, "Cache-Control: max-age=x, s-maxage=60", (60, Explicit));
    // On a line with a quote that never ends no lifetime is trusted.
    check("9111 4.2.1", 200, "Cache-Control: x=\"a, max-age=60", (0, Explicit));
    check("9111 4.2.1", 200, "Cache-Control: max-age=60, x=\"a", (0, Explicit));
}

#[test]
fn expires_in_all_forms() {
    let day = 24 * 60 * 60;
    for (section, expires, seconds) in [
        ("9110 5.6.7", "Fri, 02 Jan 2026 00:00:00 GMT", day),
        ("9110 5.6.7: RFC 850", "Friday, 02-Jan-26 00:00:00 GMT", day),
        ("9110 5.6.7: asctime", "Fri Jan  2 00:00:00 2026", day),
        ("9111 4.2: any case", "FRI, 02 Jan 2026 00:00:00 GMT", day),
        ("9111 4.2: any case", "Fri, 02 JAN 2026 00:00:00 GMT", day),
        ("9111 4.2: any case", "Fri, 02 Jan 2026 00:00:00 gMT", day),
        ("9111 4.2: any case", "fRIDAY, 02-jAN-26 00:00:00 gmt", day),
        ("9111 4.2: any case", "fri jan  2 00:00:00 2026", day),
        ("9110 5.6.7: two digits", "Thursday, 18-Aug-50 00:00:00 GMT", 777_168_000),
        ("9110 5.6.7: 50 years ahead", "Wednesday, 01-Jan-76 00:00:00 GMT", 1_577_836_800),
        ("9110 5.6.7: more than 50 years ahead is the past", "Saturday, 01-Jan-77 00:00:00 GMT", 0),
        ("9110 5.6.7: the past", "Sunday, 06-Nov-94 08:49:37 GMT", 0),
        ("32 bits", "Tue, 19 Jan 2038 14:14:08 GMT", 380_297_648),
        ("far future", "Sun, 21 Nov 2286 04:46:39 GMT", 8_232_813_999),
        ("9111 5.3", "0", 0),
        ("9111 5.3", "-1", 0),
        ("9111 5.3", "", 0),
        ("9111 5.3", "3600", 0),
        ("9111 4.2: another zone", "Fri, 02 Jan 2026 00:00:00 UTC", 0),
        ("9111 4.2: another zone", "Fri, 02 Jan 2026 00:00:00 AEST", 0),
        ("9111 4.2: another zone", "Fri, 02 Jan 2026 00:00:00 +0000", 0),
        ("9111 4.2: no zone", "Fri, 02 Jan 2026 00:00:00", 0),
        ("9111 5.3: two digits", "Fri, 02 Jan 26 00:00:00 GMT", 0),
        ("9111 5.3: no comma", "Fri 02 Jan 2026 00:00:00 GMT", 0),
        ("9111 5.3: two spaces", "Fri, 02  Jan  2026 00:00:00 GMT", 0),
        ("9111 5.3: dashes", "Fri, 02-Jan-2026 00:00:00 GMT", 0),
        ("9111 5.3: periods", "Fri, 02 Jan 2026 00.00.00 GMT", 0),
        ("9111 5.3: one digit", "Fri, 02 Jan 2026 0:00:00 GMT", 0),
        ("9111 5.3: one digit", "Fri, 2 Jan 2026 00:00:00 GMT", 0),
        ("9111 5.3: no such day", "Fri, 31 Feb 2026 00:00:00 GMT", 0),
        ("9111 5.3: no such hour", "Fri, 02 Jan 2026 25:00:00 GMT", 0),
        ("the wrong weekday", "Mon, 02 Jan 2026 00:00:00 GMT", day),
        ("the wrong weekday", "Monday, 02-Jan-26 00:00:00 GMT", day),
        ("the wrong weekday", "Mon Jan  2 00:00:00 2026", day),
        ("9111 5.3: no weekday", "Foo, 02 Jan 2026 00:00:00 GMT", 0),
        ("9111 5.3: no weekday", "02 Jan 2026 00:00:00 GMT", 0),
        ("9111 5.3: ISO 8601", "2026-01-02T00:00:00Z", 0),
        ("9111 5.3: a list", "Fri, 02 Jan 2026 00:00:00 GMT, Fri, 02 Jan 2026 00:00:00 GMT", 0),
    ] {
        check(section, 200, &format!("Date: @0\nExpires: {expires}"), (seconds, Explicit));
    }
    check("9111 4.2.1: two lines, the earliest", 200, "Expires: @60\nExpires: @30", (30, Explicit));
    check("9111 4.2.1: two lines, one garbage", 200, "Expires: @60\nExpires: 0", (0, Explicit));
}

#[test]
fn heuristic_only_where_it_may_be() {
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501] {
        check("9110 15.1", status, "Date: @0\nLast-Modified: @-36000", (3600, Heuristic));
    }
    for status in [201, 202, 207, 299, 302, 303, 307, 400, 401, 403, 406, 409, 451, 499, 500, 502, 503, 504, 599] {
        check("9111 4.2.2", status, "Date: @0\nLast-Modified: @-36000", (0, Missing));
        check("9111 4.2.2", status, "Cache-Control: public\nDate: @0\nLast-Modified: @-36000", (3600, Heuristic));
    }
    for (section, response, expected) in [
        ("9111 4.2.2: from Date", "Date: @-1000\nLast-Modified: @-2000", (100, Heuristic)),
        ("9111 4.2.2: from receipt", "Last-Modified: @-2000", (200, Heuristic)),
        ("9111 4.2.2: modified after it was made", "Date: @0\nLast-Modified: @3600", (0, Heuristic)),
        ("9111 4.2.2: a day at most", "Date: @0\nLast-Modified: @-31536000", (86_400, Heuristic)),
        ("9111 4.2.2: garbage", "Last-Modified: last week", (0, Missing)),
        ("9111 4.2.2: nothing to guess from", "ETag: \"a\"", (0, Missing)),
        ("9111 4.2.2: nothing at all: no default", "", (0, Missing)),
        ("9111 4.2.2: not beside an explicit one", "Cache-Control: max-age=5\nLast-Modified: @-36000", (5, Explicit)),
        ("9111 4.2.2: not beside an explicit one", "Expires: 0\nLast-Modified: @-36000", (0, Explicit)),
        ("9111 4.2.2: not beside an invalid one", "Cache-Control: max-age=x\nLast-Modified: @-36000", (0, Explicit)),
        ("9111 4.2.2: no-cache is none", "Cache-Control: must-revalidate\nLast-Modified: @-36000", (3600, Heuristic)),
    ] {
        check(section, 200, response, expected);
    }
    let none = StoreRules { heuristic_max: Duration::ZERO, ..StoreRules::default() };
    let standard = judge(&Asked::get(""), 200, "Last-Modified: @-36000", &none);
    assert_eq!((standard.plan.freshness_lifetime_ms, standard.lifetime), (0, Missing), "operators may forbid guesses");
}

#[test]
fn fresh_while_the_age_is_less_than_the_lifetime() {
    // 9111 4.2: response_is_fresh = (freshness_lifetime > current_age)
    for (response, lifetime_ms) in [
        ("Cache-Control: max-age=60", 60_000),
        ("Cache-Control: s-maxage=1, max-age=60", 1_000),
        ("Expires: @10\nDate: @0", 10_000),
        ("Cache-Control: max-age=60\nAge: 50", 10_000),
        ("Cache-Control: max-age=60\nDate: @-20", 40_000),
        ("Date: @0\nLast-Modified: @-1000", 100_000),
    ] {
        let stored = stored(200, response);
        for (ms, fresh) in [(0, true), (lifetime_ms - 1, true), (lifetime_ms, false), (lifetime_ms + 1, false)] {
            let found = reuse(&stored, &Asked::get("").head(), at(ms), false);
            assert_eq!(found == Reuse::Fresh, fresh, "{response:?} after {ms} ms: {found:?}");
        }
    }
}
