//! Stale responses (RFC 9111 section 4.2.4, RFC 5861): for how long they may be served, and what forbids serving them.

use std::time::Duration;

use sandbar_base::Timestamp;

use super::RequestHead;
use super::cache_control::ResponseDirectives;
use super::partial::lacks_what_is_asked;
use crate::entry::StoredResponse;
use crate::plan::Directives;

/// For how long after its freshness lifetime a stale response may be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// The window of `stale-while-revalidate`; zero where there is none.
    pub while_revalidate: Duration,
    /// The window of `stale-if-error`; zero where there is none.
    pub if_error: Duration,
}

/// The response directives that hold on every reuse.
pub const fn insistence(response: &ResponseDirectives) -> Directives {
    Directives {
        no_cache: response.no_cache,
        // RFC 9111 section 5.2.2.10: s-maxage "incorporates the semantics of the proxy-revalidate response directive".
        must_revalidate: response.must_revalidate || response.proxy_revalidate || response.s_maxage.is_present(),
        immutable: response.immutable,
    }
}

/// The windows that a response's directives give, both empty where the directives forbid stale reuse.
///
/// RFC 9111 section 4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol
/// directive (e.g., by a no-cache response directive, a must-revalidate response directive, or an applicable s-maxage
/// or proxy-revalidate response directive [...])."
pub fn windows(response: &ResponseDirectives) -> Windows {
    if forbids(insistence(response)) {
        return Windows::default();
    }
    let window = |seconds: Option<u32>| Duration::from_secs(seconds.unwrap_or(0).into());
    Windows {
        while_revalidate: window(response.stale_while_revalidate.seconds()),
        if_error: window(response.stale_if_error.seconds()),
    }
}

/// Whether the origin forbids serving a response stale.
pub const fn forbids(directives: Directives) -> bool {
    directives.no_cache || directives.must_revalidate
}

/// How long a stored response has been stale; none while it is fresh. A soft-purged one is stale whatever its age: for
/// zero time, as long as its lifetime has not passed.
pub fn staleness(stored: &StoredResponse, now: Timestamp, soft_purged: bool) -> Option<Duration> {
    let lifetime = Duration::from_millis(stored.plan.freshness_lifetime_ms);
    match stored.age(now).checked_sub(lifetime) {
        Some(stale_for) => Some(stale_for),
        None => soft_purged.then_some(Duration::ZERO),
    }
}

/// Whether the stored response may answer after the origin failed: with a 5xx, not at all, or not in time.
///
/// Being disconnected does not suffice here, although section 4.2.4 would allow it: a stale response needs
/// `stale-if-error` in the response (RFC 5861 section 4) or in the request, or `max-stale` in the request. A response
/// that is still fresh (the client asked for a younger one) may answer too, unless the client or the origin insists on
/// validation.
pub fn may_serve_on_error(
    stored: &StoredResponse,
    request: &RequestHead<'_>,
    now: Timestamp,
    soft_purged: bool,
) -> bool {
    if lacks_what_is_asked(stored, request) {
        return false;
    }
    let asked = request.directives();
    // RFC 9111 section 5.2.1.4: the client "prefers a stored response not be used [...] without successful validation".
    if asked.no_cache || stored.directives.no_cache {
        return false;
    }
    let Some(stale_for) = staleness(stored, now, soft_purged) else { return true };
    if stored.directives.must_revalidate {
        return false;
    }
    let asked_window = asked.stale_if_error.seconds().max(asked.max_stale.seconds());
    let asked_window = Duration::from_secs(asked_window.unwrap_or(0).into());
    stale_for < asked_window.max(Duration::from_millis(stored.plan.stale_if_error_ms))
}
