//! Reuse: whether a stored response may answer a request without validation (RFC 9111 section 4).

use std::time::Duration;

use sandbar_base::Timestamp;

use super::RequestHead;
use super::cache_control::RequestDirectives;
use super::cache_status::FwdReason;
use super::partial::lacks_what_is_asked;
use super::stale::{forbids, staleness};
use crate::entry::StoredResponse;

/// Whether a stored response that a request has selected may answer it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It may: it is fresh.
    Fresh,
    /// It may, although it is stale.
    Stale(StaleReason),
    /// It must be validated first; the reason is the one to show in `Cache-Status`.
    Validate(FwdReason),
}

/// Why a stale response may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StaleReason {
    /// `stale-while-revalidate` (RFC 5861 section 3): it is validated in the background.
    WhileRevalidate,
    /// `max-stale` in the request (RFC 9111 section 5.2.1.2).
    MaxStale,
}

/// Whether the stored response may answer the request now. For a part that lacks the bytes that are asked for the
/// reason is [`FwdReason::Partial`]: there is nothing to validate, the request is forwarded as it is.
pub fn reuse(stored: &StoredResponse, request: &RequestHead<'_>, now: Timestamp, soft_purged: bool) -> Reuse {
    // Section 3.3: a part answers nothing but a range "wholly within" it, least of all a request for the whole.
    if lacks_what_is_asked(stored, request) {
        return Reuse::Validate(FwdReason::Partial);
    }
    let asked = request.directives();
    // Section 5.2.2.4: the response "MUST NOT be used to satisfy any other request without forwarding it for
    // validation".
    if stored.directives.no_cache {
        return Reuse::Validate(FwdReason::Stale);
    }
    // Section 5.2.1.4: "the client prefers a stored response not be used to satisfy the request without successful
    // validation on the origin server."
    if asked.no_cache || !young_enough(stored, asked, now) {
        return Reuse::Validate(FwdReason::Request);
    }
    match staleness(stored, now, soft_purged) {
        None if stays_fresh(stored, asked, now) => Reuse::Fresh,
        None => Reuse::Validate(FwdReason::Request),
        Some(stale_for) => reuse_stale(stored, asked, stale_for),
    }
}

/// Section 5.2.1.1: "the client prefers a response whose age is less than or equal to the specified number of seconds."
/// No stored response has the age zero.
fn young_enough(stored: &StoredResponse, asked: &RequestDirectives, now: Timestamp) -> bool {
    match asked.max_age.seconds() {
        _ if !asked.max_age.is_present() => true,
        Some(seconds) => seconds > 0 && stored.age(now) <= Duration::from_secs(seconds.into()),
        None => false,
    }
}

/// Section 5.2.1.3: "the client prefers a response whose freshness lifetime is no less than its current age plus the
/// specified time in seconds."
fn stays_fresh(stored: &StoredResponse, asked: &RequestDirectives, now: Timestamp) -> bool {
    match asked.min_fresh.seconds() {
        _ if !asked.min_fresh.is_present() => true,
        Some(seconds) => {
            let wanted = stored.age(now).saturating_add(Duration::from_secs(seconds.into()));
            Duration::from_millis(stored.plan.freshness_lifetime_ms) >= wanted
        }
        None => false,
    }
}

fn reuse_stale(stored: &StoredResponse, asked: &RequestDirectives, stale_for: Duration) -> Reuse {
    let unwilling = asked.min_fresh.is_present() || asked.max_age.is_present() && !asked.max_stale.is_present();
    if forbids(stored.directives) || unwilling {
        return Reuse::Validate(FwdReason::Stale);
    }
    // RFC 5861 section 3: "after it becomes stale, up to the indicated number of seconds".
    if stale_for < Duration::from_millis(stored.plan.stale_while_revalidate_ms) {
        return Reuse::Stale(StaleReason::WhileRevalidate);
    }
    // Section 5.2.1.2: "a response that has exceeded its freshness lifetime by no more than the specified number of
    // seconds."
    match asked.max_stale.seconds() {
        Some(seconds) if stale_for <= Duration::from_secs(seconds.into()) => Reuse::Stale(StaleReason::MaxStale),
        _ => Reuse::Validate(FwdReason::Stale),
    }
}
