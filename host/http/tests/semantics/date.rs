//! HTTP dates, RFC 9110 section 5.6.7.

use http::HeaderValue;
use sandbar_base::Timestamp;
use sandbar_http::semantics::date;

use super::support::NOW;

#[test]
fn two_digit_years_are_within_fifty_years() {
    // "[...] MUST interpret a timestamp that appears to be more than 50 years in the future as representing the most recent
    // year in the past that had the same last two digits."
    for (now_secs, text, seconds) in [
        (1_767_225_600, "Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_777)),
        (1_767_225_600, "Thursday, 01-Jan-26 00:00:00 GMT", Some(1_767_225_600)),
        (1_767_225_600, "Wednesday, 01-Jan-76 00:00:00 GMT", Some(3_345_062_400)),
        (1_767_225_600, "Saturday, 01-Jan-77 00:00:00 GMT", Some(220_924_800)),
        // In 2080, "94" is 2094; "26" is read as 2026, although 2126 would be within 50 years too.
        (3_471_292_800, "Saturday, 06-Nov-94 08:49:37 GMT", Some(3_939_871_777)),
        (3_471_292_800, "Thursday, 01-Jan-26 00:00:00 GMT", Some(1_767_225_600)),
        (1_767_225_600, "Sunday, 06-Nov-1994 08:49:37 GMT", None),
        (1_767_225_600, "Sun, 06-Nov-94 08:49:37 GMT", None),
        (1_767_225_600, "Someday, 06-Nov-94 08:49:37 GMT", None),
        (1_767_225_600, "Sunday, 06-Nov-9x 08:49:37 GMT", None),
        (1_767_225_600, "Sunday, 06-Nov-94", None),
        (1_767_225_600, "Sunday, 31-Nov-94 08:49:37 GMT", None),
    ] {
        let now = Timestamp::from_millis(now_secs * 1000);
        let found = date::parse(&HeaderValue::from_static(text), now).map(Timestamp::as_secs);
        assert_eq!(found, seconds, "{text:?} in {now}");
    }
}

#[test]
fn what_is_formatted_is_parsed_again() {
    for seconds in [0, 1, 784_111_777, 951_782_400, 1_767_225_600, 4_102_444_800, 253_402_300_799] {
        let time = Timestamp::from_millis(seconds * 1000);
        assert_eq!(date::parse(&date::format(time), NOW), Some(time));
    }
}

#[test]
fn no_time_is_too_late_to_be_formatted() {
    for ms in [253_402_300_800_000, u64::MAX / 2, u64::MAX] {
        assert_eq!(date::format(Timestamp::from_millis(ms)), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
