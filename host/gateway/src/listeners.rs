//! The listeners of one side, that of clients or that of operators: without TLS, with it, or both beside each other.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use sandbar::body::BoxError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::StartError;
use super::bounds::Bounded;
use super::listen::{Listener, Running};
use super::opening::{Opening, OpeningCounts, Peer};
use super::room::ConnectionCharge;
use super::tls::Certificates;

/// Where to listen.
pub(super) struct Place {
    /// A socket that listens already, if there is one.
    pub(super) socket: Option<std::net::TcpListener>,
    /// The address, which is bound where there is none.
    pub(super) address: SocketAddr,
    /// The setting that chooses the address.
    pub(super) setting: &'static str,
}

/// Listeners whose addresses are bound, and not served yet.
pub(super) struct Listeners {
    plain: Option<Listener>,
    tls: Option<(Listener, Arc<Certificates>)>,
}

impl Listeners {
    /// Takes over the sockets, or binds the addresses.
    ///
    /// # Errors
    /// For the first address that can't be listened at.
    pub(super) async fn open(
        plain: Option<Place>,
        tls: Option<(Place, Arc<Certificates>)>,
    ) -> Result<Self, StartError> {
        let open = async |Place { socket, address, setting }: Place| Listener::open(socket, address, setting).await;
        let plain = match plain {
            Some(place) => Some(open(place).await?),
            None => None,
        };
        let tls = match tls {
            Some((place, certificates)) => Some((open(place).await?, certificates)),
            None => None,
        };
        Ok(Self { plain, tls })
    }

    /// The sockets, without TLS and with it, for as long as connections are accepted there.
    pub(super) fn sockets(&self) -> [Option<Weak<TcpListener>>; 2] {
        let tls = self.tls.as_ref().map(|(listener, _)| listener);
        [self.plain.as_ref(), tls].map(|listener| listener.map(Listener::socket))
    }

    /// Serves the addresses within `bounded` together, until another process does so (`leave`); `service_for` makes the
    /// service of each connection.
    pub(super) fn run<F, S, B>(
        self,
        bounded: &Arc<Bounded>,
        counts: &Arc<OpeningCounts>,
        leave: &CancellationToken,
        service_for: F,
    ) -> RunningListeners
    where
        F: Fn(Peer, Arc<ConnectionCharge>) -> S + Send + Sync + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + Send,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let service_for = Arc::new(service_for);
        let opening = |certificates| Opening { certificates, counts: Arc::clone(counts) };
        let plain =
            self.plain.map(|listener| listener.run(bounded, opening(None), leave.clone(), Arc::clone(&service_for)));
        let tls = self.tls.map(|(listener, certificates)| {
            listener.run(bounded, opening(Some(certificates)), leave.clone(), Arc::clone(&service_for))
        });
        RunningListeners { plain, tls }
    }
}

/// Listeners that are served; dropping them stops them at once.
pub(super) struct RunningListeners {
    plain: Option<Running>,
    tls: Option<Running>,
}

impl RunningListeners {
    /// The address without TLS, if there is one.
    pub(super) fn plain_address(&self) -> Option<SocketAddr> {
        self.plain.as_ref().map(Running::address)
    }

    /// The address with TLS, if there is one.
    pub(super) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(Running::address)
    }

    /// Waits for the end of connections that are being left: see [`Running::leave`]. True where no request had to be cut.
    pub(super) async fn leave(self, grace: Duration) -> bool {
        let leave = async |listener: Option<Running>| match listener {
            Some(listener) => listener.leave(grace).await,
            None => true,
        };
        let (plain, tls) = tokio::join!(leave(self.plain), leave(self.tls));
        plain && tls
    }

    /// Accepts nothing more, waits up to `grace` for requests under way, then cuts the rest. True where none had to be
    /// cut.
    pub(super) async fn stop(self, grace: Duration) -> bool {
        let stop = async |listener: Option<Running>| match listener {
            Some(listener) => listener.stop(grace).await,
            None => true,
        };
        let (plain, tls) = tokio::join!(stop(self.plain), stop(self.tls));
        plain && tls
    }
}
