//! The protection of a tenant's origin from the tenant's own traffic. All requests to the origin go through it: fills,
//! refreshes, requests that bypass the cache, writes.
//!
//! - **Limit and queue** (`gate`): only so many requests are under way, bodies included, and only so many wait, for so
//!   long. Where there is no room, both are divided evenly among clients, and a place whose client makes no progress
//!   (`place`) goes to another request. A refresh that nobody waits for never queues and is the first to be dropped.
//! - **Retry budget** (`budget`): a request that failed before the head of a response was there may be sent again;
//!   retries are a small share of all requests. Only idempotent methods without content (RFC 9110 section 9.2.2), and
//!   only where no connection could be made or it broke: a deadline that was missed, or a 503, says that the origin has
//!   too much to do already.
//! - **Circuit breaker** (`breaker`): after too many failures the origin is left alone, then tried with a few requests.
//!
//! A refusal is an error like any other: a stale response is served where the plan allows it (RFC 5861 section 4), else a
//! 503 with `Retry-After`.

mod adaptive;
mod breaker;
mod budget;
mod config;
mod failures_by_client;
mod gate;
mod held;
mod load;
mod pace;
mod place;
mod queue;
mod reclaim;
mod refusal;
mod stats;
#[cfg(test)]
mod tests;
mod trial;
mod upload;
mod window;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::http::{Method, Request, Response, StatusCode};
use futures_util::future::BoxFuture;
use http_body::Body as _;
use parking_lot::Mutex;

pub use self::config::{BreakerConfig, ProtectConfig, RetryConfig};
pub(crate) use self::held::Switched;
pub use self::refusal::Refusal;
pub use self::stats::{OriginCounters, ShieldStats};

use sandbar_base::clock::{Clock, timeout};
use sandbar_http::client::{Client, ShareKey};
use sandbar_http::semantics::request::is_safe;

use self::adaptive::Adaptive;
use self::breaker::{Breaker, Reply};
use self::budget::RetryBudget;
use self::gate::{Entered, Gate, Patience, Permit, RECLAIMED_EVERY};
use self::held::held;
use self::place::{LAGS_FROM, Place};
use self::stats::Counts;
use self::trial::{Trial, Watcher};
use super::sound::{Sound, expected};
use super::{ClientFault, Fault, Origin, OriginError, OriginReport, Progress, Urgency};
use crate::body::{self, Body};
use crate::holdings::Holder;
use crate::tally::count;

/// An origin behind its protection.
#[doc(hidden)]
pub struct Shield {
    origin: Arc<dyn Origin>,
    config: ProtectConfig,
    fetch_deadline: Duration,
    gate: Arc<Gate>,
    adaptive: Option<Mutex<Adaptive>>,
    budget: Mutex<RetryBudget>,
    watcher: Watcher,
    counts: Counts,
    counters: Arc<OriginCounters>,
}

impl Shield {
    /// The origin itself.
    pub fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.origin)
    }

    /// Protects a tenant's origin. A fetch by a safe method may take `fetch_deadline` from the queue to the head of its
    /// response, retries included. What is sent is counted in the tenant's counters.
    pub fn new(
        tenant: &str,
        origin: Arc<dyn Origin>,
        config: &ProtectConfig,
        fetch_deadline: Duration,
        clock: Arc<dyn Clock>,
        counters: Arc<OriginCounters>,
    ) -> Self {
        let adaptive =
            config.adaptive.then(|| Adaptive::new(config.requests_min.as_usize(), config.requests_max.as_usize()));
        let limit = adaptive.as_ref().map_or(config.requests_max.as_usize(), Adaptive::limit);
        let patience = Patience { deadline: config.progress_deadline.get(), bytes_min: config.progress_min.bytes() };
        let breaker = Arc::new(Mutex::new(Breaker::new(config.breaker.clone())));
        Self {
            origin,
            fetch_deadline,
            gate: Gate::new(limit, config.queue_max.as_usize(), patience),
            adaptive: adaptive.map(Mutex::new),
            budget: Mutex::new(RetryBudget::new(config.retry.share_percent.get(), config.retry.burst.get())),
            watcher: Watcher { tenant: tenant.into(), breaker, clock },
            config: config.clone(),
            counts: Counts::default(),
            counters,
        }
    }

    /// The present state, and counts since the start.
    pub fn stats(&self) -> ShieldStats {
        let load = self.gate.load();
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let breaker = self.watcher.breaker.lock();
        ShieldStats {
            limit: load.limit as u64,
            running: load.running as u64,
            waiting: load.queued as u64,
            queued: read(&self.counts.queued),
            places_lost: load.lost,
            refused: self.counts.refused.values(),
            retries: read(&self.counts.retries),
            retries_denied: read(&self.counts.retries_denied),
            fetch_deadlines: read(&self.counts.fetch_deadlines),
            breaker: breaker.state(self.watcher.clock.monotonic()),
            breaker_opened: breaker.opened(),
        }
    }

    /// Sends a request as [`Origin::fetch`] does, and checks the response.
    ///
    /// # Errors
    /// When no response came, or one that can't be trusted.
    pub async fn ask(&self, request: Request<Body>) -> Result<Sound, OriginError> {
        let expected = expected(&request);
        let response = self.protected(request).await?;
        Sound::check(&expected, response, &self.watcher.tenant).inspect_err(|_| count(&self.counters.errors))
    }

    async fn protected(&self, request: Request<Body>) -> Result<Response<Body>, OriginError> {
        let urgency = request.extensions().get().copied().unwrap_or_default();
        if let Some(left) = self.refused_by_breaker() {
            return Err(self.refuse(Refusal::BreakerOpen, left));
        }
        let client = request.extensions().get().map(Client::share_key);
        let until = is_safe(request.method()).then(|| self.watcher.clock.monotonic() + self.fetch_deadline);
        let permit = self.enter(urgency, client, until).await?;
        self.gate.watch(&self.watcher.clock);
        if let Some(progress) = request.extensions().get::<Progress>() {
            progress.is_sent();
        }
        let place = &permit.place;
        let request = request.map(|content| upload::watched(content, place, &self.watcher.clock));
        let mut response = self.attempts(request, place, until).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // The connection keeps its place for as long as it lasts.
            let lasting = response.extensions_mut().remove();
            response.extensions_mut().insert(Switched::of(permit, lasting));
            return Ok(response);
        }
        Ok(response.map(|content| held(content, permit, self.watcher.clone())))
    }

    fn refused_by_breaker(&self) -> Option<Duration> {
        self.watcher.breaker.lock().refuses_for(self.watcher.clock.monotonic())
    }

    /// Waits until the request's turn has come.
    async fn enter(
        &self,
        urgency: Urgency,
        client: Option<ShareKey>,
        until: Option<Duration>,
    ) -> Result<Permit, OriginError> {
        let clock = &*self.watcher.clock;
        let mut waiting = match self.gate.enter(urgency, client, clock.monotonic()) {
            Ok(Entered::Now(permit)) => return Ok(permit),
            Ok(Entered::Queued(waiting)) => waiting,
            Err(refusal) => return Err(self.refuse(refusal, SOON)),
        };
        count(&self.counts.queued);
        let patience = self.config.queue_deadline.get();
        let patience = self.left(until).map_or(patience, |left| left.min(patience));
        let turn = async {
            loop {
                match timeout(clock, RECLAIMED_EVERY, &mut waiting).await {
                    Ok(turn) => return turn,
                    Err(_) => self.gate.reclaim(clock.monotonic()),
                }
            }
        };
        let turn = timeout(clock, patience, turn).await;
        turn.unwrap_or(Err(Refusal::QueueDeadline)).map_err(|refusal| self.refuse(refusal, SOON))
    }

    /// Sends a request, and again while that is allowed and of use.
    async fn attempts(
        &self,
        mut request: Request<Body>,
        place: &Place,
        until: Option<Duration>,
    ) -> Result<Response<Body>, OriginError> {
        self.budget.lock().pay_in();
        let may_repeat = request.method().is_idempotent() && request.body().is_end_stream();
        // The same for all attempts, so that one can go to another address than those before it.
        request.extensions_mut().get_or_insert_with(Progress::default);
        let mut times = 0;
        loop {
            let again = (may_repeat && times < self.config.retry.times_max.get()).then(|| copy(&request));
            let error = match self.attempt(request, place, until).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let Some(again) = again.filter(|_| is_worth_a_retry(&error)) else { return Err(error) };
            if !self.may_retry(place) {
                return Err(error);
            }
            let pause = self.config.retry.pause.get().saturating_mul(1 << times).mul_f64(fastrand::f64());
            self.watcher.clock.sleep(pause).await;
            (request, times) = (again, times + 1);
        }
    }

    /// A retry needs a closed breaker, because it is no probe, and a token of the retry budget.
    fn may_retry(&self, place: &Place) -> bool {
        let may = self.watcher.breaker.lock().is_closed() && self.budget.lock().take(Holder::of(place.client));
        count(if may { &self.counts.retries } else { &self.counts.retries_denied });
        may
    }

    async fn attempt(
        &self,
        request: Request<Body>,
        place: &Place,
        until: Option<Duration>,
    ) -> Result<Response<Body>, OriginError> {
        let mut trial =
            self.watcher.admit(Holder::of(place.client)).map_err(|left| self.refuse(Refusal::BreakerOpen, left))?;
        let began = self.watcher.clock.monotonic();
        count(&self.counters.requests);
        let answer = self.answer(request, place, until, &mut trial).await;
        let now = self.watcher.clock.monotonic();
        let answer = booked(answer, place, now);
        let is_hindered = place.is_hindered(now);
        match &answer {
            Err(error) if error.fault() == Fault::Client => count(&self.counters.client_faults),
            Err(_) if !is_hindered => count(&self.counters.errors),
            _ => {}
        }
        trial.settle(reply_of(&answer, is_hindered));
        if let Some(since) = place.complete_since(began) {
            self.adapt(|adaptive| self.learn(adaptive, &answer, now.saturating_sub(since)));
        }
        answer
    }

    /// Waits for the head of the response; no longer than the request has its place.
    async fn answer(
        &self,
        request: Request<Body>,
        place: &Place,
        until: Option<Duration>,
        trial: &mut Trial<'_>,
    ) -> Result<Response<Body>, OriginError> {
        let clock = &*self.watcher.clock;
        let progress = request.extensions().get::<Progress>().cloned().unwrap_or_default();
        let fetching = self.origin.fetch(request);
        let mut fetching = pin!(async {
            let mut fetching = pin!(fetching);
            let Some(left) = self.left(until) else { return fetching.await };
            timeout(clock, left, &mut fetching).await.unwrap_or_else(|_| {
                // Before it is dropped: who sends it has to know why.
                progress.is_given_up();
                Err(self.missed())
            })
        });
        loop {
            let is_probe = trial.is_probe() && place.is_uploading();
            tokio::select! {
                biased;
                answer = &mut fetching => return answer,
                fault = place.is_lost() => return Err(OriginError::Client(fault)),
                // While a client keeps it waiting, the origin can't show that it works: another request has to be the
                // probe.
                () = clock.sleep(LAGS_FROM), if is_probe => if place.upload_lags(clock.monotonic()) {
                    trial.give_back();
                }
            }
        }
    }

    /// Has the limit follow what `learn` notes of the origin.
    fn adapt(&self, learn: impl FnOnce(&mut Adaptive)) {
        let Some(adaptive) = &self.adaptive else { return };
        let limit = {
            let mut adaptive = adaptive.lock();
            learn(&mut adaptive);
            adaptive.limit()
        };
        self.gate.set_limit(limit);
    }

    fn learn(&self, adaptive: &mut Adaptive, answer: &Result<Response<Body>, OriginError>, latency: Duration) {
        match answer {
            Ok(response) if response.status() != StatusCode::SERVICE_UNAVAILABLE => {
                adaptive.answered(latency, self.gate.load().running, self.watcher.clock.monotonic());
            }
            Ok(_) | Err(OriginError::Deadline { .. }) => adaptive.overloaded(),
            Err(_) => {}
        }
    }

    fn left(&self, until: Option<Duration>) -> Option<Duration> {
        until.map(|until| until.saturating_sub(self.watcher.clock.monotonic()))
    }

    fn missed(&self) -> OriginError {
        count(&self.counts.fetch_deadlines);
        OriginError::Deadline {
            origin: self.watcher.tenant.to_string(),
            what: "fetch",
            deadline_ms: u64::try_from(self.fetch_deadline.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn refuse(&self, refusal: Refusal, retry_after: Duration) -> OriginError {
        self.counts.refused.count(refusal);
        OriginError::Refused { origin: self.watcher.tenant.to_string(), refusal, retry_after }
    }
}

/// After how long a queue that was full is worth another try.
const SOON: Duration = Duration::from_secs(1);

/// True where nothing of a response came, and nothing says that the origin has too much to do.
const fn is_worth_a_retry(error: &OriginError) -> bool {
    matches!(error, OriginError::Connect { .. } | OriginError::Broken { .. })
}

/// The result of a request, after looking whose fault it is: if the client spoilt the request, the origin's response
/// does not answer it; if the client kept the origin waiting until a deadline passed, the origin is not to blame.
fn booked(
    answer: Result<Response<Body>, OriginError>,
    place: &Place,
    now: Duration,
) -> Result<Response<Body>, OriginError> {
    if let Some(fault) = place.client_fault() {
        return Err(OriginError::Client(fault));
    }
    answer.map_err(|error| match error.is_timeout() && place.upload_lags(now) {
        true => OriginError::Client(ClientFault::LateUpload),
        false => error,
    })
}

/// What a result says of the origin. RFC 5861 section 4 names the status codes that are errors of the origin. A request
/// that its client hindered says nothing of it.
fn reply_of(answer: &Result<Response<Body>, OriginError>, is_hindered: bool) -> Reply {
    match answer {
        Ok(response) if !matches!(response.status().as_u16(), 500 | 502 | 503 | 504) => Reply::Good,
        // An origin that answers nonsense to one request does answer: it needs no rest.
        Err(OriginError::Unsound { .. }) => Reply::Good,
        Err(error) if error.fault() != Fault::Origin => Reply::Unknown,
        Ok(_) | Err(_) if is_hindered => Reply::Unknown,
        Ok(_) | Err(_) => Reply::Bad,
    }
}

/// A copy of a request that has no content.
fn copy(request: &Request<Body>) -> Request<Body> {
    let mut copy = Request::new(body::empty());
    *copy.method_mut() = Method::clone(request.method());
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

impl Origin for Shield {
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        Box::pin(async move { self.ask(request).await.map(Sound::into_response) })
    }

    fn start(&self) {
        self.origin.start();
    }

    fn report(&self) -> OriginReport {
        self.origin.report()
    }
}

impl std::fmt::Debug for Shield {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shield").field("tenant", &self.watcher.tenant).finish_non_exhaustive()
    }
}
