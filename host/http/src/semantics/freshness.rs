//! The freshness lifetime of a response (RFC 9111 section 4.2.1): `s-maxage`, else `max-age`, else `Expires`, else a
//! heuristic where section 4.2.2 allows one. There is no default lifetime.

use std::time::Duration;

use http::StatusCode;
use http::header::{DATE, EXPIRES, LAST_MODIFIED};
use sandbar_base::Timestamp;

use super::directive::Delta;
use super::targeted::Effective;
use super::{ResponseHead, StoreRules, date};
use crate::plan::LifetimeSource;

/// The heuristic lifetime is the time since the last modification divided by this: section 4.2.2, "A typical setting of
/// this fraction might be 10%".
const HEURISTIC_DIVISOR: u32 = 10;

/// The freshness lifetime of a response, and where it comes from; zero where it is missing.
pub fn lifetime(
    response: &ResponseHead<'_>,
    effective: &Effective,
    received: Timestamp,
    rules: &StoreRules,
) -> (Duration, LifetimeSource) {
    if let Some(explicit) = explicit(response, effective, received) {
        return (explicit, LifetimeSource::Explicit);
    }
    match heuristic(response, effective, received) {
        Some(guess) if !rules.heuristic_max.is_zero() => (guess.min(rules.heuristic_max), LifetimeSource::Heuristic),
        _ => (Duration::ZERO, LifetimeSource::Missing),
    }
}

/// The explicit lifetime by section 4.2.1, in its order: the first match counts.
fn explicit(response: &ResponseHead<'_>, effective: &Effective, received: Timestamp) -> Option<Duration> {
    // "If the cache is shared and the s-maxage response directive is present, use its value, or"
    // "If the max-age response directive is present, use its value, or"
    for delta in [effective.directives.s_maxage, effective.directives.max_age] {
        match delta {
            Delta::Seconds(seconds) => return Some(Duration::from_secs(seconds.into())),
            // "Caches are encouraged to consider responses that have invalid freshness information [...] to be stale."
            Delta::Invalid => return Some(Duration::ZERO),
            Delta::Absent => {}
        }
    }
    // "If the Expires response header field is present, use its value minus the value of the Date response header field
    // (using the time the message was received if it is not present [...])"
    if effective.targeted || !response.fields.contains_key(EXPIRES) {
        return None;
    }
    let date = date::field(response.fields, &DATE, received).unwrap_or(received);
    // Section 5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a
    // time in the past (i.e., "already expired")." Of repeated lines the earliest counts.
    let earliest = response.fields.get_all(EXPIRES).iter().map(|line| date::parse(line, received)).min().flatten();
    Some(earliest.map_or(Duration::ZERO, |expires| expires.saturating_since(date)))
}

/// Section 4.2.2: "A cache MUST NOT use heuristics to determine freshness when an explicit expiration time is present",
/// and may use them only where the status code is "defined as heuristically cacheable" or the response has "been marked
/// as explicitly cacheable (e.g., with a public response directive)".
fn heuristic(response: &ResponseHead<'_>, effective: &Effective, received: Timestamp) -> Option<Duration> {
    if !heuristically_cacheable(response.status) && !effective.directives.public {
        return None;
    }
    let date = date::field(response.fields, &DATE, received).unwrap_or(received);
    let modified = date::field(response.fields, &LAST_MODIFIED, received)?;
    Some(date.saturating_since(modified) / HEURISTIC_DIVISOR)
}

/// Whether a response with this status code may be stored on heuristics alone (RFC 9110 section 15.1).
pub fn heuristically_cacheable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}
