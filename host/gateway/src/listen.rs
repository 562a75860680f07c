//! A listener: accepts connections up to a bound, has them opened and served, and drains them when it stops or another
//! process accepts in its place.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use sandbar::body::BoxError;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::StartError;
use super::bounds::{Bounded, Bounds};
use super::connection::{Accepted, Common, Until};
use super::opening::{Opening, Peer};
use super::room::ConnectionCharge;

/// Wait before the next connection where the operating system could not accept one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections are accepted at most once it is time to stop: as many as may wait at a socket by default.
const LAST_MAX: usize = 4096;

/// How long to wait for one of them: they are there already.
const LAST_WAIT: Duration = Duration::from_millis(5);

/// Wait before it is tried again whether the node's memory has room for a connection.
const ROOM_PAUSE: Duration = Duration::from_millis(50);

/// An address that is listened at, and not served yet.
pub(super) struct Listener {
    socket: Arc<TcpListener>,
    address: SocketAddr,
}

impl Listener {
    /// Takes over a socket that listens already or, where there is none, binds an address; errors name `setting` as
    /// what chooses the address.
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
        Ok(Self { socket: Arc::new(socket), address })
    }

    /// The socket, for as long as connections are accepted at it: it is owned by the task that accepts them.
    pub(super) fn socket(&self) -> Weak<TcpListener> {
        Arc::downgrade(&self.socket)
    }

    /// Serves the address in tasks of its own, until another process does so (`leave`); `service_for` makes the service of
    /// each connection.
    pub(super) fn run<F, S, B>(
        self,
        bounded: &Arc<Bounded>,
        opening: Opening,
        leave: CancellationToken,
        service_for: Arc<F>,
    ) -> Running
    where
        F: Fn(Peer, Arc<ConnectionCharge>) -> S + Send + Sync + 'static,
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
        let until = Until { leave, stop: stop.clone(), cut: cut.clone() };
        let connections = TaskTracker::new();
        let over_tls = opening.certificates.is_some();
        let common = Arc::new(Common { opening, service_for, until });
        let (tracker, address, bounded) = (connections.clone(), self.address, Arc::clone(bounded));
        connections.spawn(async move {
            // A listener without clients takes no place that another one of its side may need.
            while let Some((stream, address)) = accept(&self.socket, &common.until).await
                && let Some(slot) = place(bounded.slots(), &common.until.stop).await
                && let Some((bounds, room)) = room(&bounded, over_tls, &common.until.stop).await
            {
                let accepted = Accepted { stream, address, bounds, room, held: (slot, tracker.token()) };
                tracker.spawn(Arc::clone(&common).serve(accepted));
            }
            if common.until.stop.is_cancelled() && !common.until.leave.is_cancelled() {
                // No other process accepts at this socket any more, so who has connected already is answered here.
                accept_last(&self.socket, |stream, address| {
                    let slot = Arc::clone(bounded.slots()).try_acquire_owned().ok()?;
                    let bounds = bounded.present();
                    let room = bounds.rooms.connection(over_tls)?;
                    let accepted = Accepted { stream, address, bounds, room, held: (slot, tracker.token()) };
                    tracker.spawn(Arc::clone(&common).serve(accepted));
                    Some(())
                })
                .await;
            }
        });
        Running { address, connections, stop, cut: cut.drop_guard() }
    }
}

/// Accepts those who had connected before it was time to stop, until there are no more of them, or no place.
async fn accept_last(socket: &TcpListener, mut serve: impl FnMut(TcpStream, SocketAddr) -> Option<()>) {
    for _ in 0..LAST_MAX {
        let Ok(Ok((stream, address))) = tokio::time::timeout(LAST_WAIT, socket.accept()).await else { return };
        let _ = stream.set_nodelay(true);
        if serve(stream, address).is_none() {
            return;
        }
    }
}

/// Waits for a place below the bound. None when it is time to stop.
async fn place(slots: &Arc<Semaphore>, stop: &CancellationToken) -> Option<OwnedSemaphorePermit> {
    tokio::select! {
        slot = Arc::clone(slots).acquire_owned() => slot.ok(),
        () = stop.cancelled() => None,
    }
}

/// Waits for memory for a connection; until there is some, clients wait to be accepted. Returns it with the bounds of
/// the moment. None when it is time to stop.
async fn room(
    bounded: &Bounded,
    over_tls: bool,
    stop: &CancellationToken,
) -> Option<(Arc<Bounds>, Arc<ConnectionCharge>)> {
    loop {
        let bounds = bounded.present();
        if let Some(room) = bounds.rooms.connection(over_tls) {
            return Some((bounds, room));
        }
        if tokio::time::timeout(ROOM_PAUSE, stop.cancelled()).await.is_ok() {
            return None;
        }
    }
}

/// Waits for a connection. None when it is time to accept no more.
async fn accept(socket: &TcpListener, until: &Until) -> Option<(TcpStream, SocketAddr)> {
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = until.leave.cancelled() => return None,
            () = until.stop.cancelled() => return None,
        };
        match accepted {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                return Some((stream, peer));
            }
            Err(error) => {
                // The connection is gone already, or no file descriptor is left: the next attempt may succeed.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A listener that is served; dropping it stops it at once.
pub(super) struct Running {
    address: SocketAddr,
    connections: TaskTracker,
    stop: CancellationToken,
    cut: DropGuard,
}

impl Running {
    /// The address listened at, with the port that was taken where port 0 was asked for.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end of connections that are being left: those whose clients ask nothing for half of `grace` are
    /// closed. The rest is as with [`Self::stop`].
    pub(super) async fn leave(self, grace: Duration) -> bool {
        self.connections.close();
        let _ = tokio::time::timeout(grace / 2, self.connections.wait()).await;
        self.stop(grace / 2).await
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
