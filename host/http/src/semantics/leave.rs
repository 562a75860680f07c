//! Leave to give a stored response to one request: the value that every answer of the cache is made from.
//!
//! A response reaches a request in many ways: it lay in a tier, another request's fetch brought it, a 304 renewed it, the
//! origin failed. Each way has a question of its own that must be asked of *this* request (RFC 9111 sections 3.5, 4, 4.1,
//! 4.3.4 and 5.2.2), and the functions here are those questions. A [`Leave`] is their answer. Its fields are private, so
//! that no path can give a response without having asked:
//!
//! ```compile_fail
//! use sandbar_http::semantics::leave::{Ground, Leave};
//! fn forged(stored: sandbar_http::entry::StoredResponse) -> Leave<sandbar_http::entry::StoredResponse> {
//!     Leave { what: stored, ground: Ground::Fresh }
//! }
//! ```
//! Asked, it compiles:
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

/// Something that holds a stored response, its body included or not.
pub trait Holds {
    /// The response.
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

/// A response that one request may be given, and why.
#[derive(Debug)]
#[must_use]
pub struct Leave<T> {
    what: T,
    ground: Ground,
}

/// Why a request may be given a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// It is fresh (RFC 9111 section 4.2).
    Fresh,
    /// It is stale, and that is allowed (section 4.2.4).
    Stale(StaleReason),
    /// The origin has just sent or confirmed it, to a request that this one had come to wait for (section 4: a cache can
    /// "use a response that is stored or storable to satisfy multiple requests").
    Collapsed,
    /// It was sent for this very request.
    Own,
    /// The origin failed (RFC 5861 section 4).
    OnError,
}

impl<T> Leave<T> {
    /// What may be given.
    pub const fn what(&self) -> &T {
        &self.what
    }

    /// Why it may.
    pub const fn ground(&self) -> Ground {
        self.ground
    }
}

/// Why a request may not be given a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLeave {
    /// It has to be validated first, or is not what was asked for.
    Validate(FwdReason),
    /// The request insists on an answer that the origin gives after it, or the origin insists on being asked for every
    /// request; the fetch was on its way before.
    Insists,
}

/// When a request came to wait for another one's fetch, the earliest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Joined {
    /// Before that was sent: it is as if both had been forwarded.
    BeforeSent,
    /// While the origin was at it.
    WhileAsked,
    /// When the answer had begun to arrive.
    #[default]
    AfterAnswered,
}

/// Leave to reuse what lies in a tier (section 4).
///
/// # Errors
/// When it has to be validated first, or is not what the request asks for: it comes back with the reason to show in
/// `Cache-Status`.
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

/// Leave to share what the origin has just sent for, or confirmed to, another request. The caller has made sure that this
/// request selects it (section 4.1) and that it may be shared (sections 3.5, 5.2.2.5 and 5.2.2.7: it is stored).
///
/// A request that came before the other was sent is answered as if it had been forwarded too. One that came while the origin
/// was at it is answered by what is stale as soon as it arrives (`max-age=0`), as that has been validated since the request
/// was there; not where the origin said `no-cache`, which "MUST NOT be used to satisfy any other request without forwarding
/// it for validation" (section 5.2.2.4), nor where the request insists on it itself (section 5.2.1). One that came later
/// still is answered as from a tier, and so is one with `Authorization`: what is not fresh is validated with each request's
/// own credentials (section 3.5).
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
    // What has been purged since it was asked for proves nothing about what there is now.
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
        // Stale though it has only just come: validated all the same.
        Reuse::Validate(FwdReason::Stale) if !is_particular(request) => Ok(Leave { what, ground: Ground::Collapsed }),
        Reuse::Validate(reason) => Err(NoLeave::Validate(reason)),
        Reuse::Fresh | Reuse::Stale(_) => Ok(Leave { what, ground: Ground::Collapsed }),
    }
}

/// Leave to serve what is stored although the origin failed, or takes too long.
pub fn on_error<T: Holds>(what: T, request: &RequestHead<'_>, now: Timestamp, soft_purged: bool) -> Option<Leave<T>> {
    let may = may_serve_on_error(what.stored(), request, now, soft_purged);
    may.then_some(Leave { what, ground: Ground::OnError })
}

/// Whether a request wants an answer that the origin gives after it was made: `no-cache` or `max-age=0` (sections 5.2.1.4
/// and 5.2.1.1).
pub fn insists(request: &RequestHead<'_>) -> bool {
    let asked = request.directives();
    asked.no_cache || asked.max_age.is_present() && asked.max_age.seconds().is_none_or(|seconds| seconds == 0)
}

/// Whether a request says how old, or how fresh, its answer is to be.
fn is_particular(request: &RequestHead<'_>) -> bool {
    let asked = request.directives();
    asked.max_age.is_present() || asked.min_fresh.is_present()
}

/// What belongs to the request that caused a fetch, and to no other: `C` is a request.
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
    /// What was fetched for `cause`.
    pub const fn new(cause: Arc<C>, what: T) -> Self {
        Self { cause, what }
    }

    /// Whether `request` is the very one that was forwarded: the same value, not an equal one.
    pub fn is_of(&self, request: &Arc<C>) -> bool {
        Arc::ptr_eq(&self.cause, request)
    }

    /// Leave for the request that was forwarded; none for any other.
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

    /// A response that has just come, with this lifetime.
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
