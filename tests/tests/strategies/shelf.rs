//! An origin that holds what was put there, each time under the next version.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::body::{self, Body};
use sandbar::origin::{Origin, OriginError};
use sandbar_tests::origin::Gate;

/// The turns before and after a write, by its number.
pub(crate) type Pauses = fn(usize) -> (usize, usize);

/// What the origin holds at a target, and how it behaves.
#[derive(Default)]
pub(crate) struct Shelf {
    held: Mutex<HashMap<String, (u64, String)>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    /// Fields of its responses, beside the entity tag: those to reads, and those to writes.
    pub(crate) of_reads: Mutex<HeaderMap>,
    pub(crate) of_writes: Mutex<HeaderMap>,
    /// The status of all responses to reads, or else what the shelf holds.
    pub(crate) reads_fail: Mutex<Option<StatusCode>>,
    before: Mutex<Option<Gate>>,
    after: Mutex<Option<Gate>>,
    pub(crate) reads_wait: Mutex<Option<Gate>>,
    /// The fields of the last read.
    pub(crate) last_read: Mutex<HeaderMap>,
    /// For how many turns of the scheduler each write pauses before it counts, and after it, by its number.
    pub(crate) pauses: Mutex<Option<Pauses>>,
}

impl Shelf {
    /// A shelf whose responses to reads have this `Cache-Control`, and those to writes a validator.
    pub(crate) fn new(cache_control: &'static str) -> Arc<Self> {
        let shelf = Self::default();
        shelf.of_reads.lock().insert("cache-control", cache_control.parse().expect("a value"));
        Arc::new(shelf)
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::SeqCst)
    }

    /// The version and content of a target.
    pub(crate) fn holds(&self, target: &str) -> (u64, String) {
        self.held.lock().get(target).cloned().unwrap_or_default()
    }

    /// Has the next write wait before it counts.
    pub(crate) fn hold_before_next_write(&self) -> Gate {
        hold(&self.before)
    }

    /// Has the next write wait for its answer once it counts.
    pub(crate) fn hold_after_next_write(&self) -> Gate {
        hold(&self.after)
    }

    async fn read(&self, request: Request<Body>) -> Response<Body> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let (version, content) = self.holds(request.uri().path());
        *self.last_read.lock() = request.headers().clone();
        let gate = self.reads_wait.lock().clone();
        if let Some(gate) = gate {
            gate.passed().await;
        }
        if let Some(status) = *self.reads_fail.lock() {
            return answer(Response::builder().status(status), &HeaderMap::new(), "no");
        }
        let response = Response::builder().header("etag", format!("\"{version}\""));
        answer(response, &self.of_reads.lock(), &content)
    }

    async fn write(&self, request: Request<Body>) -> Result<Response<Body>, body::BoxError> {
        let number = self.writes.fetch_add(1, Ordering::SeqCst);
        let (before, after) = (self.before.lock().take(), self.after.lock().take());
        let (first, then) = self.pauses.lock().map_or((0, 0), |pauses| pauses(number));
        let path = request.uri().path().to_owned();
        let method = request.method().clone();
        let content = request.into_body().collect().await?.to_bytes();
        pass(before, first).await;
        let version = {
            let mut held = self.held.lock();
            let held = held.entry(path).or_default();
            held.0 += 1;
            held.1 =
                if method == Method::DELETE { String::new() } else { String::from_utf8_lossy(&content).into_owned() };
            held.0
        };
        pass(after, then).await;
        let response = Response::builder().header("x-version", version).header("etag", format!("\"{version}\""));
        Ok(answer(response, &self.of_writes.lock(), "written"))
    }
}

fn hold(place: &Mutex<Option<Gate>>) -> Gate {
    let gate = Gate::closed();
    *place.lock() = Some(gate.clone());
    gate
}

async fn pass(gate: Option<Gate>, turns: usize) {
    if let Some(gate) = gate {
        gate.passed().await;
    }
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
}

fn answer(response: http::response::Builder, fields: &HeaderMap, content: &str) -> Response<Body> {
    let mut response = response.body(body::full(content.to_owned())).expect("a response");
    for (name, value) in fields {
        if value.is_empty() {
            response.headers_mut().remove(name);
        } else {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

impl Origin for Shelf {
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        Box::pin(async move {
            if matches!(*request.method(), Method::GET | Method::HEAD) {
                return Ok(self.read(request).await);
            }
            let written = self.write(request).await;
            written.map_err(|error| OriginError::Broken { origin: "shelf".into(), reason: error.to_string() })
        })
    }
}
