//! Asking the origin, and waiting for what it says: what that takes is charged before it begins, or the request is refused.
//!
//! An exchange costs a constant beside the head of its request: what hyper's client reads into, and the frames that were
//! taken from the response and are not written yet, of which hyper's server takes no more than its buffers hold. That is in
//! bytes of content; a frame costs some more, so that where many small ones wait they go on as one.

mod metered;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Version};
use sandbar_base::memory_budget::{MemoryBudget, Reserved, Use};

use self::metered::Metered;
use crate::body::{self, Body};
use crate::origin::http::STREAM_WINDOW_BYTES;
use crate::origin::shield::Refusal;
use crate::origin::{OriginError, Sound};
use crate::request::CacheRequest;
use crate::tenant::counters::count;

/// Frames of a response that are taken and not written yet, in bytes: the buffers of hyper's server are set to it. A single
/// one may be larger where it comes from a closure; hyper's client makes none that is.
const FRAMES_BYTES_MAX: u64 = 64 << 10;

/// An exchange: the frames, a piece as long that hyper's client has read and nobody has asked for, the buffer that it reads the
/// next one into, and as much again for its connection's tables and tasks and what the allocator adds to all of them.
const EXCHANGE_BYTES: u64 = 4 * FRAMES_BYTES_MAX;

/// What an HTTP/2 origin may send beyond that before it is taken.
const H2_WINDOW_BYTES: u64 = STREAM_WINDOW_BYTES as u64;

/// What the content of a request takes on its way: what was read of it, and what hyper's client has not written.
const UPLOAD_BYTES: u64 = 128 << 10;

/// A request that is not answered from memory: the state of its way through the cache, and of its fill.
const WAITING_BYTES: u64 = 24 << 10;

/// When a request that found no room is worth sending again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The way to the origins, and what it takes of the node's memory.
pub(crate) struct Exchanges {
    pub(crate) budget: Arc<MemoryBudget>,
}

impl Exchanges {
    /// Has the tenant's origin asked, if there is room for an exchange.
    pub(crate) async fn ask(&self, request: &CacheRequest, request: Request<Body>) -> Result<Sound, OriginError> {
        let upload_bytes = if http_body::Body::is_end_stream(request.body()) { 0 } else { UPLOAD_BYTES };
        let bytes = EXCHANGE_BYTES + head_bytes(request.headers()) + upload_bytes;
        let mut room = self.budget.reserve(Use::Exchanges, bytes).ok_or_else(|| self.no_room(request))?;
        let response = request.tenant.origin.ask(request).await?;
        if response.version() == Version::HTTP_2 && !room.cover(bytes + H2_WINDOW_BYTES) {
            return Err(self.no_room(request));
        }
        Ok(response.map_content(|content| body::boxed(Metered::new(content, room))))
    }

    /// Room for a request that is not answered from memory.
    pub(crate) fn room_to_wait(&self, request: &CacheRequest) -> Result<Reserved, OriginError> {
        let bytes = WAITING_BYTES + head_bytes(&request.fields);
        self.budget.reserve(Use::Exchanges, bytes).ok_or_else(|| self.no_room(request))
    }

    /// Sends a request on as it came.
    pub(crate) async fn pass(&self, request: &CacheRequest, content: Body) -> Result<Sound, OriginError> {
        let request = request.passing(content);
        self.ask(request, request).await.inspect_err(|error| request.tell_of(error))
    }

    fn no_room(&self, request: &CacheRequest) -> OriginError {
        count(&request.tenant.counters.no_room);
        let origin = request.tenant.name.to_string();
        OriginError::Refused { origin, refusal: Refusal::NoRoom, retry_after: RETRY_AFTER }
    }
}

/// What the fields of a message take in memory.
pub fn head_bytes(fields: &HeaderMap) -> u64 {
    const FIELD_BYTES: usize = 104;
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
    bytes as u64
}
