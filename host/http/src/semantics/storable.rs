//! Storability: whether a response may be stored (RFC 9111 section 3), and the plan that the standard makes for it.

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LOCATION, EXPIRES, SET_COOKIE};
use http::{Method, StatusCode};

use super::cache_control::ResponseDirectives;
use super::location::same_origin_target;
use super::targeted::{Effective, effective};
use super::{
    RequestHead, ResponseHead, StoreRules, Times, Vary, age, freshness, partial, request, stale, surrogate, validator,
};
use crate::key::sent_target;
use crate::plan::{EarlyRefresh, LifetimeSource, Obstacle, Plan, Standard};

/// The plan that RFC 9111 makes for a response, with all obstacles to storing it, before any policy is asked.
///
/// A response that is never fresh is stored too where it can be validated: it is validated on every use.
pub fn standard(request: &RequestHead<'_>, response: &ResponseHead<'_>, times: Times, rules: &StoreRules) -> Standard {
    let effective = effective(response.fields, &rules.targets);
    let (lifetime, source) = freshness::lifetime(response, &effective, times.received, rules);
    let windows = stale::windows(&effective.directives);
    let directives = stale::insistence(&effective.directives);
    let mut obstacles = obstacles(request, response, &effective.directives, rules);
    let longest = lifetime + windows.while_revalidate.max(windows.if_error);
    if is_useless(response, &effective, source, longest, times) {
        obstacles.push(Obstacle::NoLifetime);
    }
    let stores = obstacles.is_empty();
    let plan = Plan {
        l1: stores,
        l2: stores,
        freshness_lifetime_ms: millis(lifetime),
        stale_while_revalidate_ms: millis(windows.while_revalidate),
        stale_if_error_ms: millis(windows.if_error),
        early_refresh: EarlyRefresh::Never,
        surrogate_keys: surrogate::surrogate_keys(request, response.fields),
    };
    Standard { plan, directives, initial_age: age::initial_age(response.fields, times), lifetime: source, obstacles }
}

fn obstacles(
    request: &RequestHead<'_>,
    response: &ResponseHead<'_>,
    directives: &ResponseDirectives,
    rules: &StoreRules,
) -> Vec<Obstacle> {
    // Section 5.2.2.3: must-understand "limits caching of the response to a cache that understands and conforms to the
    // requirements for that response's status code", and then "the cache SHOULD ignore the no-store directive".
    let understood = understands(response.status);
    let must_understand = directives.must_understand || rules.understood_only;
    let no_store = directives.no_store && !(directives.must_understand && understood);
    let sets_cookie = response.fields.contains_key(SET_COOKIE) && !directives.withheld.contains(&SET_COOKIE);
    let checks = [
        (Obstacle::Method, *request.method != Method::GET && !is_storable_post(request, response, directives)),
        (Obstacle::Status, !is_storable(request, response.status) || must_understand && !understood),
        (Obstacle::NoStore, no_store),
        (Obstacle::RequestNoStore, request.directives().no_store),
        (Obstacle::Private, directives.private),
        (Obstacle::Authorization, request.fields.contains_key(AUTHORIZATION) && !allows_sharing(directives)),
        (Obstacle::SetCookie, sets_cookie && !rules.store_set_cookie),
        (Obstacle::VaryAny, super::vary(response.fields) == Vary::Any),
        (Obstacle::Partial, response.status == StatusCode::PARTIAL_CONTENT && !partial::is_storable(response.fields)),
    ];
    checks.into_iter().filter(|(_, holds)| *holds).map(|(obstacle, _)| obstacle).collect()
}

/// Whether the response to a POST answers later GETs of its target, so that it may be stored as if it were one to GET.
/// A part, or a response that is no success, never does.
pub fn answers_get(request: &RequestHead<'_>, response: &ResponseHead<'_>, rules: &StoreRules) -> bool {
    response.status != StatusCode::PARTIAL_CONTENT
        && is_storable_post(request, response, &effective(response.fields, &rules.targets).directives)
}

/// RFC 9110 section 9.3.3: "Responses to POST requests are only cacheable when they include explicit freshness
/// information [...] and a Content-Location header field that has the same value as the POST's target URI": it then
/// answers GET.
fn is_storable_post(request: &RequestHead<'_>, response: &ResponseHead<'_>, directives: &ResponseDirectives) -> bool {
    let explicit = directives.s_maxage.is_present() || directives.max_age.is_present();
    if *request.method != Method::POST || !(explicit || response.fields.contains_key(EXPIRES)) {
        return false;
    }
    let reference = response.fields.get(CONTENT_LOCATION).and_then(|value| value.to_str().ok());
    let host = request::host(request);
    let names_target = |scheme: &str| {
        let target = reference.and_then(|it| same_origin_target(it, &format!("{scheme}://{host}"), request.uri));
        target.as_deref() == Some(&*sent_target(request.uri))
    };
    response.status.is_success() && (names_target("https") || names_target("http"))
}

/// Whether the status code allows storing: section 3, "the response status code is final", and the rules of each code.
fn is_storable(request: &RequestHead<'_>, status: StatusCode) -> bool {
    match status.as_u16() {
        // A 304 only freshens what is stored (section 4.3.4).
        0..=199 | 304 => false,
        // RFC 6585 sections 3 to 6: "MUST NOT be stored by a cache."
        428 | 429 | 431 | 511 => false,
        // These answer a precondition, a range or an expectation, not the target as such.
        412 | 416 | 417 => false,
        // A 206 answers only a request with Range.
        206 => request.fields.contains_key(http::header::RANGE),
        _ => true,
    }
}

/// Whether this cache knows what a status code requires of caches: those of RFC 9110, and registered ones that require
/// nothing more.
pub fn understands(status: StatusCode) -> bool {
    matches!(status.as_u16(),
        200..=206 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 425 | 426 | 451 | 500..=505)
}

/// Section 3.5: "A shared cache MUST NOT use a cached response to a request with an Authorization header field [...] to
/// satisfy any subsequent request unless the response contains a Cache-Control field with a response directive [...]
/// that allows it to be stored by a shared cache", which are "must-revalidate [...], public [...], and s-maxage".
const fn allows_sharing(directives: &ResponseDirectives) -> bool {
    directives.must_revalidate || directives.public || directives.s_maxage.is_present()
}

/// Whether storing the response would be of no use: it is never fresh, nor of use when stale, and can't be validated;
/// or section 3 gives no ground to store it at all ("a public response directive", "an Expires header field", "a
/// max-age response directive", "an s-maxage response directive", "a status code that is defined as heuristically
/// cacheable").
fn is_useless(
    response: &ResponseHead<'_>,
    effective: &Effective,
    source: LifetimeSource,
    longest: Duration,
    times: Times,
) -> bool {
    let has_ground = source != LifetimeSource::Missing
        || effective.directives.public
        || freshness::heuristically_cacheable(response.status);
    let can_be_validated = validator::can_be_validated(response.status, response.fields, times.received);
    let served_unvalidated = !longest.is_zero() && !effective.directives.no_cache;
    !has_ground || !can_be_validated && !served_unvalidated
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
