//! A response on its way from the origin into the cache: its body is kept while it streams to the waiters.

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
use crate::events::Unstored;
use crate::not_stored::NotStored;
use crate::request::CacheRequest;
use crate::storability::Shareable;

/// Takes in the bodies of responses that are to be stored.
pub(crate) struct Ingest {
    pub(crate) budget: Arc<MemoryBudget>,
    /// Bytes that are kept of a body that is too large to be stored, for readers behind the fastest.
    pub(crate) window_bytes: u64,
}

impl Ingest {
    /// A response that may be stored and shared, with the fields that it came with and memory reserved for its body. A
    /// body that finds no memory is only passed through.
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
            None => Tail::unkept(self.window_bytes, self.budget.nothing(Use::Windows)),
        };
        let unstored = tail.why_unkept().map(NotStored::from);
        Arc::new(Arriving { shareable, received, body_bytes, unstored, tail, recorded_later: AtomicU64::new(0) })
    }

    /// Streams a body to the waiters. Returns it if all of it came, as much as was announced, and all of it is kept.
    /// `on_unkept` is called when the body turns out to be only passed through, so that no more requests may join.
    pub(crate) async fn stream(
        &self,
        request: &CacheRequest,
        arriving: &Arriving,
        content: Body,
        on_unkept: impl FnMut(),
    ) -> Option<Content> {
        let tail = &arriving.tail;
        let all_came = spool(content, tail, on_unkept, request).await;
        let whole = if all_came { tail.complete() } else { None };
        if all_came && whole.is_none() {
            // There was room for the body's pieces, and none to join them to one.
            request.withheld(NotStored::NoRoom);
        }
        request.tenant.counters.waiters_cut.fetch_add(tail.cut(), Ordering::Relaxed);
        let whole = whole?;
        let is_whole = arriving.body_bytes.is_none_or(|bytes| whole.len() as u64 == bytes);
        if !is_whole {
            request.unstored(Unstored::BrokenOff);
        }
        is_whole.then_some(whole)
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
    /// Why the response will not be stored after all, where that was known at its beginning.
    pub(crate) unstored: Option<NotStored>,
    pub(crate) tail: Arc<Tail>,
    /// How many waiters the response has answered that are to be recorded as traffic when it is stored.
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
