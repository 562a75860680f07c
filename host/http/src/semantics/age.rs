//! The age of a response when it is received (RFC 9111 sections 4.2.3 and 5.1).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, DATE};

use super::directive::delta_seconds;
use super::list::{Members, Quotes};
use super::{Times, date};

/// `age_value`: the age that the response's `Age` field gives; zero where it is missing or invalid.
///
/// Section 5.1: "a cache encountering a message with a list-based Age field value SHOULD use the first member of the
/// field value, discarding subsequent ones. If the field value (after discarding additional members, as per above) is
/// invalid (e.g., it contains something other than a non-negative integer), a cache SHOULD ignore the field."
pub fn age_value(fields: &HeaderMap) -> Duration {
    let first = fields.get(AGE).and_then(|line| Members::of(line.as_bytes(), Quotes::None).next());
    let seconds = first.and_then(delta_seconds).unwrap_or(0);
    Duration::from_secs(seconds.into())
}

/// `corrected_initial_age`: how old a response was when it was received.
///
/// Section 4.2.3:
/// ```text
/// apparent_age = max(0, response_time - date_value);
/// response_delay = response_time - request_time;
/// corrected_age_value = age_value + response_delay;
/// corrected_initial_age = max(apparent_age, corrected_age_value);
/// ```
/// `Date` has whole seconds: a response that was made and received within the same second has no apparent age.
pub fn initial_age(fields: &HeaderMap, times: Times) -> Duration {
    let received_secs = times.received.as_secs();
    // RFC 9110 section 6.6.1: a recipient of a response without a (valid) Date takes the time it was received.
    let date_secs = date::field(fields, &DATE, times.received).map_or(received_secs, |date| date.as_secs());
    let apparent_age = Duration::from_secs(received_secs.saturating_sub(date_secs));
    let response_delay = times.received.saturating_since(times.requested);
    apparent_age.max(age_value(fields) + response_delay)
}
