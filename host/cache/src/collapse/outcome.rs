//! The outcome of a fetch, and what it means for each request that waited for it.

use std::sync::Arc;

use http::Response;
use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::leave::{Joined, Leave, NoLeave, Own, to_reuse, to_share};

use crate::barrier::Verdict;
use crate::body::Body;
use crate::cached::Cached;
use crate::ingest::Arriving;
use crate::not_stored::NotStored;
use crate::origin::OriginError;
use crate::request::{CacheRequest, key_for};
use crate::store::found::Found;

/// A response of the origin that is not stored and answers only the request that caused the fetch.
#[derive(Clone, Debug)]
pub(crate) struct Unshared {
    response: Arc<Mutex<Option<Response<Body>>>>,
    /// Why the response is not stored.
    pub(crate) reason: NotStored,
}

impl Unshared {
    pub(crate) fn new(response: Response<Body>, reason: NotStored) -> Self {
        Self { response: Arc::new(Mutex::new(Some(response))), reason }
    }

    /// Takes the response out for the request that has leave to it; `None` where it was taken before.
    pub(crate) fn taken_with(leave: &Leave<Self>) -> Option<Response<Body>> {
        leave.what().response.lock().take()
    }
}

/// The outcome of a fetch. Requests that waited for it learn by [`FetchOutcome::for_request`] what it means for them,
/// and in no other way.
#[derive(Clone, Debug)]
pub(crate) struct FetchOutcome(What);

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

/// A stored response for requests other than the one that caused the fetch: whether they select it is not known yet.
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

impl FetchOutcome {
    /// L2 had the response to the request that caused the fetch, `cause`.
    pub(crate) fn found(cause: &Arc<CacheRequest>, found: Found) -> Self {
        let shared = Shared::of(&found);
        Self(What::Found { own: Own::new(Arc::clone(cause), found), shared })
    }

    /// L2 had the response from another node, which has asked the origin meanwhile.
    pub(crate) fn confirmed(cause: &Arc<CacheRequest>, found: Found) -> Self {
        let shared = Shared::of(&found);
        Self(What::Confirmed { own: Own::new(Arc::clone(cause), found), shared })
    }

    /// The origin has confirmed the stored response (304). `own` is for the request that was forwarded; `shared` is
    /// what is stored from now on, for the others, and `None` where each of them has to ask for itself.
    pub(crate) fn validated(cause: &Arc<CacheRequest>, own: Found, shared: Option<&Found>) -> Self {
        Self(What::Validated { own: Own::new(Arc::clone(cause), own), shared: shared.map(Shared::of) })
    }

    /// The origin's response is arriving, and is being stored.
    pub(crate) fn arriving(cause: &Arc<CacheRequest>, arriving: &Arc<Arriving>) -> Self {
        let own = Own::new(Arc::clone(cause), Arc::clone(arriving));
        Self(What::Arriving { own, shared: Arc::clone(arriving) })
    }

    /// The origin's response is for the request that caused the fetch and for no other.
    pub(crate) fn unshared(cause: &Arc<CacheRequest>, unshared: Unshared) -> Self {
        Self(What::Unshared(Own::new(Arc::clone(cause), unshared)))
    }

    /// The origin answered with an error status, and there is a stale response that may be served instead.
    pub(crate) fn error_status(cause: &Arc<CacheRequest>, unshared: Unshared) -> Self {
        Self(What::ErrorStatus(Own::new(Arc::clone(cause), unshared)))
    }

    /// The origin gave no response.
    pub(crate) fn failed(cause: &Arc<CacheRequest>, error: OriginError) -> Self {
        Self(What::Failed { cause: Arc::clone(cause), error: Arc::new(error) })
    }

    /// What the outcome means for a request that joined the fetch when it had come as far as `joined`.
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
            // The client of the request that caused the fetch found no place at the origin; those of the others may.
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
    /// A response from L2 answers the request.
    Found(Leave<Found>),
    /// The stored response has been validated and answers the request.
    Validated(Leave<Found>),
    /// The response that is arriving answers the request.
    Arriving(Leave<Arc<Arriving>>),
    /// The origin's response answers this request alone.
    Unshared(Leave<Unshared>),
    /// The origin answered with an error. A stale response may be served instead; else the error, if it is for this
    /// request.
    ErrorStatus(Option<Leave<Unshared>>),
    /// The origin gave no response.
    Failed(Arc<OriginError>),
    /// The outcome is of no use to the request, which has to go on by itself.
    Retry(Retry),
}

/// What a request does next after a fetch whose outcome it can't use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Look again: there may be another leader, or another variant.
    Again,
    /// Look again, and join no fetch that began before now: what this one brought has been purged since.
    Newer,
    /// Look again, and join no fetch whose request has been sent to the origin already.
    Unsent,
    /// Look again, and join no fetch that the origin has answered already.
    Unanswered,
    /// Fetch without waiting for another request.
    Alone,
}

/// Whether a response that L2 had for another request may answer this one.
fn found(request: &Arc<CacheRequest>, shared: Shared, now: Timestamp) -> Result<Leave<Found>, Retry> {
    let (found, soft_purged) = selected(request, shared)?;
    to_reuse(found, &request.head(), now, soft_purged).map_err(|_validate| Retry::Again)
}

/// Whether a response that the origin has confirmed to another request may answer this one.
fn validated(
    request: &Arc<CacheRequest>,
    shared: Option<Shared>,
    joined: Joined,
    now: Timestamp,
) -> Result<Leave<Found>, Retry> {
    let (found, soft_purged) = selected(request, shared.ok_or(Retry::Alone)?)?;
    to_share(found, &request.head(), joined, now, soft_purged).map_err(|why| retry(why, joined, soft_purged))
}

/// Whether a response that is arriving for another request may answer this one.
fn arriving(
    request: &Arc<CacheRequest>,
    arriving: Arc<Arriving>,
    joined: Joined,
    now: Timestamp,
) -> Result<Leave<Arc<Arriving>>, Retry> {
    let shareable = arriving.shareable();
    let verdict = request.tenant.barriers.judge_response(shareable.stored());
    if verdict == Verdict::Gone {
        return Err(Retry::Newer);
    }
    if key_for(request, shareable.vary()).text() != &*shareable.stored().key {
        return Err(Retry::Again);
    }
    let soft_purged = verdict == Verdict::Stale;
    to_share(arriving, &request.head(), joined, now, soft_purged).map_err(|why| retry(why, joined, soft_purged))
}

/// The shared response, if this request selects it (RFC 9111 section 4.1), and whether it has been purged softly.
fn selected(request: &CacheRequest, shared: Shared) -> Result<(Found, bool), Retry> {
    let verdict = shared.cached.verdict(&request.tenant.barriers);
    if verdict == Verdict::Gone {
        return Err(Retry::Newer);
    }
    let found = Found::selected_by(request, shared.cached, shared.tier).ok_or(Retry::Again)?;
    let soft_purged = found.soft_purged() || verdict == Verdict::Stale;
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
