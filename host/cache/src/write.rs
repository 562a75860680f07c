//! The write path: requests that may change something go to the origin first, and what they make invalid is purged
//! before the client gets the response (RFC 9111 section 4.4).

mod put;
mod value;

use std::sync::Arc;

use http::{HeaderMap, Method, StatusCode};
use sandbar_base::clock::Clock;
use sandbar_http::key::Target;
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::request::{Forwards, forwards};
use sandbar_http::semantics::{FwdReason, ResponseHead, Times, answers_get, group_invalidations, invalidated};
use sandbar_policy::invalidation::Written;
use tokio_util::task::TaskTracker;

pub use self::put::PutError;
pub use self::value::{Fate, Replaced};
use crate::body::Body;
use crate::collapse::fetch::Fetches;
use crate::exchange::Exchanges;
use crate::fill::{Fetched, Fill, Fills};
use crate::origin::OriginError;
use crate::peers::Peers;
use crate::purge::{PurgeReport, Purges};
use crate::read::{Miss, Reader};
use crate::request::{CacheRequest, Purpose};
use crate::respond::{self, Answer, Answered};
use crate::store::Store;
use crate::tenant::counters::Source;

/// What `Cache-Status` says of a write whose purge other nodes do not know of yet.
const PURGE_PENDING: &str = "purge-pending";

/// Forwards requests that may change something, and purges the stored responses that they make invalid.
pub(crate) struct Writer {
    pub(crate) store: Arc<Store>,
    pub(crate) fills: Arc<Fills>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) purges: Arc<Purges>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tasks: TaskTracker,
}

impl Writer {
    /// Sends any other request than a plain GET or HEAD to the origin, and purges what it made invalid. That is
    /// completed even if the client leaves meanwhile: the origin may have accepted the write.
    pub(crate) async fn write(self: &Arc<Self>, request: &Arc<CacheRequest>, content: Body) -> Answer {
        if forwards(&request.method, &request.fields) == Forwards::Last {
            return self.last_recipient(request);
        }
        if request.is_safe() {
            return self.write_to_the_end(request, content).await;
        }
        let (writer, writing) = (Arc::clone(self), Arc::clone(request));
        let written = self.tasks.spawn(async move { writer.write_to_the_end(&writing, content).await }).await;
        written.unwrap_or_else(|_| self.abandoned(request))
    }

    async fn write_to_the_end(self: &Arc<Self>, request: &Arc<CacheRequest>, content: Body) -> Answer {
        let (requested, began) = (self.clock.now(), self.store.begin(request));
        let response = match self.exchanges.forward(request, content).await {
            Ok(response) => response,
            Err(error) => {
                if !request.is_safe() && may_have_been_written(&error) {
                    // What is stored has to be validated before it is reused; stale-if-error still applies.
                    let scope = Scope::Target(request.purged_as());
                    self.purges.purge_whole(&request.tenant, &[Purge { scope, mode: PurgeMode::Soft }]).await;
                }
                return respond::origin_failed(request, FwdReason::Method, &error, self.clock.now());
            }
        };
        // The write's own purge will hide what began before it: whether another purge hides the response has to be
        // known by now. Purges of other nodes may be heard later, so in a fleet the response is not stored.
        let stays = self.peers.fleet().is_none()
            && !request.is_overridden
            && !request.tenant.barriers.hides(request.key.text(), began.sequence);
        let mut answered = Answered::forwarded(FwdReason::Method);
        if !request.is_safe() && self.purge_written(request, response.status(), response.headers()).await.pending > 0 {
            // The origin has accepted the write. The pending purge is no failure, but the client may want to know.
            answered.detail = Some(PURGE_PENDING);
        }
        let head = ResponseHead { status: response.status(), fields: response.headers() };
        if stays && answers_get(&request.head(), &head, &request.class().store_rules) {
            let times = Times { requested, received: self.clock.now() };
            let fetch_time = self.clock.monotonic().saturating_sub(began.at);
            return self.take_in_written(request, Fetched { response, times, fetch_time }).await;
        }
        respond::forwarded(request, response.into_response(), answered, Source::Bypassed, self.clock.now())
    }

    /// Answers OPTIONS and TRACE in the origin's place. TRACE is refused: what it would show is not for everybody.
    fn last_recipient(&self, request: &CacheRequest) -> Answer {
        let status = if request.method == Method::OPTIONS { StatusCode::OK } else { StatusCode::METHOD_NOT_ALLOWED };
        let mut answer = respond::synthesized(request, status, Outcome::Refused, "max-forwards", self.clock.now());
        let methods = http::HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        answer.response.headers_mut().insert(http::header::ALLOW, methods);
        answer
    }

    /// Stores the response to a write as one to GET while it is forwarded (RFC 9110 section 9.3.3). The write's own
    /// purge has been made before.
    async fn take_in_written(&self, request: &Arc<CacheRequest>, fetched: Fetched) -> Answer {
        let began = self.store.begin(request);
        let (obligation, mut waiter) = Fetches::alone();
        let (asked_for, key) = (Arc::clone(request), request.key.clone());
        let fill =
            Fill { request: asked_for, key, basis: None, validates: false, purpose: Purpose::Answer, alone: true };
        let fills = Arc::clone(&self.fills);
        self.tasks.spawn(async move { fills.take_in(fill, fetched, began, obligation).await });
        let miss = Miss { reason: FwdReason::Method, key: request.key.clone(), basis: None };
        let outcome = waiter.outcome().await;
        let now = self.clock.now();
        let for_request = outcome.ok().map(|outcome| outcome.for_request(request, waiter.joined(), now));
        let answer = for_request.and_then(|for_request| self.reader.answer(request, &miss, for_request, now).ok());
        answer.unwrap_or_else(|| self.abandoned(request))
    }

    fn abandoned(&self, request: &CacheRequest) -> Answer {
        let outcome = Outcome::fwd(FwdReason::Method);
        respond::synthesized(request, StatusCode::BAD_GATEWAY, outcome, "abandoned", self.clock.now())
    }

    /// Purges what a successful unsafe request made invalid: its target, what its response names, and what the tenant's
    /// policy adds. The write is in a task of its own already.
    async fn purge_written(&self, request: &CacheRequest, status: StatusCode, fields: &HeaderMap) -> PurgeReport {
        let response = ResponseHead { status, fields };
        let head = request.head_of_write();
        let rules = &request.tenant.settings.key;
        let mut purges: Vec<_> = invalidated(&head, &request.site, &response)
            .into_iter()
            .filter_map(|(site, target)| Target::on_site(rules, &site, &target).ok())
            .map(|target| Purge { scope: Scope::Target(target), mode: PurgeMode::Hard })
            .collect();
        purges.extend(group_invalidations(&head, &response).into_iter().map(|key| Purge {
            scope: Scope::SurrogateKey(key),
            // RFC 9875 section 3 makes them invalid, not gone: they may be served stale where that is allowed.
            mode: PurgeMode::Soft,
        }));
        if status.is_success() || status.is_redirection() {
            purges.extend(request.tenant.policies.purges(&Written {
                method: &request.method,
                site: &request.site,
                target: &request.target,
                key: rules,
                status,
                request: &request.fields,
                response: fields,
            }));
        }
        let report = self.purges.purge_whole(&request.tenant, &purges).await;
        if let Some(reason) = &report.reason {
            let tenant = &*request.tenant.name;
            tracing::warn!(tenant, target = request.target, reason, "other nodes do not know of a write yet");
        }
        report
    }
}

/// Whether the origin may have accepted a write although no answer came.
const fn may_have_been_written(error: &OriginError) -> bool {
    matches!(
        error,
        OriginError::Broken { .. }
            | OriginError::Unsound { .. }
            | OriginError::Deadline { .. }
            | OriginError::Client(_)
    )
}
