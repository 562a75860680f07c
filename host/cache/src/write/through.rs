//! Write-through: what a write has left at its target is stored before the client is answered, so that the next reader finds
//! it. The origin has taken the write by then, so whatever fails here fails nothing: the target stays purged.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, DATE, ETAG, LAST_MODIFIED, VARY};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sandbar_base::clock::{Timestamp, timeout};
use sandbar_base::memory_budget::Content;
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::Times;

use super::Writer;
use super::fence::Fence;
use super::kept::Kept;
use crate::body::Body;
use crate::request::{CacheRequest, content_fields, reads_encoding};
use crate::storability::Received;
use crate::strategy::Strategy;
use crate::tenant::counters::count;

/// Content of a PUT that the origin has taken.
pub(super) struct Put {
    content: Content,
    /// The fields of the response that a GET would get.
    fields: HeaderMap,
    requested: Timestamp,
}

impl Writer {
    /// Has the content of a PUT kept while it is sent, where its class wants that stored.
    pub(super) fn keep(&self, request: &CacheRequest, content: Body) -> (Body, Option<Kept>) {
        let wants = request.method == Method::PUT
            && request.class().writes.put_lifetime.is_some()
            && request.strategy() == Strategy::WriteThrough
            // RFC 9110 section 14.4: such content is a part of a representation, or an error.
            && !request.fields.contains_key(CONTENT_RANGE)
            && request.may_be_for_others()
            && request.is_keyed_whole()
            // What is stored is for requests with the same `Accept-Encoding`, so they have to read it.
            && reads_encoding(&request.fields, request.fields.get(CONTENT_ENCODING));
        if !wants {
            return (content, None);
        }
        Kept::of(content, request.tenant.settings.body_bytes_max, &self.store.budget)
    }

    /// What a PUT has written, if the origin says that it took the content as it was: RFC 9110 section 9.3.4 lets it send "a
    /// validator field (Section 8.8), such as an ETag or Last-Modified field, in a successful response to PUT" only if the
    /// content "was saved without any transformation".
    pub(super) fn put_of(
        &self,
        request: &CacheRequest,
        kept: Option<Kept>,
        (status, fields): (StatusCode, &HeaderMap),
        requested: Timestamp,
    ) -> Option<Put> {
        let content = kept?.whole(&self.store.budget)?;
        let is_told = status.is_success() && [ETAG, LAST_MODIFIED].iter().any(|name| fields.contains_key(name));
        let lifetime = request.class().writes.put_lifetime.filter(|_| is_told && !fields.contains_key(VARY))?;
        Some(Put { content, fields: representation(&request.fields, fields, lifetime), requested })
    }

    /// Stores what a write has left at its target: the content that it has put there, or what the origin answers to a GET.
    /// That is waited for until the tenant's `fetch_soft_deadline`, and goes on behind.
    pub(super) async fn write_through(self: &Arc<Self>, request: &Arc<CacheRequest>, put: Option<Put>, fence: &Fence) {
        // What comes of a request with credentials may be for its client alone.
        if request.method == Method::DELETE || !request.may_be_for_others() || !self.store.takes_in(request) {
            return;
        }
        if let Some(put) = put
            && self.store_put(request, put, fence).await
        {
            return count(&request.tenant.counters.writes_put);
        }
        let Ok(refetch) = request.refetch() else { return };
        let (fills, deadline) = (Arc::clone(&self.fills), request.tenant.settings.fetch_soft_deadline);
        let fetching = self.tasks.spawn(async move { fills.refetch(&refetch).await });
        count(&request.tenant.counters.writes_refetched);
        let _ = timeout(&*self.clock, deadline, fetching).await;
    }

    /// Stores the content of a PUT as the response that a GET would get, if no other write came in between; false where it is
    /// not stored.
    async fn store_put(&self, request: &Arc<CacheRequest>, put: Put, fence: &Fence) -> bool {
        let Put { content, fields, requested } = put;
        let (received, body_bytes) = (self.clock.now(), Some(content.len() as u64));
        let received = Received {
            status: StatusCode::OK,
            fields: &fields,
            body_bytes,
            times: Times { requested, received },
            fetch_time: Duration::ZERO,
        };
        let Ok(shareable) = request.storability(&received, 0) else { return false };
        let Some(began) = fence.passed(&self.store, request, shareable.stored()).await else {
            count(&request.tenant.counters.writes_overlapped);
            return false;
        };
        let whole = shareable.with(|stored| StoredResponse { body: content, ..stored });
        self.store_as_of(request, whole, None, began).await;
        true
    }
}

/// The fields of the response to a GET, made of those of a PUT and of the origin's answer to it.
fn representation(put: &HeaderMap, told: &HeaderMap, lifetime: Duration) -> HeaderMap {
    let mut fields = content_fields(put);
    for name in [ETAG, LAST_MODIFIED, DATE] {
        if let Some(value) = told.get(&name) {
            fields.insert(name, value.clone());
        }
    }
    let lifetime = format!("max-age={}", lifetime.as_secs());
    fields.insert(CACHE_CONTROL, HeaderValue::from_str(&lifetime).expect("a number is visible ASCII"));
    fields
}
