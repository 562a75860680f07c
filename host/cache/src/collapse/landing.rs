//! What a fetch comes to, and what that means for each request that waited for it.

use std::sync::Arc;

use http::Response;
use parking_lot::Mutex;
use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::FwdReason;
use sandbar_http::semantics::leave::{Joined, Leave, NoLeave, Own, to_reuse, to_share};

use crate::barrier::Verdict as Barred;
use crate::body::Body;
use crate::cached::Cached;
use crate::ingest::Arriving;
use crate::not_stored::NotStored;
use crate::origin::OriginError;
use crate::request::{Asked, key_for};
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

/// What a fetch came to. Those who waited for it learn by [`Landing::for_request`] what that means for them, and in no
/// other way.
#[derive(Clone, Debug)]
pub(crate) struct Landing(What);

#[derive(Clone, Debug)]
enum What {
    Found { own: Own<Asked, Found>, shared: Shared },
    Confirmed { own: Own<Asked, Found>, shared: Shared },
    Validated { own: Own<Asked, Found>, shared: Option<Shared> },
    Arriving { own: Own<Asked, Arc<Arriving>>, shared: Arc<Arriving> },
    Unshared(Own<Asked, Unshared>),
    ErrorStatus(Own<Asked, Unshared>),
    Failed { cause: Arc<Asked>, error: Arc<OriginError> },
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

impl Landing {
    /// L2 had it.
    pub(crate) fn found(cause: &Arc<Asked>, found: Found) -> Self {
        let shared = Shared::of(&found);
        Self(What::Found { own: Own::new(Arc::clone(cause), found), shared })
    }

    /// L2 had it from another node, which has asked the origin meanwhile.
    pub(crate) fn confirmed(cause: &Arc<Asked>, found: Found) -> Self {
        let shared = Shared::of(&found);
        Self(What::Confirmed { own: Own::new(Arc::clone(cause), found), shared })
    }

    /// The origin said that the stored response is still right (304). `own` is for the request that was forwarded;
    /// `shared`, what is stored from now on, is for the others, where they may have it.
    pub(crate) fn validated(cause: &Arc<Asked>, own: Found, shared: Option<&Found>) -> Self {
        Self(What::Validated { own: Own::new(Arc::clone(cause), own), shared: shared.map(Shared::of) })
    }

    /// It arrives, and is stored.
    pub(crate) fn arriving(cause: &Arc<Asked>, arriving: &Arc<Arriving>) -> Self {
        let own = Own::new(Arc::clone(cause), Arc::clone(arriving));
        Self(What::Arriving { own, shared: Arc::clone(arriving) })
    }

    /// It is for the request that caused the fetch and for nobody else.
    pub(crate) fn unshared(cause: &Arc<Asked>, unshared: Unshared) -> Self {
        Self(What::Unshared(Own::new(Arc::clone(cause), unshared)))
    }

    /// The origin answered with an error status although a stale response could be served.
    pub(crate) fn error_status(cause: &Arc<Asked>, unshared: Unshared) -> Self {
        Self(What::ErrorStatus(Own::new(Arc::clone(cause), unshared)))
    }

    /// The origin gave no response.
    pub(crate) fn failed(cause: &Arc<Asked>, error: OriginError) -> Self {
        Self(What::Failed { cause: Arc::clone(cause), error: Arc::new(error) })
    }

    /// What it means for a request.
    pub(crate) fn for_request(self, asked: &Arc<Asked>, joined: Joined, now: Timestamp) -> Verdict {
        match self.0 {
            What::Found { own, shared } => match own.claimed_by(asked) {
                Some(leave) => Verdict::Found(leave),
                None => found(asked, shared, now).map_or_else(Verdict::Retry, Verdict::Found),
            },
            What::Confirmed { own, shared } => match own.claimed_by(asked) {
                Some(leave) => Verdict::Found(leave),
                None => validated(asked, Some(shared), joined, now).map_or_else(Verdict::Retry, Verdict::Found),
            },
            What::Validated { own, shared } => match own.claimed_by(asked) {
                Some(leave) => Verdict::Validated(leave),
                None => validated(asked, shared, joined, now).map_or_else(Verdict::Retry, Verdict::Validated),
            },
            What::Arriving { own, shared } => match own.claimed_by(asked) {
                Some(leave) => Verdict::Arriving(leave),
                None => arriving(asked, shared, joined, now).map_or_else(Verdict::Retry, Verdict::Arriving),
            },
            What::Unshared(own) => own.claimed_by(asked).map_or(Verdict::Retry(Retry::Alone), Verdict::Unshared),
            What::ErrorStatus(own) => Verdict::ErrorStatus(own.claimed_by(asked)),
            // There may be a place for the others where there was none for this one's client.
            What::Failed { cause, error } if error.is_about_the_client() && !Arc::ptr_eq(&cause, asked) => {
                Verdict::Retry(Retry::Again)
            }
            What::Failed { error, .. } => Verdict::Failed(error),
        }
    }
}

/// What a fetch's landing means for one request.
#[derive(Debug)]
pub(crate) enum Verdict {
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
fn found(asked: &Arc<Asked>, shared: Shared, now: Timestamp) -> Result<Leave<Found>, Retry> {
    let (found, soft_purged) = selected(asked, shared)?;
    to_reuse(found, &asked.head(), now, soft_purged).map_err(|_validate| Retry::Again)
}

/// What the origin has confirmed to another request.
fn validated(
    asked: &Arc<Asked>,
    shared: Option<Shared>,
    joined: Joined,
    now: Timestamp,
) -> Result<Leave<Found>, Retry> {
    let (found, soft_purged) = selected(asked, shared.ok_or(Retry::Alone)?)?;
    to_share(found, &asked.head(), joined, now, soft_purged).map_err(|why| retry(why, joined, soft_purged))
}

/// What arrives for another request.
fn arriving(
    asked: &Arc<Asked>,
    arriving: Arc<Arriving>,
    joined: Joined,
    now: Timestamp,
) -> Result<Leave<Arc<Arriving>>, Retry> {
    let shareable = arriving.shareable();
    let barred = asked.tenant.barriers.judge_response(shareable.stored());
    if barred == Barred::Gone {
        return Err(Retry::Newer);
    }
    if key_for(asked, shareable.vary()).text() != &*shareable.stored().key {
        return Err(Retry::Again);
    }
    let soft_purged = barred == Barred::Stale;
    to_share(arriving, &asked.head(), joined, now, soft_purged).map_err(|why| retry(why, joined, soft_purged))
}

/// What this request selects of it (RFC 9111 section 4.1), and whether it is purged softly.
fn selected(asked: &Asked, shared: Shared) -> Result<(Found, bool), Retry> {
    let barred = shared.cached.verdict(&asked.tenant.barriers);
    if barred == Barred::Gone {
        return Err(Retry::Newer);
    }
    let found = Found::selected_by(asked, shared.cached, shared.tier).ok_or(Retry::Again)?;
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
