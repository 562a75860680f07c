//! The write path: requests that may change something go to the origin first, and what they changed is purged before
//! the client hears of it (RFC 9111 section 4.4).

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Response, StatusCode};
use sandbar_base::memory_budget::Content;
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::{NoKey, Target};
use sandbar_http::semantics::cache_status::Outcome as Status;
use sandbar_http::semantics::request::{Forwards, forwards};
use sandbar_http::semantics::{FwdReason, ResponseHead, Times, answers_get, group_invalidations, invalidated};
use sandbar_policy::freshness::Obstacle;
use sandbar_policy::invalidation::Written;

use super::Cache;
use super::asked::Asked;
use super::collapse::flight::Flights;
use super::fill::{Fetched, Fill, Purpose};
use super::judge::{Received, Why};
use super::purge::PurgeReport;
use super::read::Miss;
use super::respond::serve::Answered;
use crate::barrier::{Purge, PurgeMode, Scope};
use crate::body::Body;
use crate::origin::OriginError;
use crate::tenant::Tenant;
use crate::tenant::counters::count;

/// What `Cache-Status` says of a write whose purge other nodes do not know of yet.
const PURGE_PENDING: &str = "purge-pending";

impl Cache {
    /// Sends any other request than a plain GET or HEAD to the origin, and purges what it made invalid. That is done also
    /// where the client leaves meanwhile: the origin may have taken the write in.
    pub(crate) async fn write(&self, asked: &Arc<Asked>, content: Body) -> Response<Body> {
        if forwards(&asked.method, &asked.fields) == Forwards::Last {
            return self.last_recipient(asked);
        }
        count(&asked.tenant.counters.bypassed);
        if asked.is_safe() {
            return self.write_to_the_end(asked, content).await;
        }
        let (cache, writing) = (self.clone(), Arc::clone(asked));
        let written = self.inner.tasks.spawn(async move { cache.write_to_the_end(&writing, content).await }).await;
        written.unwrap_or_else(|_| {
            self.synthesized(asked, StatusCode::BAD_GATEWAY, Status::fwd(FwdReason::Method), "abandoned")
        })
    }

    async fn write_to_the_end(&self, asked: &Arc<Asked>, content: Body) -> Response<Body> {
        let (requested, began) = (self.inner.clock.now(), self.begin(asked));
        let response = match self.pass(asked, content).await {
            Ok(response) => response,
            Err(error) => {
                if !asked.is_safe() && may_have_been_written(&error) {
                    // It has to be validated before it is reused; while the origin is down it still can be.
                    let scope = Scope::Target(asked.purged_as());
                    self.purge_whole(&asked.tenant, &[Purge { scope, mode: PurgeMode::Soft }]).await;
                }
                return self.origin_failed(asked, FwdReason::Method, &error);
            }
        };
        // Its own purge will hide what was begun before it: whether another one does has to be known by now. Those of other
        // nodes may come later, so in a fleet it is not stored.
        let stays = self.fleet().is_none()
            && !asked.is_overridden
            && !asked.tenant.barriers.hides(asked.key.text(), began.sequence);
        let mut answered = Answered::forwarded(FwdReason::Method);
        if !asked.is_safe() && self.purge_written(asked, response.status(), response.headers()).await.pending > 0 {
            // The origin has accepted the write: it is no failure, but the client may want to know.
            answered.detail = Some(PURGE_PENDING);
        }
        let head = ResponseHead { status: response.status(), fields: response.headers() };
        if stays && answers_get(&asked.head(), &head, &asked.tenant.store_rules(&asked.target)) {
            let times = Times { requested, received: self.inner.clock.now() };
            let fetch_time = self.inner.clock.monotonic().saturating_sub(began.at);
            return self.take_in_written(asked, Fetched { response, times, fetch_time }).await;
        }
        self.serve_forwarded(asked, response.into_response(), answered)
    }

    /// Answers OPTIONS and TRACE in the origin's place. What TRACE would show is not for everybody.
    fn last_recipient(&self, asked: &Asked) -> Response<Body> {
        let status = if asked.method == Method::OPTIONS { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
        let mut response = self.synthesized(asked, status, Status::Refused, "max-forwards");
        let methods = http::HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        response.headers_mut().insert(http::header::ALLOW, methods);
        response
    }

    /// Stores the response to a write as one to GET while it is passed on (RFC 9110 section 9.3.3). Its own purge comes
    /// before it.
    async fn take_in_written(&self, asked: &Arc<Asked>, fetched: Fetched) -> Response<Body> {
        let began = self.begin(asked);
        let (obligation, mut waiter) = Flights::alone();
        let (asked_for, key) = (Arc::clone(asked), asked.key.clone());
        let fill = Fill { asked: asked_for, key, basis: None, validates: false, purpose: Purpose::Answer, alone: true };
        let cache = self.clone();
        self.inner.tasks.spawn(async move { cache.take_in(fill, fetched, began, obligation).await });
        let miss = Miss { reason: FwdReason::Method, key: asked.key.clone(), basis: None };
        let landed =
            waiter.landing().await.map(|landing| landing.for_request(asked, waiter.joined(), self.inner.clock.now()));
        let answer = landed.ok().and_then(|verdict| self.answer(asked, &miss, verdict).ok());
        answer.unwrap_or_else(|| {
            self.synthesized(asked, StatusCode::BAD_GATEWAY, Status::fwd(FwdReason::Method), "abandoned")
        })
    }

    /// A successful unsafe request purges its target and what its response names, and what the tenant's policy adds. It is
    /// in a task of its own already.
    async fn purge_written(&self, asked: &Asked, status: StatusCode, fields: &HeaderMap) -> PurgeReport {
        let response = ResponseHead { status, fields };
        let head = asked.head_of_write();
        let rules = &asked.tenant.settings.key;
        let mut purges: Vec<_> = invalidated(&head, &asked.site, &response)
            .into_iter()
            .filter_map(|(site, target)| Target::on_site(rules, &site, &target).ok())
            .map(|target| Purge { scope: Scope::Target(target), mode: PurgeMode::Hard })
            .collect();
        purges.extend(group_invalidations(&head, &response).into_iter().map(|key| Purge {
            scope: Scope::SurrogateKey(key),
            // RFC 9875 section 3 makes them invalid, not gone: they may still be served stale where that is allowed.
            mode: PurgeMode::Soft,
        }));
        if status.is_success() || status.is_redirection() {
            purges.extend(asked.tenant.policies.purges(&Written {
                method: &asked.method,
                site: &asked.site,
                target: &asked.target,
                key: rules,
                status,
                request: &asked.fields,
                response: fields,
            }));
        }
        let report = self.purge_whole(&asked.tenant, &purges).await;
        if let Some(reason) = &report.reason {
            let tenant = &*asked.tenant.name;
            tracing::warn!(tenant, target = asked.target, reason, "other nodes do not know of a write yet");
        }
        report
    }

    /// Stores a response for `target` on `site` as if the origin had just given it to a GET without fields of its own, in
    /// the place of all that is stored there. What was there is purged first, as by a write: answers with what became of
    /// that on the other nodes, on which the class's consistency promises something. It is stored here in any case.
    ///
    /// It goes on where the caller leaves.
    ///
    /// # Errors
    /// When it may not be stored: why not; nothing has changed then. When `site` or `target` makes no key.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn put(
        &self,
        tenant: &Arc<Tenant>,
        site: &str,
        target: &str,
        response: Response<impl Into<Content>>,
    ) -> Result<PurgeReport, PutError> {
        let response = response.map(Into::into);
        let asked = self.asked_for(tenant, site, target)?;
        let cache = self.clone();
        let putting = self.inner.tasks.spawn(async move { cache.put_whole(&asked, response).await });
        putting.await.unwrap_or_else(|unfinished| match unfinished.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(PutError::Stopped),
        })
    }

    async fn put_whole(&self, asked: &Arc<Asked>, response: Response<Content>) -> Result<PurgeReport, PutError> {
        let (head, content) = response.into_parts();
        let (now, body_bytes) = (self.inner.clock.now(), content.len() as u64);
        let body_bytes_max = asked.tenant.settings.body_bytes_max;
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
        let judged = asked.judge(&received, self.begin(asked).sequence);
        let shareable = judged.map_err(|withheld| match withheld.why {
            Why::Obstacle(obstacle) => PutError::NotStorable(Some(obstacle)),
            Why::Other(_) => PutError::NotStorable(None),
        })?;
        let scope = Scope::Target(asked.purged_as());
        let report = self.purge_whole(&asked.tenant, &[Purge { scope, mode: PurgeMode::Hard }]).await;
        // Begun after the purge, or that would hide it.
        let began = self.begin(asked);
        let whole = shareable.with(|stored| StoredResponse { body: content, sequence: began.sequence, ..stored });
        self.store(asked, whole, began).await;
        Ok(report)
    }

    /// Forgets what is stored for `target` on `site`, all variants of it.
    ///
    /// # Errors
    /// When `site` and `target` make no key.
    pub async fn delete(&self, tenant: &Arc<Tenant>, site: &str, target: &str) -> Result<PurgeReport, NoKey> {
        let scope = Scope::Target(Target::on_site(&tenant.settings.key, site, target)?);
        Ok(self.purge(tenant, &[Purge { scope, mode: PurgeMode::Hard }]).await)
    }

    fn asked_for(&self, tenant: &Arc<Tenant>, site: &str, target: &str) -> Result<Arc<Asked>, PutError> {
        let url = format!("{site}{target}");
        let no_key = |reason| PutError::NoKey(url.clone(), reason);
        let request = http::Request::get(&url).body(()).map_err(|_| no_key(NoKey::BadTarget))?;
        Asked::new(tenant, request.into_parts().0, true).map_err(no_key)
    }
}

/// Whether the origin may have taken a write in though no answer came.
const fn may_have_been_written(error: &OriginError) -> bool {
    matches!(
        error,
        OriginError::Broken { .. }
            | OriginError::Unsound { .. }
            | OriginError::Deadline { .. }
            | OriginError::Client(_)
    )
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
    /// The process ends before it could be.
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
