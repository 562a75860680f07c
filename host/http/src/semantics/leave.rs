//! Leave, that is permission, to answer one request with a stored response: every answer of the cache is made from a
//! [`Leave`].
//!
//! A response reaches a request in many ways: from a tier, from another request's fetch, freshened by a 304, or because
//! the origin failed. Each way has its own conditions, which must be checked for *this* request (RFC 9111 sections 3.5,
//! 4, 4.1, 4.3.4 and 5.2.2). The functions here check them and return a [`Leave`]. Its fields are private, so that no
//! code path can serve a response unchecked:
//!
//! ```compile_fail
//! use sandbar_http::semantics::leave::{Ground, Leave};
//! fn forged(stored: sandbar_http::entry::StoredResponse) -> Leave<sandbar_http::entry::StoredResponse> {
//!     Leave { what: stored, ground: Ground::Fresh }
//! }
//! ```
//! With the check it compiles:
//! ```
//! use sandbar_base::Timestamp;
//! use sandbar_http::entry::StoredResponse;
//! use sandbar_http::semantics::RequestHead;
//! use sandbar_http::semantics::leave::{Leave, to_reuse};
//! fn asked(stored: StoredResponse, request: &RequestHead<'_>, now: Timestamp) -> Option<Leave<StoredResponse>> {
//!     to_reuse(stored, request, now, false).ok()
//! }
//! ```

use std::sync::Arc;

use http::header::AUTHORIZATION;
use sandbar_base::Timestamp;

use super::partial::lacks_what_is_asked;
use super::reuse::{Reuse, StaleReason, reuse};
use super::stale::may_serve_on_error;
use super::{FwdReason, RequestHead};
use crate::entry::StoredResponse;

/// A value that holds a stored response, with its body or without.
pub trait Holds {
    /// The stored response that is held.
    fn stored(&self) -> &StoredResponse;
}

impl Holds for StoredResponse {
    fn stored(&self) -> &StoredResponse {
        self
    }
}

impl<T: Holds> Holds for Arc<T> {
    fn stored(&self) -> &StoredResponse {
        T::stored(self)
    }
}

/// A response that may answer one request, with the ground for it.
#[derive(Debug)]
#[must_use]
pub struct Leave<T> {
    what: T,
    ground: Ground,
}

/// Why a response may answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// The response is fresh (RFC 9111 section 4.2).
    Fresh,
    /// The response is stale, and may be served so (section 4.2.4).
    Stale(StaleReason),
    /// The origin has just sent or confirmed the response for another request, whose fetch this one waited for (section
    /// 4: a cache can "use a response that is stored or storable to satisfy multiple requests").
    Collapsed,
    /// The origin sent the response for this very request.
    Own,
    /// The origin failed, and the response may be served in that case (RFC 5861 section 4).
    OnError,
}

impl<T> Leave<T> {
    /// The response that may be served, or the value that holds it.
    pub const fn what(&self) -> &T {
        &self.what
    }

    /// Why the response may be served.
    pub const fn ground(&self) -> Ground {
        self.ground
    }
}

/// Why a response may not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLeave {
    /// The response has to be validated first, or does not hold the range that is asked for.
    Validate(FwdReason),
    /// The fetch had been sent before the request came, and the request insists on a newer answer of the origin, or the
    /// origin on being asked for every request.
    Insists,
}

/// When a request began to wait for another request's fetch; the variants are in the order of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Joined {
    /// Before the fetch was sent: it is as if both requests had been forwarded.
    BeforeSent,
    /// After the fetch was sent, before the answer began to arrive.
    WhileAsked,
    /// After the answer had begun to arrive.
    #[default]
    AfterAnswered,
}

/// Leave to reuse a response that is stored in a tier (section 4).
///
/// # Errors
/// When the response has to be validated first, or does not hold the range that is asked for: `what` is returned with
/// the reason to show in `Cache-Status`.
pub fn to_reuse<T: Holds>(
    what: T,
    request: &RequestHead<'_>,
    now: Timestamp,
    soft_purged: bool,
) -> Result<Leave<T>, (T, FwdReason)> {
    match reuse(what.stored(), request, now, soft_purged) {
        Reuse::Fresh => Ok(Leave { what, ground: Ground::Fresh }),
        Reuse::Stale(reason) => Ok(Leave { what, ground: Ground::Stale(reason) }),
        Reuse::Validate(reason) => Err((what, reason)),
    }
}

/// Leave to answer a waiter with a response that the origin has just sent or confirmed for the leader's request. The
/// caller has made sure that the waiter's request selects the response (section 4.1) and that the response may answer
/// several requests (sections 3.5, 5.2.2.5 and 5.2.2.7: it is stored).
///
/// A request that came before the fetch was sent is answered as if it had been forwarded too. A request that came while
/// the origin was being asked may get a response that is stale on arrival (`max-age=0`), as the origin validated it
/// after the request came; not where the origin said `no-cache`, which "MUST NOT be used to satisfy any other request
/// without forwarding it for validation" (section 5.2.2.4), nor where the request insists on validation itself (section
/// 5.2.1). A request that came later is answered as from a tier, and so is a request with `Authorization`: a response
/// that is not fresh is validated with each request's own credentials (section 3.5).
///
/// # Errors
/// When the request has to be forwarded itself.
pub fn to_share<T: Holds>(
    what: T,
    request: &RequestHead<'_>,
    joined: Joined,
    now: Timestamp,
    soft_purged: bool,
) -> Result<Leave<T>, NoLeave> {
    let stored = what.stored();
    if lacks_what_is_asked(stored, request) {
        return Err(NoLeave::Validate(FwdReason::Partial));
    }
    // A response that was purged after it was requested proves nothing about what the origin has now.
    if soft_purged || joined == Joined::AfterAnswered || request.fields.contains_key(AUTHORIZATION) {
        return to_reuse(what, request, now, soft_purged).map_err(|(_, reason)| NoLeave::Validate(reason));
    }
    if joined == Joined::BeforeSent {
        return Ok(Leave { what, ground: Ground::Collapsed });
    }
    if stored.directives.no_cache || insists(request) {
        return Err(NoLeave::Insists);
    }
    match reuse(stored, request, now, soft_purged) {
        // The response is stale on arrival, but the origin has just validated it.
        Reuse::Validate(FwdReason::Stale) if !is_particular(request) => Ok(Leave { what, ground: Ground::Collapsed }),
        Reuse::Validate(reason) => Err(NoLeave::Validate(reason)),
        Reuse::Fresh | Reuse::Stale(_) => Ok(Leave { what, ground: Ground::Collapsed }),
    }
}

/// Leave to serve a stored response although the origin failed, or takes too long; none where that is not allowed.
pub fn on_error<T: Holds>(what: T, request: &RequestHead<'_>, now: Timestamp, soft_purged: bool) -> Option<Leave<T>> {
    let may = may_serve_on_error(what.stored(), request, now, soft_purged);
    may.then_some(Leave { what, ground: Ground::OnError })
}

/// Whether a request insists on an answer that the origin gives after the request was made: `no-cache` or `max-age=0`
/// (sections 5.2.1.4 and 5.2.1.1).
pub fn insists(request: &RequestHead<'_>) -> bool {
    let asked = request.directives();
    asked.no_cache || asked.max_age.is_present() && asked.max_age.seconds().is_none_or(|seconds| seconds == 0)
}

/// Whether a request limits the age of its answer, or asks for a minimum of freshness.
fn is_particular(request: &RequestHead<'_>) -> bool {
    let asked = request.directives();
    asked.max_age.is_present() || asked.min_fresh.is_present()
}

/// A fetch's result that only the request that caused the fetch may have. `C` is the type of the request.
#[derive(Debug)]
pub struct Own<C, T> {
    cause: Arc<C>,
    what: T,
}

impl<C, T: Clone> Clone for Own<C, T> {
    fn clone(&self) -> Self {
        Self { cause: Arc::clone(&self.cause), what: self.what.clone() }
    }
}

impl<C, T> Own<C, T> {
    /// The result `what` of the fetch that `cause` caused.
    pub const fn new(cause: Arc<C>, what: T) -> Self {
        Self { cause, what }
    }

    /// Whether `request` is the very one that was forwarded: the same value, not an equal one.
    pub fn is_of(&self, request: &Arc<C>) -> bool {
        Arc::ptr_eq(&self.cause, request)
    }

    /// Leave to answer the request that was forwarded; none for any other request.
    pub fn claimed_by(&self, request: &Arc<C>) -> Option<Leave<T>>
    where
        T: Clone,
    {
        self.is_of(request).then(|| Leave { what: self.what.clone(), ground: Ground::Own })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http::header::{CACHE_CONTROL, RANGE};
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

    use super::*;
    use crate::plan::{Directives, Plan};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    /// A response that was received just now, with this freshness lifetime.
    fn stored(lifetime_secs: u64, directives: Directives) -> StoredResponse {
        StoredResponse {
            key: Arc::from("k"),
            status: StatusCode::OK,
            fields: HeaderMap::new(),
            body: Bytes::new().into(),
            parts: None,
            requested: NOW,
            received: NOW,
            initial_age: Duration::ZERO,
            fetch_time: Duration::ZERO,
            plan: Plan { freshness_lifetime_ms: lifetime_secs * 1000, ..Plan::default() },
            directives,
            sequence: 0,
            policy: None,
            version: None,
        }
    }

    fn shared(
        stored: StoredResponse,
        (name, value): (http::HeaderName, &'static str),
        joined: Joined,
        soft: bool,
    ) -> bool {
        let (method, uri, mut fields) = (Method::GET, Uri::from_static("/"), HeaderMap::new());
        fields.insert(name, HeaderValue::from_static(value));
        let request = RequestHead::new(&method, &uri, &fields);
        to_share(stored, &request, joined, NOW, soft).is_ok()
    }

    #[test]
    fn what_is_shared_depends_on_when_a_request_came() {
        let plain = (http::header::ACCEPT, "*/*");
        let (reload, user) = ((CACHE_CONTROL, "no-cache"), (AUTHORIZATION, "Basic eDp5"));
        let (young, none) = ((CACHE_CONTROL, "max-age=5"), Directives::default());
        let no_cache = Directives { no_cache: true, ..none };
        let insists = Directives { must_revalidate: true, ..none };
        for (lifetime, directives, request, at_once, meanwhile, later) in [
            (60, none, plain.clone(), true, true, true),
            (0, none, plain.clone(), true, true, false),
            (0, insists, plain.clone(), true, true, false),
            (60, no_cache, plain.clone(), true, false, false),
            (60, none, reload.clone(), true, false, false),
            (0, none, (CACHE_CONTROL, "max-age=0"), true, false, false),
            (60, none, young.clone(), true, true, true),
            (0, none, young, true, false, false),
            (60, none, user.clone(), true, true, true),
            (0, insists, user.clone(), false, false, false),
            (60, no_cache, user, false, false, false),
        ] {
            for (joined, is_shared) in
                [(Joined::BeforeSent, at_once), (Joined::WhileAsked, meanwhile), (Joined::AfterAnswered, later)]
            {
                let about = format!("{lifetime} s, {directives:?}, {request:?}, {joined:?}");
                assert_eq!(shared(stored(lifetime, directives), request.clone(), joined, false), is_shared, "{about}");
            }
        }
        assert!(!shared(stored(60, none), plain, Joined::BeforeSent, true), "purged since it was asked for");
    }

    #[test]
    fn a_part_is_shared_with_nobody_who_wants_more() {
        let part = StoredResponse { status: StatusCode::PARTIAL_CONTENT, ..stored(60, Directives::default()) };
        assert!(!shared(part, (RANGE, "bytes=0-1"), Joined::BeforeSent, false));
    }

    #[test]
    fn what_is_ones_own_is_nobody_elses() {
        let (mine, equal) = (Arc::new("a request"), Arc::new("a request"));
        let own = Own::new(Arc::clone(&mine), 7);
        assert_eq!(own.claimed_by(&mine).map(|leave| (*leave.what(), leave.ground())), Some((7, Ground::Own)));
        assert!(own.claimed_by(&equal).is_none(), "it looks the same, and was not forwarded");
    }
}
