//! Putting responses into the cache, and deleting them, without a client's request.

use std::sync::Arc;
use std::time::Duration;

use http::Response;
use sandbar_base::memory_budget::Content;
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::{NoKey, Target};
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use sandbar_http::semantics::Times;
use sandbar_policy::freshness::Obstacle;

use super::Writer;
use crate::cached::{Began, Decoded};
use crate::errand;
use crate::not_stored::NotStored;
use crate::purge::PurgeReport;
use crate::request::CacheRequest;
use crate::storability::{Received, Shareable};
use crate::store::found::Found;
use crate::tenant::Tenant;

impl Writer {
    /// See [`Cache::put`](crate::cache::Cache::put).
    pub(crate) async fn put(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        site: &str,
        target: &str,
        response: Response<Content>,
    ) -> Result<PurgeReport, PutError> {
        let request = CacheRequest::get(tenant, site, target);
        let request = request.map_err(|reason| PutError::NoKey(format!("{site}{target}"), reason))?;
        let writer = Arc::clone(self);
        let putting = async move { writer.put_whole(&request, response, None).await };
        errand::done(&self.tasks, putting, || Err(PutError::Stopped)).await
    }

    /// Purges what is stored for a request, and stores this in its place; L1 holds a value as it is used.
    pub(super) async fn put_whole(
        self: &Arc<Self>,
        request: &Arc<CacheRequest>,
        response: Response<Content>,
        decoded: Option<Decoded>,
    ) -> Result<PurgeReport, PutError> {
        let shareable = self.storable(request, response)?;
        let began = self.store.begin(request);
        let purged = self.purges.purge_whole(&request.tenant, &[request.purge(PurgeMode::Hard)]).await;
        // As of its own purge: a put that is purged later, here or on another node, hides this one. Where the purge is not
        // recorded it has no number that others know, and this node's is the newest there is.
        let began = match purged.recorded.first() {
            Some(recorded) => Began { sequence: recorded.sequence, ..began },
            None => self.store.begin(request),
        };
        self.store_as_of(request, shareable, decoded, began).await;
        Ok(purged.report)
    }

    /// A response as it will be stored.
    ///
    /// # Errors
    /// When it may not be stored.
    pub(super) fn storable(&self, request: &CacheRequest, response: Response<Content>) -> Result<Shareable, PutError> {
        let (head, content) = response.into_parts();
        let (now, body_bytes) = (self.clock.now(), content.len() as u64);
        let body_bytes_max = request.tenant.settings.body_bytes_max;
        if body_bytes > body_bytes_max {
            return Err(PutError::TooLarge { body_bytes, body_bytes_max });
        }
        let received = Received {
            status: head.status,
            fields: &head.headers,
            body_bytes: Some(body_bytes),
            times: Times { requested: now, received: now },
            fetch_time: Duration::ZERO,
        };
        // As of when it counts is settled when it is stored.
        let storability = request.storability(&received, 0);
        let shareable = storability.map_err(|withheld| match withheld.why {
            NotStored::Obstacle(obstacle) => PutError::NotStorable(Some(obstacle)),
            _ => PutError::NotStorable(None),
        })?;
        Ok(shareable.with(|stored| StoredResponse { body: content, ..stored }))
    }

    /// Stores a response as if it had been asked for at `began`.
    pub(super) async fn store_as_of(
        &self,
        request: &CacheRequest,
        shareable: Shareable,
        decoded: Option<Decoded>,
        began: Began,
    ) -> Found {
        let shareable = shareable.with(|stored| StoredResponse { sequence: began.sequence, ..stored });
        self.store.put_as(request, shareable, decoded, began).await
    }

    /// See [`Cache::delete`](crate::cache::Cache::delete).
    pub(crate) async fn delete(&self, tenant: &Arc<Tenant>, site: &str, target: &str) -> Result<PurgeReport, NoKey> {
        let scope = Scope::Target(Target::on_site(&tenant.settings.key, site, target)?);
        Ok(self.purges.purge(tenant, &[Purge { scope, mode: PurgeMode::Hard }]).await)
    }
}

/// Why something put into the cache was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The URL makes no key.
    #[error("{0:?} is not the URL of an entry: {1}; write http://host/path?query")]
    NoKey(String, NoKey),
    /// RFC 9111 or the tenant's policy forbids it.
    #[error("it may not be stored: {}", .0.map_or("the policy says so", |obstacle| obstacle.as_str()))]
    NotStorable(Option<Obstacle>),
    /// The process was stopped before the response was stored.
    #[error("the process is being stopped")]
    Stopped,
    /// The body is larger than the tenant's bound.
    #[error("its body has {body_bytes} bytes, body_max is {body_bytes_max}")]
    TooLarge {
        /// Its size in bytes.
        body_bytes: u64,
        /// The bound in bytes.
        body_bytes_max: u64,
    },
}
