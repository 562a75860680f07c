//! HTTP dates (RFC 9110 section 5.6.7) in all three forms.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};

use sandbar_base::Timestamp;

/// The last second that the date forms can show: 9999-12-31T23:59:59Z.
const LAST: Timestamp = Timestamp::from_millis(253_402_300_799_000);

const IMF_FIXDATE_LEN: usize = "Sun, 06 Nov 1994 08:49:37 GMT".len();

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// More than the length of any date in any of the three forms: longer values are rejected unread.
const DATE_BYTES_MAX: usize = 64;

const SECONDS_PER_YEAR: u64 = 31_556_952;

/// The date in `value`; none where it has none of the three forms, or is a day that does not exist. Names are read in
/// any case, and a wrong day of the week does not matter.
///
/// `now` settles the century of the obsolete RFC 850 form, whose years have two digits.
pub fn parse(value: &HeaderValue, now: Timestamp) -> Option<Timestamp> {
    let text = value.to_str().ok()?.trim();
    if text.len() > DATE_BYTES_MAX {
        return None;
    }
    // The common form needs no allocation.
    if let Ok(time) = httpdate::parse_http_date(text).map(Timestamp::from)
        && text.len() == IMF_FIXDATE_LEN
    {
        return Some(time);
    }
    let text = in_its_own_case(text);
    let text = four_digit_year(&text, now).unwrap_or(text);
    let (day, rest) = text.split_at_checked(3)?;
    // The date determines the day of the week: it has to be the name of some day, and need not be the right one.
    if !DAYS.contains(&day) {
        return None;
    }
    DAYS.iter().find_map(|day| httpdate::parse_http_date(&format!("{day}{rest}")).ok()).map(Timestamp::from)
}

/// The date in the first line of field `name`.
pub fn field(fields: &HeaderMap, name: &HeaderName, now: Timestamp) -> Option<Timestamp> {
    parse(fields.get(name)?, now)
}

/// `time` as an IMF-fixdate, the only form that this cache generates; at most the last second of the year 9999.
pub fn format(time: Timestamp) -> HeaderValue {
    let text = httpdate::fmt_http_date(SystemTime::from(time.min(LAST)));
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"))
}

/// `text` with the names of days and months, and `GMT`, in the case that the date forms prescribe.
///
/// RFC 9111 section 4.2: "Although all date formats are specified to be case-sensitive, a cache recipient SHOULD match
/// the field value case-insensitively", and "SHOULD consider a date with a zone abbreviation other than "GMT" to be
/// invalid".
fn in_its_own_case(text: &str) -> String {
    let mut within_word = false;
    let cased = text.chars().map(|c| {
        let shown = if within_word { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
        within_word = c.is_ascii_alphabetic();
        shown
    });
    let cased: String = cased.collect();
    cased.strip_suffix("Gmt").map_or(cased.clone(), |rest| format!("{rest}GMT"))
}

/// An RFC 850 date as an IMF-fixdate; none where `text` is not one.
///
/// RFC 9110 section 5.6.7: "Recipients of a timestamp value in rfc850-date format, which uses a two-digit year, MUST
/// interpret a timestamp that appears to be more than 50 years in the future as representing the most recent year in
/// the past that had the same last two digits."
fn four_digit_year(text: &str, now: Timestamp) -> Option<String> {
    let (day_name, rest) = text.split_once(", ")?;
    let (date, time) = rest.split_once(' ')?;
    let mut parts = date.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let known = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"].contains(&day_name);
    if !known || parts.next().is_some() || year.len() != 2 || !year.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let this_year = 1970 + now.as_secs() / SECONDS_PER_YEAR;
    let mut full_year = this_year / 100 * 100 + year.parse::<u64>().ok()?;
    if full_year > this_year + 50 {
        full_year -= 100;
    }
    Some(format!("{}, {day} {month} {full_year} {time}", &day_name[..3]))
}
