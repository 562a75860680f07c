//! The age of a response: RFC 9111 sections 4.2.3 and 5.1.

use std::time::Duration;

use sandbar_http::semantics::{StoreRules, Times, age};

use super::support::{Asked, NOW, at, fields, judge_at, stored};

#[test]
fn age_field() {
    for (section, response, seconds) in [
        ("9111 5.1", "Age: 30", 30),
        ("9111 5.1", "", 0),
        ("9111 5.1: the first member", "Age: 7200, 0", 7200),
        ("9111 5.1: the first member", "Age: 0, 7200", 0),
        ("9111 5.1: the first line", "Age: 7200\nAge: 0", 7200),
        ("9111 5.1: the first line", "Age: 0\nAge: 7200", 0),
        ("9111 5.1: invalid is ignored", "Age: abc", 0),
        ("9111 5.1: invalid is ignored, and so is what follows", "Age: abc, 30", 0),
        ("9111 5.1: invalid is ignored", "Age: -7200", 0),
        ("9111 5.1: invalid is ignored", "Age: 7200.0", 0),
        ("9111 5.1: invalid is ignored", "Age: 7200;foo=bar", 0),
        ("9111 5.1: invalid is ignored", "Age: \"7200\"", 0),
        ("9111 5.1: empty", "Age:", 0),
        ("9111 5.1: an empty first member", "Age: , 30", 0),
        ("9111 1.2.2", "Age: 2147483647", 2_147_483_647),
        ("9111 1.2.2", "Age: 2147483648", 2_147_483_648),
        ("9111 1.2.2: overflow", "Age: 2147483649", 2_147_483_648),
        ("9111 1.2.2: overflow", "Age: 99999999999999999999999999999999999999999999", 2_147_483_648),
    ] {
        assert_eq!(age::age_value(&fields(response)), Duration::from_secs(seconds), "{section}: {response:?}");
    }
}

#[test]
fn corrected_initial_age() {
    for (section, response, delay_ms, expected_ms) in [
        ("9111 4.2.3", "Date: @0", 0, 0),
        ("9111 4.2.3: response_delay", "Date: @0", 300, 300),
        ("9111 4.2.3: age_value + response_delay", "Date: @0\nAge: 10", 300, 10_300),
        ("9111 4.2.3: apparent_age", "Date: @-20", 300, 20_000),
        ("9111 4.2.3: the larger", "Date: @-20\nAge: 30", 0, 30_000),
        ("9111 4.2.3: the larger", "Date: @-30\nAge: 20", 0, 30_000),
        ("9111 4.2.3: a fast origin", "Date: @3600", 0, 0),
        ("9111 4.2.3: a fast origin behind a cache", "Date: @3600\nAge: 5", 0, 5_000),
        ("9110 6.6.1: no Date", "Age: 5", 100, 5_100),
        ("9110 6.6.1: no Date", "", 0, 0),
        ("9110 6.6.1: a garbage Date is none", "Date: foo", 0, 0),
        ("9110 6.6.1: a garbage Date is none", "Date: 0\nAge: 7", 0, 7_000),
        ("9110 5.6.7: an RFC 850 Date", "Date: Wednesday, 31-Dec-25 23:59:50 GMT", 0, 10_000),
        ("9110 5.6.7: an asctime Date", "Date: Wed Dec 31 23:59:50 2025", 0, 10_000),
        ("9111 4.2.3: a Date from long ago", "Date: Thu, 01 Jan 1970 00:00:00 GMT", 0, 1_767_225_600_000),
        ("9111 5.1: garbage", "Date: @0\nAge: x", 0, 0),
    ] {
        let requested = sandbar_base::Timestamp::from_millis(NOW.as_millis() - delay_ms);
        let times = Times { requested, received: NOW };
        let found = age::initial_age(&fields(response), times);
        assert_eq!(found, Duration::from_millis(expected_ms), "{section}: {response:?}");
        let standard = judge_at(&Asked::get(""), 200, response, &StoreRules::default(), times);
        assert_eq!(standard.initial_age, found, "{section}: {response:?}");
    }
}

#[test]
fn whole_seconds_of_date_make_no_age_within_the_second() {
    let times = Times { requested: at(900), received: at(999) };
    assert_eq!(age::initial_age(&fields("Date: @0"), times), Duration::from_millis(99));
    let times = Times { requested: at(999), received: at(1000) };
    assert_eq!(age::initial_age(&fields("Date: @0"), times), Duration::from_secs(1));
}

#[test]
fn a_clock_that_goes_back_makes_no_negative_age() {
    let times = Times { requested: at(5000), received: NOW };
    assert_eq!(age::initial_age(&fields("Date: @0"), times), Duration::ZERO);
    let stored = stored(200, "Cache-Control: max-age=60\nAge: 7");
    let earlier = sandbar_base::Timestamp::from_millis(NOW.as_millis() - 3_600_000);
    assert_eq!(stored.age(earlier), Duration::from_secs(7));
}

#[test]
fn current_age_is_initial_age_and_resident_time() {
    let stored = stored(200, "Cache-Control: max-age=600\nDate: @0\nAge: 30");
    for ms in [0, 1, 999, 1000, 599_999, 10_000_000] {
        assert_eq!(stored.age(at(ms)), Duration::from_millis(30_000 + ms), "9111 4.2.3");
    }
}
