//! The outcome of a load: a value that the program's own code has brought, for each caller that waited for it.

use std::any::Any;
use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::leave::{Joined, Leave, on_error, to_share};

use crate::cached::Began;
use crate::origin::OriginError;
use crate::request::CacheRequest;
use crate::store::found::Found;

/// Why a load brought nothing.
#[derive(Clone, Debug)]
pub(crate) enum LoadFailure {
    /// The loader returned an error. Each caller knows the type of its own loader's errors alone: the others have the text.
    Loader { error: Arc<dyn Any + Send + Sync>, text: Arc<str> },
    /// The loader panicked, or what encodes the value did.
    Panicked(Arc<str>),
    /// The loader was not called, or took too long.
    NotLoaded(Arc<OriginError>),
}

/// The outcome of a load. Callers that waited for it learn by [`LoadOutcome::for_request`] what it means for them.
#[derive(Clone, Debug)]
pub(crate) enum LoadOutcome {
    /// L2 had the value.
    Found(Found),
    /// The loader has brought the value.
    Loaded(Found),
    /// There is none.
    Failed(LoadFailure),
}

/// What a caller gets of a load that did not bring it a value.
pub(crate) enum NoValue {
    /// The load failed.
    Failed(LoadFailure),
    /// The outcome is of no use to this caller, which has to go on by itself: it asked after a purge that hides the value.
    Retry,
}

impl LoadOutcome {
    /// What the outcome means for a caller that asked at `asked`, and joined the load when it had come as far as `joined`.
    ///
    /// What was purged while it was loaded is given to those who had asked when the load began, or before anything was purged
    /// since, as if they had been answered at once; and to nobody else.
    pub(crate) fn for_request(
        self,
        request: &CacheRequest,
        asked: &Began,
        joined: Joined,
        now: Timestamp,
    ) -> Result<Leave<Found>, NoValue> {
        let found = match self {
            Self::Found(found) | Self::Loaded(found) => found,
            Self::Failed(failure) => return Err(NoValue::Failed(failure)),
        };
        let head = request.head();
        if asked.revision <= found.cached().began.revision {
            let joined = if joined == Joined::AfterAnswered { joined } else { Joined::BeforeSent };
            return to_share(found, &head, joined, now, false).map_err(|_| NoValue::Retry);
        }
        let soft_purged = found.soft_purged_by_now(&request.tenant.barriers).ok_or(NoValue::Retry)?;
        to_share(found, &head, joined, now, soft_purged).map_err(|_| NoValue::Retry)
    }

    /// Whether the value came from L2.
    pub(crate) const fn is_from_l2(&self) -> bool {
        matches!(self, Self::Found(_))
    }
}

/// Leave to serve a stale value because its loader failed or is slow; none where that is not allowed.
pub(crate) fn stale_value(request: &CacheRequest, found: Found, now: Timestamp) -> Option<Leave<Found>> {
    let soft_purged = found.soft_purged_by_now(&request.tenant.barriers)?;
    on_error(found, &request.head(), now, soft_purged)
}
