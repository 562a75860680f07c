//! What a fetch brings, and what that means for each request that waited for it.

use std::sync::Arc;

use http::Response;
use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::leave::{Joined, Leave, NoLeave, Own, to_reuse, to_share};

use crate::barrier::ForRequest as Barred;
use crate::body::Body;
use crate::cached::Cached;
use crate::ingest::Arriving;
use crate::not_stored::NotStored;
use crate::origin::OriginError;
use crate::request::{CacheRequest, key_for};
use crate::store::found::Found;

/// A response of the origin that is for one request and is not stored.
#[derive(Clone, Debug)]
pub(crate) struct Unshared {
    response: Arc<Mutex<Option<Response<Body>>>>,
    /// Why it is not stored.
    pub(crate) reason: NotStored,
}

impl Unshared {
    pub(crate) fn new(response: Response<Body>, reason: NotStored) -> Self {
        Self { response: Arc::new(Mutex::new(Some(response))), reason }
    }

    /// The response for whoever has leave, once.
    pub(crate) fn taken_with(leave: &Leave<Self>) -> Option<Response<Body>> {
        leave.what().response.lock().take()
    }
}

/// What a fetch came to. Those who waited for it learn by [`Outcome::for_request`] what that means for them, and in no
/// other way.
#[derive(Clone, Debug)]
pub(crate) struct Outcome(What);

#[derive(Clone, Debug)]
enum What {
    Found { own: Own<CacheRequest, Found>, shared: Shared },
    Confirmed { own: Own<CacheRequest, Found>, shared: Shared },
    Validated { own: Own<CacheRequest, Found>, shared: Option<Shared> },
    Arriving { own: Own<CacheRequest, Arc<Arriving>>, shared: Arc<Arriving> },
    Unshared(Own<CacheRequest, Unshared>),
    ErrorStatus(Own<CacheRequest, Unshared>),
    Failed { cause: Arc<CacheRequest>, error: Arc<OriginError> },
}

/// A stored response as others than the request that caused the fetch come by it: nobody has selected it yet.
#[derive(Clone, Debug)]
struct Shared {
    cached: Arc<Cached>,
    tier: &'static str,
}

impl Shared {
    fn of(found: &Found) -> Self {
        Self { cached: Arc::clone(found.cached()), tier: found.tier() }
    }
}

impl Outcome {
    /// L2 had it.
    pub(crate) fn found(cause: &Arc<CacheRequest>, found: Found) -> Self {
        let shared = Shared::of(&found);
        Self(What::Found { own: Own::new(Arc::clone(cause), found), shared })
    }

    /// L2 had it from another node, which has asked the origin meanwhile.
    pub(crate) fn confirmed(cause: &Arc<CacheRequest>, found: Found) -> Self {
        let shared = Shared::of(&found);
        Self(What::Confirmed { own: Own::new(Arc::clone(cause), found), shared })
    }

    /// The origin said that the stored response is still right (304). `own` is for the request that was forwarded;
    /// `shared`, what is stored from now on, is for the others, where they may have it.
    pub(crate) fn validated(cause: &Arc<CacheRequest>, own: Found, shared: Option<&Found>) -> Self {
        Self(What::Validated { own: Own::new(Arc::clone(cause), own), shared: shared.map(Shared::of) })
    }

    /// It arrives, and is stored.
    pub(crate) fn arriving(cause: &Arc<CacheRequest>, arriving: &Arc<Arriving>) -> Self {
        let own = Own::new(Arc::clone(cause), Arc::clone(arriving));
        Self(What::Arriving { own, shared: Arc::clone(arriving) })
    }

    /// It is for the request that caused the fetch and for nobody else.
    pub(crate) fn unshared(cause: &Arc<CacheRequest>, unshared: Unshared) -> Self {
        Self(What::Unshared(Own::new(Arc::clone(cause), unshared)))
    }

    /// The origin answered with an error status although a stale response could be served.
    pub(crate) fn error_status(cause: &Arc<CacheRequest>, unshared: Unshared) -> Self {
        Self(What::ErrorStatus(Own::new(Arc::clone(cause), unshared)))
    }

    /// The origin gave no response.
    pub(crate) fn failed(cause: &Arc<CacheRequest>, error: OriginError) -> Self {
        Self(What::Failed { cause: Arc::clone(cause), error: Arc::new(error) })
    }

    /// What it means for a request.
    pub(crate) fn for_request(self, request: &Arc<CacheRequest>, joined: Joined, now: Timestamp) -> ForRequest {
        match self.0 {
            What::Found { own, shared } => match own.claimed_by(request) {
                Some(leave) => ForRequest::Found(leave),
                None => found(request, shared, now).map_or_else(ForRequest::Retry, ForRequest::Found),
            },
            What::Confirmed { own, shared } => match own.claimed_by(request) {
                Some(leave) => ForRequest::Found(leave),
                None => validated(request, Some(shared), joined, now).map_or_else(ForRequest::Retry, ForRequest::Found),
            },
            What::Validated { own, shared } => match own.claimed_by(request) {
                Some(leave) => ForRequest::Validated(leave),
                None => validated(request, shared, joined, now).map_or_else(ForRequest::Retry, ForRequest::Validated),
            },
            What::Arriving { own, shared } => match own.claimed_by(request) {
                Some(leave) => ForRequest::Arriving(leave),
                None => arriving(request, shared, joined, now).map_or_else(ForRequest::Retry, ForRequest::Arriving),
            },
            What::Unshared(own) => {
                own.claimed_by(request).map_or(ForRequest::Retry(Retry::Alone), ForRequest::Unshared)
            }
            What::ErrorStatus(own) => ForRequest::ErrorStatus(own.claimed_by(request)),
            // There may be a place for the others where there was none for this one's client.
            What::Failed { cause, error } if error.is_about_the_client() && !Arc::ptr_eq(&cause, request) => {
                ForRequest::Retry(Retry::Again)
            }
            What::Failed { error, .. } => ForRequest::Failed(error),
        }
    }
}

/// What a fetch's outcome means for one request.
#[derive(Debug)]
pub(crate) enum ForRequest {
    /// L2 has what answers it.
    Found(Leave<Found>),
    /// The stored response has been confirmed and answers it.
    Validated(Leave<Found>),
    /// What arrives answers it.
    Arriving(Leave<Arc<Arriving>>),
    /// The origin's response is for it alone.
    Unshared(Leave<Unshared>),
    /// The origin answered with an error: a stale response may do; else the error, where it is this request's own.
    ErrorStatus(Option<Leave<Unshared>>),
    /// There is no response.
    Failed(Arc<OriginError>),
    /// It has to go on by itself.
    Retry(Retry),
}

/// What to do where a fetch came to nothing that this request can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Look again: there may be another leader, or another variant.
    Again,
    /// Look again, and wait for nothing that was begun before: it has been purged since.
    Newer,
    /// Look again, and wait for nothing that has been sent to the origin already.
    Unsent,
    /// Look again, and wait for nothing that the origin has answered already.
    Unanswered,
    /// Fetch without waiting for anybody.
    Alone,
}

/// What L2 had for another request.
fn found(request: &Arc<CacheRequest>, shared: Shared, now: Timestamp) -> Result<Leave<Found>, Retry> {
    let (found, soft_purged) = selected(request, shared)?;
    to_reuse(found, &request.head(), now, soft_purged).map_err(|_validate| Retry::Again)
}

/// What the origin has confirmed to another request.
fn validated(
    request: &Arc<CacheRequest>,
    shared: Option<Shared>,
    joined: Joined,
    now: Timestamp,
) -> Result<Leave<Found>, Retry> {
    let (found, soft_purged) = selected(request, shared.ok_or(Retry::Alone)?)?;
    to_share(found, &request.head(), joined, now, soft_purged).map_err(|why| retry(why, joined, soft_purged))
}

/// What arrives for another request.
fn arriving(
    request: &Arc<CacheRequest>,
    arriving: Arc<Arriving>,
    joined: Joined,
    now: Timestamp,
) -> Result<Leave<Arc<Arriving>>, Retry> {
    let shareable = arriving.shareable();
    let barred = request.tenant.barriers.judge_response(shareable.stored());
    if barred == Barred::Gone {
        return Err(Retry::Newer);
    }
    if key_for(request, shareable.vary()).text() != &*shareable.stored().key {
        return Err(Retry::Again);
    }
    let soft_purged = barred == Barred::Stale;
    to_share(arriving, &request.head(), joined, now, soft_purged).map_err(|why| retry(why, joined, soft_purged))
}

/// What this request selects of it (RFC 9111 section 4.1), and whether it is purged softly.
fn selected(request: &CacheRequest, shared: Shared) -> Result<(Found, bool), Retry> {
    let barred = shared.cached.verdict(&request.tenant.barriers);
    if barred == Barred::Gone {
        return Err(Retry::Newer);
    }
    let found = Found::selected_by(request, shared.cached, shared.tier).ok_or(Retry::Again)?;
    let soft_purged = found.soft_purged() || barred == Barred::Stale;
    Ok((found, soft_purged))
}

fn retry(why: NoLeave, joined: Joined, soft_purged: bool) -> Retry {
    match why {
        _ if soft_purged => Retry::Newer,
        NoLeave::Validate(FwdReason::Stale) if joined == Joined::AfterAnswered => Retry::Unanswered,
        NoLeave::Insists => Retry::Unsent,
        NoLeave::Validate(_) => Retry::Alone,
    }
}
