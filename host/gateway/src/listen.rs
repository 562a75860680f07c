//! A listener: accepts connections up to a bound, speaks HTTP/1.1 and HTTP/2 on them, and drains them when it stops.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use sandbar::body::BoxError;
use sandbar_http::client::Client;
use sandbar_http::semantics::request::Ambiguous;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::StartError;
use super::abrupt::{Abruptly, Ending};
use super::config::{LimitsConfig, ListenConfig};
use super::framing::{BothLengths, Framing};
use super::interim::{Interims, behind};
use super::room::{ConnectionCharge, Rooms};

/// Wait before the next connection where the operating system could not accept one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Wait before it is tried again whether the node's memory has room for a connection.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

/// HTTP/2 window of a stream, in bytes: how much content a client may send before it is read.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// HTTP/2 window of a connection, for all its streams together, in bytes: [`super::room`] charges no more.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 10;

/// How much of a response's content hyper buffers ahead of the stream's window, in bytes.
const SEND_BYTES_MAX: usize = 64 << 10;

/// How often an HTTP/2 client is pinged, and how long it may take to answer before its connection is ended.
const PING_EVERY: Duration = Duration::from_secs(20);

/// The limits of a listener's connections.
pub(super) struct Bounds {
    connections_max: usize,
    rooms: Rooms,
    head_deadline: Duration,
    interim_responses: bool,
    server: auto::Builder<TokioExecutor>,
}

impl Bounds {
    /// The limits that the settings give; connections take memory from `rooms`.
    pub(super) fn new(gateway: &ListenConfig, limits: &LimitsConfig, rooms: Rooms) -> Self {
        let head_bytes = limits.head_max.as_usize();
        let mut server = auto::Builder::new(TokioExecutor::new());
        server
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head_deadline.get())
            .max_headers(limits.fields_max.as_usize())
            .max_buf_size(head_bytes);
        server
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_EVERY)
            .max_concurrent_streams(limits.streams_max.get())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BYTES_MAX)
            .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX));
        Self {
            connections_max: limits.connections_max.as_usize().min(Semaphore::MAX_PERMITS),
            rooms,
            head_deadline: limits.head_deadline.get(),
            interim_responses: gateway.interim_responses,
            server,
        }
    }
}

/// The bounds of a listener, which may change while it runs: new connections have those of the moment.
pub(super) struct Bounded {
    present: ArcSwap<Bounds>,
    slots: Arc<Semaphore>,
}

impl Bounded {
    fn new(bounds: Bounds) -> Self {
        let slots = Arc::new(Semaphore::new(bounds.connections_max));
        Self { present: ArcSwap::from_pointee(bounds), slots }
    }

    /// Gives connections that come from now on other bounds.
    pub(super) fn change(&self, to: Bounds) {
        let (before, after) = (self.present.load().connections_max, to.connections_max);
        self.present.store(Arc::new(to));
        if after > before {
            self.slots.add_permits(after - before);
        }
        let too_many = u32::try_from(before.saturating_sub(after)).unwrap_or(u32::MAX);
        if too_many > 0 {
            // In the queue before whoever wants to be accepted next: nobody is, until so many connections have ended.
            let slots = Arc::clone(&self.slots);
            tokio::spawn(async move {
                if let Ok(gone) = slots.acquire_many_owned(too_many).await {
                    gone.forget();
                }
            });
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// A number that no other connection has.
    pub(super) connection: u64,
    pub(super) address: SocketAddr,
}

impl Peer {
    fn new(address: SocketAddr) -> Self {
        Self { connection: Client::next_connection(), address }
    }
}

/// An address that is listened at, and not served yet.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes over a socket that listens already or, where there is none, binds an address; errors name `setting` as what
    /// chooses the address.
    pub(super) async fn open(
        socket: Option<std::net::TcpListener>,
        address: SocketAddr,
        setting: &'static str,
    ) -> Result<Self, StartError> {
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AddrInUse => StartError::InUse { address, setting },
            _ => StartError::Listen { address, reason: error.to_string(), setting },
        };
        let socket = match socket {
            Some(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
            None => TcpListener::bind(address).await,
        };
        let socket = socket.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Serves the address in tasks of its own; `service_for` makes the service of each connection.
    pub(super) fn run<S, B>(
        self,
        bounds: Bounds,
        service_for: impl Fn(Peer, Arc<ConnectionCharge>) -> S + Send + 'static,
    ) -> Running
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + Send,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let cut = CancellationToken::new();
        // A child of `cut`: cutting stops the accepting too, so a listener that is dropped accepts nothing more.
        let stop = cut.child_token();
        let connections = TaskTracker::new();
        let bounds = Arc::new(Bounded::new(bounds));
        let (tracker, address, live) = (connections.clone(), self.address, Arc::clone(&bounds));
        let ends = (stop.clone(), cut.clone());
        connections.spawn(async move {
            let (stop, cut) = ends;
            while let Some(room) = room(&live, &stop).await
                && let Some((stream, peer, slot)) = accept(&self.socket, &live.slots, &stop).await
            {
                // A connection that has switched to another protocol counts until it ends.
                let held = (slot, tracker.token());
                let service = service_for(Peer::new(peer), Arc::clone(&room));
                let kept = Kept { bounds: live.present.load_full(), stop: stop.clone(), cut: cut.clone() };
                tracker.spawn(kept.serve(stream, room, held, service));
            }
        });
        Running { address, bounds, connections, stop, cut: cut.drop_guard() }
    }
}

/// Waits for memory for a connection; until there is some, clients wait to be accepted. None when it is time to stop.
async fn room(bounds: &Bounded, stop: &CancellationToken) -> Option<Arc<ConnectionCharge>> {
    loop {
        if let Some(room) = bounds.present.load().rooms.connection() {
            return Some(room);
        }
        if tokio::time::timeout(ROOM_PAUSE, stop.cancelled()).await.is_ok() {
            return None;
        }
    }
}

/// Waits for a place below the bound, then for a connection. None when it is time to stop.
async fn accept(
    socket: &TcpListener,
    slots: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = tokio::select! {
        slot = Arc::clone(slots).acquire_owned() => slot.ok()?,
        () = stop.cancelled() => return None,
    };
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = stop.cancelled() => return None,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return Some((stream, peer, slot));
            }
            Err(error) => {
                // The connection is gone already, or no file descriptor is left: the next attempt may succeed.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What a listener keeps for each connection to copy.
#[derive(Clone)]
struct Kept {
    bounds: Arc<Bounds>,
    stop: CancellationToken,
    cut: CancellationToken,
}

impl Kept {
    async fn serve<S, B>(
        self,
        stream: TcpStream,
        room: Arc<ConnectionCharge>,
        held: (OwnedSemaphorePermit, TaskTrackerToken),
        service: S,
    ) where
        S: Service<Request<Incoming>, Response = Response<B>> + Send,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + Send,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let interims = Interims::default();
        let (both_lengths, requests) = (BothLengths::default(), AtomicU64::new(0));
        let (abruptly, is_old) = (Abruptly::default(), Arc::new(AtomicBool::new(false)));
        let stream = Ending::of(stream, abruptly.clone());
        let stream = TokioIo::new(interims.over(stream, Framing::new(both_lengths.clone()), room, held));
        let begun = Arc::new(AtomicBool::new(false));
        let (noted, interim_responses) = (Arc::clone(&begun), self.bounds.interim_responses);
        let asked_in_old = Arc::clone(&is_old);
        let service = service_fn(move |mut request: Request<Incoming>| {
            noted.store(true, Ordering::Relaxed);
            asked_in_old.store(request.version() < Version::HTTP_11, Ordering::Relaxed);
            if both_lengths.has(requests.fetch_add(1, Ordering::Relaxed)) {
                request.extensions_mut().insert(Ambiguous::BothLengths);
            }
            // RFC 9110 section 15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client".
            let turn = (interim_responses && request.version() == Version::HTTP_11).then(|| {
                let (interim, turn) = interims.begin();
                request.extensions_mut().insert(interim);
                turn
            });
            behind(service.call(request), turn)
        });
        let mut connection = pin!(self.bounds.server.serve_connection_with_upgrades(stream, service));
        let mut silence = pin!(tokio::time::sleep(self.bounds.head_deadline));
        let (mut stopping, mut waiting) = (false, true);
        loop {
            tokio::select! {
                biased;
                () = self.cut.cancelled() => return,
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        let broke_off = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_user);
                        abruptly.set(broke_off && is_old.load(Ordering::Relaxed));
                        tracing::debug!(%error, "a client connection ended with an error");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                // hyper's own deadline starts when it knows the protocol: for a client that sends nothing there is
                // none.
                () = silence.as_mut(), if waiting => {
                    waiting = false;
                    if !begun.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }
    }
}

/// A listener that is served; dropping it stops it at once.
pub(super) struct Running {
    address: SocketAddr,
    bounds: Arc<Bounded>,
    connections: TaskTracker,
    stop: CancellationToken,
    cut: DropGuard,
}

impl Running {
    /// The address listened at, with the port that was taken where port 0 was asked for.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its bounds, which may be changed.
    pub(super) fn bounded(&self) -> Arc<Bounded> {
        Arc::clone(&self.bounds)
    }

    /// Accepts nothing more, waits up to `grace` for requests under way, then cuts the rest. True where none had to be
    /// cut.
    pub(super) async fn stop(self, grace: Duration) -> bool {
        self.stop.cancel();
        self.connections.close();
        let drained = tokio::time::timeout(grace, self.connections.wait()).await.is_ok();
        drop(self.cut);
        self.connections.wait().await;
        drained
    }
}
