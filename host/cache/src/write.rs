//! The write path: requests that may change something go to the origin first, and what they make invalid is purged
//! before the client gets the response (RFC 9111 section 4.4).

mod behind;
pub(crate) mod deliver;
mod fence;
mod invalidation;
mod kept;
mod put;
mod through;
mod value;

use std::sync::Arc;

use http::{Method, StatusCode};
use sandbar_base::clock::Clock;
use sandbar_http::entry::StoredResponse;
use sandbar_http::purge::PurgeMode;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::request::{Forwards, forwards};
use sandbar_http::semantics::{FwdReason, ResponseHead, Times, answers_get};
use tokio_util::task::TaskTracker;

use self::fence::Fence;
pub use self::put::PutError;
pub use self::value::{Fate, Replaced};
use crate::body::Body;
use crate::cached::Began;
use crate::collapse::fetch::Fetches;
use crate::exchange::Exchanges;
use crate::fill::{Fetched, Fill, Fills};
use crate::origin::{OriginError, Sound};
use crate::owed::Owed;
use crate::purge::Purges;
use crate::read::{Miss, Reader};
use crate::request::{CacheRequest, Purpose};
use crate::respond::{self, Answer, Answered};
use crate::store::Store;
use crate::strategy::Strategy;
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
    pub(crate) owed: Arc<Owed>,
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
        let content = match self.take_behind(request, content).await {
            Ok(answer) => return answer,
            Err(content) => content,
        };
        if !request.is_safe()
            && let Some(answer) = self.wait_for_held(request).await
        {
            return answer;
        }
        let (requested, began) = (self.clock.now(), self.store.begin(request));
        let (content, kept) = self.keep(request, content);
        let response = match self.exchanges.forward(request, content).await {
            Ok(response) => response,
            Err(error) => {
                if !request.is_safe() && may_have_been_written(&error) {
                    self.doubt_target(request).await;
                }
                return respond::origin_failed(request, FwdReason::Method, &error, self.clock.now());
            }
        };
        let mut answered = Answered::forwarded(FwdReason::Method);
        if request.is_safe() {
            return respond::forwarded(request, response.into_response(), answered, Source::Bypassed, self.clock.now());
        }
        let (status, strategy) = (response.status(), request.strategy());
        let mut fence = None;
        if strategy == Strategy::Ttl {
            if status.is_success() || status.is_redirection() {
                self.invalidate_target(request, PurgeMode::Hard).await;
            }
        } else {
            let purged = self.purge_written(request, status, response.headers()).await;
            if purged.report.pending > 0 {
                // The origin has accepted the write. The pending purge is no failure, but the client may want to know.
                answered.detail = Some(PURGE_PENDING);
            }
            fence = Some(Fence::new(began, &purged));
        }
        let response = match &fence {
            Some(fence) if Self::answers_readers(request, &response, fence) => {
                let times = Times { requested, received: self.clock.now() };
                let fetch_time = self.clock.monotonic().saturating_sub(began.at);
                let fetched = Fetched { response, times, fetch_time };
                match self.take_in_written(request, fetched, (began, fence), strategy).await {
                    Ok(answer) => return answer,
                    Err(response) => response,
                }
            }
            _ => response,
        };
        if let Some(fence) = fence.filter(|_| strategy == Strategy::WriteThrough && status.is_success()) {
            let put = self.put_of(request, kept, (status, response.headers()), requested);
            self.write_through(request, put, &fence).await;
        }
        respond::forwarded(request, response.into_response(), answered, Source::Bypassed, self.clock.now())
    }

    /// Whether the response to a write answers later GETs of its target (RFC 9110 section 9.3.3), and may be for others.
    fn answers_readers(request: &CacheRequest, response: &Sound, fence: &Fence) -> bool {
        let head = ResponseHead { status: response.status(), fields: response.headers() };
        fence.is_clear()
            && request.may_be_for_others()
            && request.is_keyed_whole()
            && answers_get(&request.head(), &head, &request.class().store_rules)
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
    ///
    /// # Errors
    /// With the response, where it is not taken in: another write came in between, or it may not be stored and its target is
    /// fetched instead.
    async fn take_in_written(
        &self,
        request: &Arc<CacheRequest>,
        fetched: Fetched,
        (began, fence): (Began, &Fence),
        strategy: Strategy,
    ) -> Result<Answer, Sound> {
        let storability = fetched.storability(request, 0);
        let taken_in = match &storability {
            Ok(shareable) => fence.passed(&self.store, request, shareable.stored()).await,
            // It is taken in for the reason to be told: as of now it is behind the write's own purge.
            Err(_) if strategy != Strategy::WriteThrough => Some(began),
            Err(_) => None,
        };
        let Some(began) = taken_in else { return Err(fetched.response) };
        let as_of_then = |stored| StoredResponse { sequence: began.sequence, ..stored };
        let storability = storability.map(|shareable| shareable.with(as_of_then));
        let (obligation, mut waiter) = Fetches::alone();
        let (asked_for, key) = (Arc::clone(request), request.key.clone());
        let fill =
            Fill { request: asked_for, key, basis: None, validates: false, purpose: Purpose::Answer, alone: true };
        let fills = Arc::clone(&self.fills);
        self.tasks.spawn(async move { fills.take_in(fill, fetched, storability, began, obligation).await });
        let miss = Miss { reason: FwdReason::Method, key: request.key.clone(), basis: None };
        let outcome = waiter.outcome().await;
        let now = self.clock.now();
        let for_request = outcome.ok().map(|outcome| outcome.for_request(request, waiter.joined(), now));
        let answer = for_request.and_then(|for_request| self.reader.answer(request, &miss, for_request, now).ok());
        Ok(answer.unwrap_or_else(|| self.abandoned(request)))
    }

    fn abandoned(&self, request: &CacheRequest) -> Answer {
        let outcome = Outcome::fwd(FwdReason::Method);
        respond::synthesized(request, StatusCode::BAD_GATEWAY, outcome, "abandoned", self.clock.now())
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
