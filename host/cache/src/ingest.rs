//! A response on its way from the origin into the cache: kept while it streams to those who wait for it.

mod spool;
pub(crate) mod tail;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use sandbar_base::memory_budget::{Content, MemoryBudget, Use};
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::leave::Holds;

use self::spool::spool;
use self::tail::Tail;
use crate::body::Body;
use crate::not_stored::NotStored;
use crate::request::CacheRequest;
use crate::storability::Shareable;

/// What takes bodies in.
pub(crate) struct Ingest {
    pub(crate) budget: Arc<MemoryBudget>,
    /// Bytes that are kept of a body that has outgrown its bound, for waiters that read it behind the fastest.
    pub(crate) window_bytes: u64,
}

impl Ingest {
    /// A response that was judged and may be shared, with the fields that it came with and room for its body. One that finds
    /// no room is passed through.
    pub(crate) fn arriving(
        &self,
        request: &CacheRequest,
        shareable: Shareable,
        received: HeaderMap,
        body_bytes: Option<u64>,
    ) -> Arc<Arriving> {
        let body_bytes_max = request.tenant.settings.body_bytes_max;
        let tail = match self.budget.reserve(Use::Fills, body_bytes.unwrap_or(0)) {
            Some(reserved) => Tail::new(body_bytes_max, self.window_bytes, reserved),
            None => Tail::passing(self.window_bytes, self.budget.nothing(Use::Windows)),
        };
        let unstored = tail.passes().map(NotStored::from);
        Arc::new(Arriving { shareable, received, body_bytes, unstored, tail, recorded_later: AtomicU64::new(0) })
    }

    /// Streams a body to those who wait for it. Answers with it where all of it came, as much as was announced, and all of
    /// it is kept. `on_passing` is called when it turns out that nobody else may come to it.
    pub(crate) async fn stream(
        &self,
        request: &CacheRequest,
        arriving: &Arriving,
        content: Body,
        on_passing: impl FnMut(),
    ) -> Option<Content> {
        let tail = &arriving.tail;
        let all_came = spool(content, tail, on_passing, request).await;
        let whole = if all_came { tail.complete() } else { None };
        if all_came && whole.is_none() {
            // There was room for its pieces, and none to make one of them.
            request.tenant.counters.withheld(NotStored::NoRoom);
        }
        request.tenant.counters.waiters_cut.fetch_add(tail.cut(), Ordering::Relaxed);
        whole.filter(|whole| arriving.body_bytes.is_none_or(|bytes| whole.len() as u64 == bytes))
    }
}

/// A response that is being stored while it arrives.
#[derive(Debug)]
pub(crate) struct Arriving {
    /// All but the body, as it will be stored.
    shareable: Shareable,
    /// The fields as they came: for the request that caused the fetch.
    received: HeaderMap,
    /// Length of the body in bytes where the origin announced it.
    pub(crate) body_bytes: Option<u64>,
    /// Why it will not be stored after all; none as far as is known.
    pub(crate) unstored: Option<NotStored>,
    pub(crate) tail: Arc<Tail>,
    /// Requests beside the first that it has answered and that are to be recorded when it is stored.
    pub(crate) recorded_later: AtomicU64,
}

impl Arriving {
    /// All but the body, as it will be stored.
    pub(crate) const fn shareable(&self) -> &Shareable {
        &self.shareable
    }

    /// The fields as they came.
    pub(crate) const fn received(&self) -> &HeaderMap {
        &self.received
    }
}

impl Holds for Arriving {
    fn stored(&self) -> &StoredResponse {
        self.shareable.stored()
    }
}
