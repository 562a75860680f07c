//! The demo's origin: an HTTP server with a thread, a runtime and a socket of its own, in front of a slow database. It
//! counts its requests itself, so that the cache's figures can be checked against it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioIo, TokioTimer};
use sandbar_base::clock::Timestamp;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::aside::Aside;
use super::catalogue::Catalogue;
use super::random::{Random, mix};

/// The shortest and the longest time that the database takes to answer, in milliseconds; most answers are near the
/// first.
const LATENCY_MS: (f64, f64) = (5.0, 40.0);
const LATENCY_MEAN_MS: f64 = 12.0;
/// How many objects have a surrogate key in common.
const GROUP: u64 = 50;

/// The origin while it runs; dropping it stops it.
pub(super) struct Origin {
    doors: Vec<Arc<Door>>,
    _server: Aside,
}

/// One of the origin's listening sockets, each for other callers: so it counts their requests apart.
pub(super) struct Door {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    requests: AtomicU64,
    in_progress: AtomicU64,
}

impl Door {
    /// Requests that have arrived at this door.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests at this door that are being answered.
    pub(super) fn in_progress(&self) -> u64 {
        self.in_progress.load(Ordering::Relaxed)
    }
}

impl Origin {
    /// Opens one door per name, on free ports of the loopback interface; all of them serve the objects `ids`. Blocks
    /// while the database is filled in `directory`.
    pub(super) fn start(directory: &Path, ids: std::ops::Range<u64>, names: &[&str]) -> anyhow::Result<Self> {
        let catalogue = Arc::new(Catalogue::create(&directory.join("catalogue.redb"), ids)?);
        let mut doors = Vec::new();
        let mut listeners = Vec::new();
        for name in names {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            let (requests, in_progress) = (AtomicU64::new(0), AtomicU64::new(0));
            doors.push(Arc::new(Door { name: (*name).to_owned(), address, requests, in_progress }));
            listeners.push(listener);
        }
        let entrances: Vec<_> = doors.iter().cloned().zip(listeners).collect();
        let server = Aside::run("demo-origin", move |stop| serve(catalogue, entrances, stop))?;
        Ok(Self { doors, _server: server })
    }

    /// The door of this name.
    pub(super) fn door(&self, name: &str) -> Option<&Arc<Door>> {
        self.doors.iter().find(|door| door.name == name)
    }
}

async fn serve(catalogue: Arc<Catalogue>, entrances: Vec<(Arc<Door>, std::net::TcpListener)>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    for (door, listener) in entrances {
        let Ok(listener) = TcpListener::from_std(listener) else { continue };
        tasks.spawn(stop.clone().run_until_cancelled_owned(accept(
            Arc::clone(&catalogue),
            door,
            listener,
            tasks.clone(),
            stop.clone(),
        )));
    }
    tasks.close();
    stop.cancelled().await;
    tasks.wait().await;
}

async fn accept(
    catalogue: Arc<Catalogue>,
    door: Arc<Door>,
    listener: TcpListener,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Most likely there is no file descriptor left; some will be free again.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (catalogue, door) = (Arc::clone(&catalogue), Arc::clone(&door));
        let service = hyper::service::service_fn(move |request| {
            let (catalogue, door) = (Arc::clone(&catalogue), Arc::clone(&door));
            async move { Ok::<_, Infallible>(answer(&catalogue, &door, &request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        tasks.spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

async fn answer<B>(catalogue: &Catalogue, door: &Door, request: &Request<B>) -> Response<Full<Bytes>> {
    let number = door.requests.fetch_add(1, Ordering::Relaxed);
    door.in_progress.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(latency(number)).await;
    let response = look_up(catalogue, request);
    door.in_progress.fetch_sub(1, Ordering::Relaxed);
    response
}

/// How long the database takes for request `number`.
fn latency(number: u64) -> Duration {
    let over = Random::seeded(mix(number)).exponential(LATENCY_MEAN_MS - LATENCY_MS.0);
    Duration::from_secs_f64((LATENCY_MS.0 + over).min(LATENCY_MS.1) / 1000.0)
}

fn look_up<B>(catalogue: &Catalogue, request: &Request<B>) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(id) = request.uri().path().strip_prefix("/items/").and_then(|id| id.parse().ok()) else {
        return plain(StatusCode::NOT_FOUND);
    };
    let bytes = match catalogue.read(id) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return plain(StatusCode::NOT_FOUND),
        Err(_) => return plain(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let fields = fields(id);
    let unchanged = request.headers().get(IF_NONE_MATCH).is_some_and(|seen| Some(seen) == fields.get(ETAG));
    let mut response = if unchanged { plain(StatusCode::NOT_MODIFIED) } else { Response::new(Full::from(bytes)) };
    response.headers_mut().extend(fields);
    response
}

fn plain(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn fields(id: u64) -> HeaderMap {
    let mut fields = HeaderMap::new();
    // The objects never change, so any fixed time will do.
    let modified: SystemTime = Timestamp::from_millis(1_750_000_000_000 + id * 1000).into();
    let text = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=15, stale-while-revalidate=60"));
    fields.insert(ETAG, text(format!("\"{id}-1\"")));
    fields.insert(LAST_MODIFIED, text(httpdate::fmt_http_date(modified)));
    fields.insert("surrogate-key", text(format!("catalogue group-{}", id / GROUP)));
    fields
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::body;
    use super::super::client::Client;
    use super::*;

    #[tokio::test]
    async fn answers_over_a_socket_and_counts_per_door() {
        let directory = tempfile::tempdir().unwrap();
        let origin = Origin::start(directory.path(), 0..3, &["front", "side"]).unwrap();
        let front = origin.door("front").unwrap();
        let mut client = Client::new(front.address, "shop.demo");
        let answer = client.get("/items/2").await.unwrap();
        assert_eq!((answer.status, answer.body.as_ref()), (StatusCode::OK, body(2).as_slice()));
        assert_eq!(client.get("/items/3").await.unwrap().status, StatusCode::NOT_FOUND);
        assert_eq!((front.requests(), front.in_progress()), (2, 0));
        assert_eq!(origin.door("side").unwrap().requests(), 0);
    }

    #[test]
    fn the_database_is_slow_but_not_too_slow() {
        let mut latencies: Vec<_> = (0..10_000).map(latency).collect();
        latencies.sort_unstable();
        assert!(latencies[0] >= Duration::from_millis(5) && latencies[9_999] <= Duration::from_millis(40));
        assert!((9.0..11.0).contains(&(latencies[5_000].as_secs_f64() * 1000.0)), "median {:?}", latencies[5_000]);
    }
}
