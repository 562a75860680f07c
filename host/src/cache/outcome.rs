//! What a fetch comes to, and where an answer came from.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::{HeaderMap, Response};
use parking_lot::Mutex;

use super::cached::Cached;
use super::tail::Tail;
use crate::body::Body;
use crate::entry::StoredResponse;
use crate::origin::OriginError;

/// A stored response that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// It holds a response, not a list of variants.
    pub(crate) cached: Arc<Cached>,
    /// Purged softly: stale whatever its age.
    pub(crate) soft_purged: bool,
    /// `l1`, or the name of the L2.
    pub(crate) tier: &'static str,
}

/// The name of the memory tier in `Cache-Status`, logs and metrics.
pub(crate) const L1: &str = "l1";

/// A response that is being stored while it arrives.
#[derive(Debug)]
pub(crate) struct Arriving {
    /// All but the body, as it will be stored.
    pub(crate) stored: StoredResponse,
    /// The fields as they came: for the request that caused the fetch.
    pub(crate) received: HeaderMap,
    /// Names of the selecting fields, sorted.
    pub(crate) vary: Vec<String>,
    /// Length of the body in bytes where the origin announced it.
    pub(crate) body_bytes: Option<u64>,
    /// Why it will not be stored after all; none as far as is known.
    pub(crate) unstored: Option<&'static str>,
    pub(crate) tail: Arc<Tail>,
    /// Requests beside the first that it has answered and that are to be recorded when it is stored.
    pub(crate) recorded_later: AtomicU64,
}

/// What a fetch came to: for the request that caused it and for those that waited.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// L2 had it.
    Found(Found),
    /// The origin said that the stored response is still right (304).
    Validated(Found),
    /// It arrives, and is stored.
    Arriving(Arc<Arriving>),
    /// It is for the request that caused the fetch and for nobody else. Why, and the response until it is taken.
    Unshared(Unshared),
    /// The origin answered with an error status although a stale response could be served.
    ErrorStatus(Unshared),
    /// The origin gave no response.
    Failed(Arc<OriginError>),
}

/// A response that is not stored.
#[derive(Clone, Debug)]
pub(crate) struct Unshared {
    response: Arc<Mutex<Option<Response<Body>>>>,
    /// The stable word for why it is not stored.
    pub(crate) reason: &'static str,
}

impl Unshared {
    pub(crate) fn new(response: Response<Body>, reason: &'static str) -> Self {
        Self { response: Arc::new(Mutex::new(Some(response))), reason }
    }

    /// The response, for the first who takes it.
    pub(crate) fn take(&self) -> Option<Response<Body>> {
        self.response.lock().take()
    }
}
