//! A fill whose origin is a loader: code of the program that brings a value. All else is as for a fill by HTTP: L2 is looked
//! into, one node of a fleet has the turn, a purge meanwhile hides what comes, and the fill belongs to no caller.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use http::Response;
use sandbar_base::memory_budget::Content;
use sandbar_base::panic_text;
use sandbar_http::entry::StoredResponse;
use sandbar_http::semantics::Times;

use super::lease::{FetchEnd, Turn};
use super::{Fill, Fills};
use crate::cached::{Began, Decoded};
use crate::collapse::fetch::Obligation;
use crate::collapse::load::{LoadFailure, LoadOutcome};
use crate::origin::{OriginError, Progress, Urgency};
use crate::request::{CacheRequest, Purpose};
use crate::storability::{Received, Withheld};
use crate::store::found::Found;
use crate::tenant::counters::count;

/// What a loader has brought: the value as it is stored, and as it is used.
pub(crate) struct Loaded {
    /// Status and fields say how the value is kept; the content is the encoded value.
    pub(crate) response: Response<Content>,
    pub(crate) decoded: Decoded,
}

/// When a loader was called, and how long it took.
#[derive(Clone, Copy)]
struct Took {
    times: Times,
    fetch_time: Duration,
}

/// The program's own code that brings a value.
pub(crate) type Load = Box<dyn FnOnce() -> BoxFuture<'static, Result<Loaded, LoadFailure>> + Send>;

impl Fills {
    /// Runs a load in a task of its own.
    pub(crate) fn start_load(self: &Arc<Self>, fill: Fill, load: Load, obligation: Obligation<LoadOutcome>) {
        let fills = Arc::clone(self);
        self.tasks.spawn(async move { fills.run_load(fill, load, obligation).await });
    }

    async fn run_load(&self, mut fill: Fill, load: Load, obligation: Obligation<LoadOutcome>) {
        let lease = match self.look_then_turn(&mut fill, obligation.progress()).await {
            Turn::Found(found) | Turn::Confirmed(found) => return obligation.fulfil(LoadOutcome::Found(found)),
            Turn::Left => return,
            Turn::Mine(lease) => lease,
            Turn::Alone => {
                let began = self.store.begin(&fill.request);
                let outcome = self.load(&fill.request, fill.purpose, load, began, &obligation).await;
                return settle(fill.purpose, outcome, &obligation);
            }
        };
        let began = Began { token: Some(lease.token()), ..self.store.begin(&fill.request) };
        let outcome = lease.during(self.load(&fill.request, fill.purpose, load, began, &obligation)).await;
        settle(fill.purpose, outcome, &obligation);
        self.give_back(lease, FetchEnd::Done).await;
    }

    /// Runs one load of several values in a task of its own: `loading` brings them in the order of the requests. It takes no turn
    /// among the nodes of a fleet, as each of its keys might be another node's.
    pub(crate) fn start_batch(
        self: &Arc<Self>,
        batch: Vec<(Arc<CacheRequest>, Obligation<LoadOutcome>)>,
        purpose: Purpose,
        loading: BoxFuture<'static, Result<Vec<Loaded>, LoadFailure>>,
    ) {
        let fills = Arc::clone(self);
        self.tasks.spawn(async move { fills.run_batch(batch, purpose, loading).await });
    }

    async fn run_batch(
        &self,
        batch: Vec<(Arc<CacheRequest>, Obligation<LoadOutcome>)>,
        purpose: Purpose,
        loading: BoxFuture<'static, Result<Vec<Loaded>, LoadFailure>>,
    ) {
        let Some((first, leader)) = batch.first() else { return };
        let began: Vec<_> = batch.iter().map(|(request, _)| self.store.begin(request)).collect();
        let loaded = self.call(first, purpose, leader.progress(), loading).await;
        batch.iter().for_each(|(_, obligation)| obligation.progress().is_answered());
        let (loaded, took) = match loaded {
            Ok(loaded) => loaded,
            Err(failure) => {
                let failed = || LoadOutcome::Failed(failure.clone());
                return batch.iter().for_each(|(_, obligation)| settle(purpose, failed(), obligation));
            }
        };
        let stored = batch.iter().zip(began).zip(loaded).map(|(((request, obligation), began), loaded)| async move {
            let found = self.take_in_loaded(request, loaded, took, began).await;
            obligation.fulfil(LoadOutcome::Loaded(found));
        });
        join_all(stored).await;
    }

    /// Calls the loader, and stores what it brings if that may be stored.
    async fn load(
        &self,
        request: &Arc<CacheRequest>,
        purpose: Purpose,
        load: Load,
        began: Began,
        obligation: &Obligation<LoadOutcome>,
    ) -> LoadOutcome {
        let loaded = self.call(request, purpose, obligation.progress(), load()).await;
        obligation.progress().is_answered();
        match loaded {
            Ok((loaded, took)) => LoadOutcome::Loaded(self.take_in_loaded(request, loaded, took, began).await),
            Err(failure) => LoadOutcome::Failed(failure),
        }
    }

    /// Calls a loader behind the protection of its name's loads; a panic is an error of its own.
    async fn call<T>(
        &self,
        request: &CacheRequest,
        purpose: Purpose,
        progress: &Progress,
        loading: impl Future<Output = Result<T, LoadFailure>> + Send,
    ) -> Result<(T, Took), LoadFailure> {
        let (requested, started) = (self.clock.now(), self.clock.monotonic());
        let urgency = if purpose == Purpose::Refresh { Urgency::Background } else { Urgency::Awaited };
        let name = request.form.as_ref().map_or("", |form| form.name());
        let caught = AssertUnwindSafe(loading).catch_unwind();
        let loading = async { caught.await.unwrap_or_else(|panic| Err(panicked(panic.as_ref()))) };
        let shield = request.tenant.load_shield(name);
        let loaded = shield.load(urgency, progress, loading).await.unwrap_or_else(|error| {
            request.tell_of(&error);
            Err(LoadFailure::NotLoaded(Arc::new(error)))
        });
        let was_called = !matches!(&loaded, Err(LoadFailure::NotLoaded(error)) if OriginError::is_refusal(error));
        if purpose == Purpose::Refresh && was_called {
            count(&request.tenant.counters.origin_refreshes);
        }
        let times = Times { requested, received: self.clock.now() };
        let took = Took { times, fetch_time: self.clock.monotonic().saturating_sub(started) };
        loaded.map(|loaded| (loaded, took)).inspect_err(|failure| tell_of(request, failure))
    }

    /// Stores a value that was loaded, if it may be stored; it is for those who wait in any case.
    async fn take_in_loaded(
        &self,
        request: &CacheRequest,
        loaded: Loaded,
        Took { times, fetch_time }: Took,
        began: Began,
    ) -> Found {
        let Loaded { response, decoded } = loaded;
        let (head, body) = response.into_parts();
        let body_bytes = Some(decoded.encoded_bytes);
        let received = Received { status: head.status, fields: &head.headers, body_bytes, times, fetch_time };
        match request.storability(&received, began.sequence) {
            Ok(shareable) => {
                let whole = shareable.with(|stored| StoredResponse { body, ..stored });
                self.store.put_as(request, whole, Some(decoded), began).await
            }
            Err(Withheld { stored, why }) => {
                request.withheld(why);
                self.store.unstored_as(*stored, Some(decoded), began)
            }
        }
    }
}

/// Gives the outcome of a load to those who wait. A refresh that was not even begun is no failure for them: the obligation,
/// dropped, passes to one of them.
fn settle(purpose: Purpose, outcome: LoadOutcome, obligation: &Obligation<LoadOutcome>) {
    let was_refused = matches!(&outcome, LoadOutcome::Failed(LoadFailure::NotLoaded(error)) if error.is_refusal());
    if purpose != Purpose::Refresh || !was_refused {
        obligation.fulfil(outcome);
    }
}

fn tell_of(request: &CacheRequest, failure: &LoadFailure) {
    let (tenant, target) = (&*request.tenant.name, &request.target);
    match failure {
        LoadFailure::Loader { text, .. } => tracing::debug!(tenant, target, error = &**text, "a loader failed"),
        LoadFailure::Panicked(text) => tracing::error!(tenant, target, panic = &**text, "a loader panicked"),
        LoadFailure::NotLoaded(_) => {}
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> LoadFailure {
    LoadFailure::Panicked(panic_text(panic).unwrap_or("it gave no reason").into())
}
