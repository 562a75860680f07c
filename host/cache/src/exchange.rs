//! Exchanges with the origin (a request and its response): what memory one takes is charged before it begins, or the
//! request is refused.
//!
//! Beside the head of its request an exchange costs a constant: the buffer that hyper's client reads into, and the
//! frames of the response that were taken and are not written yet, of which hyper's server takes no more than its
//! buffers hold. That is counted in bytes of content; a frame costs some more, so that many small frames that wait are
//! joined to one.

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
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// Bytes of a response's frames that are taken and not written yet: hyper's server is given buffers of this size. A
/// single frame may be larger where the origin is a closure; hyper's client makes none that is.
const FRAMES_BYTES_MAX: u64 = 64 << 10;

/// Bytes that an exchange is charged: the frames; as much again that hyper's client has read and nobody has asked for;
/// the buffer that it reads into next; and as much for its connection's tables and tasks and the allocator's overhead.
const EXCHANGE_BYTES: u64 = 4 * FRAMES_BYTES_MAX;

/// Bytes that an HTTP/2 origin may send in addition before they are taken: the window of its stream.
const H2_WINDOW_BYTES: u64 = STREAM_WINDOW_BYTES as u64;

/// Bytes that the content of a request takes on its way: what was read, and what hyper's client has not written yet.
const UPLOAD_BYTES: u64 = 128 << 10;

/// Bytes that a request takes which is not answered from memory: its state in the cache, and that of its fill.
const WAITING_BYTES: u64 = 24 << 10;

/// `Retry-After` of a request that was refused for want of memory.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Sends requests to the origins, and charges what that takes to the node's memory.
pub(crate) struct Exchanges {
    pub(crate) budget: Arc<MemoryBudget>,
}

impl Exchanges {
    /// Sends a request to the tenant's origin, if the node has memory for an exchange.
    pub(crate) async fn ask(&self, request: &CacheRequest, to_origin: Request<Body>) -> Result<Sound, OriginError> {
        self.deliver(&request.tenant, to_origin).await
    }

    /// Sends a request that no client waits for, or the request of one, to a tenant's origin.
    pub(crate) async fn deliver(&self, tenant: &Tenant, to_origin: Request<Body>) -> Result<Sound, OriginError> {
        let upload_bytes = if http_body::Body::is_end_stream(to_origin.body()) { 0 } else { UPLOAD_BYTES };
        let bytes = EXCHANGE_BYTES + head_bytes(to_origin.headers()) + upload_bytes;
        let mut room = self.budget.reserve(Use::Exchanges, bytes).ok_or_else(|| self.no_room(tenant))?;
        let response = tenant.origin.ask(to_origin).await?;
        if response.version() == Version::HTTP_2 && !room.cover(bytes + H2_WINDOW_BYTES) {
            return Err(self.no_room(tenant));
        }
        Ok(response.map_content(|content| body::boxed(Metered::new(content, room))))
    }

    /// Reserves the memory of a request that has to wait for a fetch.
    pub(crate) fn room_to_wait(&self, request: &CacheRequest) -> Result<Reserved, OriginError> {
        let bytes = WAITING_BYTES + head_bytes(&request.fields);
        self.budget.reserve(Use::Exchanges, bytes).ok_or_else(|| self.no_room(&request.tenant))
    }

    /// Forwards a request to the tenant's origin as it came.
    pub(crate) async fn forward(&self, request: &CacheRequest, content: Body) -> Result<Sound, OriginError> {
        let to_origin = request.forwarded(content);
        self.ask(request, to_origin).await.inspect_err(|error| request.tell_of(error))
    }

    fn no_room(&self, tenant: &Tenant) -> OriginError {
        count(&tenant.counters.no_room);
        let origin = tenant.name.to_string();
        OriginError::Refused { origin, refusal: Refusal::NoRoom, retry_after: RETRY_AFTER }
    }
}

/// Bytes that the header fields of a message take in memory.
pub fn head_bytes(fields: &HeaderMap) -> u64 {
    const FIELD_BYTES: usize = 104;
    let bytes: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES).sum();
    bytes as u64
}
