//! An origin that does what a test says, over real sockets: it answers, waits, holds back, breaks off, and counts.
//!
//! ```
//! use sandbar_tests::origin::{Origin, Reply};
//!
//! # #[tokio::main]
//! # async fn main() -> anyhow::Result<()> {
//! let origin = Origin::start(|request| match request.path() {
//!     "/a" => Reply::ok("hello").field("cache-control", "max-age=60"),
//!     _ => Reply::status(404),
//! })
//! .await?;
//! let answer = sandbar_tests::client::Client::new(origin.address(), "shop.test").get("/a").await?;
//! assert_eq!(answer.text(), "hello");
//! assert_eq!(origin.requests(), 1);
//! # Ok(()) }
//! ```

mod reply;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use reply::{Gate, Reply};

/// How many requests are remembered.
const SEEN_MAX: usize = 10_000;

/// A running origin. Dropping it closes its socket and all connections.
pub struct Origin {
    address: SocketAddr,
    script: Arc<Script>,
    /// The listener and the connections, while it runs.
    server: Option<JoinSet<()>>,
}

struct Script {
    answer: Box<dyn Fn(&Seen) -> Reply + Send + Sync>,
    requests: AtomicU64,
    seen: Mutex<Vec<Seen>>,
}

/// A request as it reached the origin, its content read to the end.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request's number, from 0 on.
    pub number: u64,
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its content; none where it broke off.
    pub body: Option<Bytes>,
}

impl Seen {
    /// The path of its target.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The first value of a field; none where there is none that is text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.to_str().ok()
    }
}

impl Origin {
    /// Starts an origin on a free port of the loopback interface.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for the origin")?;
        let (requests, seen) = (AtomicU64::new(0), Mutex::default());
        let script = Arc::new(Script { answer: Box::new(answer), requests, seen });
        let mut origin = Self { address: listener.local_addr()?, script, server: None };
        origin.serve(listener);
        Ok(origin)
    }

    /// Closes its socket and all connections, in the middle of whatever they do.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Listens again on the same port after [`Self::stop`].
    ///
    /// # Errors
    /// When the port was taken meanwhile.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.address).await.context("the origin's port again")?;
        self.serve(listener);
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.script.requests.load(Ordering::SeqCst)
    }

    /// The requests so far, in the order in which their content was complete; the first ten thousand.
    pub fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().clone()
    }

    /// The requests so far for a path.
    pub fn requests_for(&self, path: &str) -> usize {
        self.script.seen.lock().iter().filter(|seen| seen.path() == path).count()
    }

    fn serve(&mut self, listener: TcpListener) {
        let script = Arc::clone(&self.script);
        let mut server = JoinSet::new();
        server.spawn(async move {
            // Owned by this task: when it is aborted, so are the connections.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let script = Arc::clone(&script);
                let service = service_fn(move |request| answer(Arc::clone(&script), request));
                let mut server = hyper::server::conn::http1::Builder::new();
                let connection =
                    server.timer(TokioTimer::new()).half_close(true).serve_connection(TokioIo::new(stream), service);
                connections.spawn(async move {
                    // A reply that is told to break off ends the connection with an error.
                    let _ = connection.await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        self.server = Some(server);
    }
}

async fn answer(script: Arc<Script>, request: Request<Incoming>) -> anyhow::Result<http::Response<reply::Content>> {
    let number = script.requests.fetch_add(1, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
    let seen = Seen { number, method: parts.method, uri: parts.uri, fields: parts.headers, body };
    {
        let mut all = script.seen.lock();
        if all.len() < SEEN_MAX {
            all.push(seen.clone());
        }
    }
    (script.answer)(&seen).send().await
}
