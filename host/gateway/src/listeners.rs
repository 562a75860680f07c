//! The listeners of one side, that of clients or that of operators: without TLS, with it, or both beside each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use sandbar::body::BoxError;

use super::StartError;
use super::listen::{Bounds, Listener, Running};
use super::opening::{Opening, Peer};
use super::room::ConnectionCharge;
use super::tls::Certificates;

/// An address to listen at, and the setting that chooses it.
pub(super) type Place = (SocketAddr, &'static str);

/// Listeners that are bound, and not served yet.
pub(super) struct Listeners {
    plain: Option<Listener>,
    tls: Option<(Listener, Arc<Certificates>)>,
}

impl Listeners {
    /// Binds the addresses.
    ///
    /// # Errors
    /// For the first address that can't be listened at.
    pub(super) async fn bind(
        plain: Option<Place>,
        tls: Option<(Place, Arc<Certificates>)>,
    ) -> Result<Self, StartError> {
        let plain = match plain {
            Some((address, setting)) => Some(Listener::bind(address, setting).await?),
            None => None,
        };
        let tls = match tls {
            Some(((address, setting), certificates)) => Some((Listener::bind(address, setting).await?, certificates)),
            None => None,
        };
        Ok(Self { plain, tls })
    }

    /// Serves the addresses; `service_for` makes the service of each connection.
    pub(super) fn run<F, S, B>(self, bounds: &Bounds, opening: Opening, service_for: F) -> RunningListeners
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
        let plain = self.plain.map(|listener| listener.run(bounds, opening.clone(), Arc::clone(&service_for)));
        let tls = self.tls.map(|(listener, certificates)| {
            let opening = Opening { certificates: Some(Arc::clone(&certificates)), ..opening };
            (listener.run(bounds, opening, service_for), certificates)
        });
        RunningListeners { plain, tls }
    }
}

/// Listeners that are served; dropping them stops them at once.
pub(super) struct RunningListeners {
    plain: Option<Running>,
    tls: Option<(Running, Arc<Certificates>)>,
}

impl RunningListeners {
    /// The address without TLS, if there is one.
    pub(super) fn plain_address(&self) -> Option<SocketAddr> {
        self.plain.as_ref().map(Running::address)
    }

    /// The address with TLS, if there is one.
    pub(super) fn tls_address(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|(listener, _)| listener.address())
    }

    /// The certificates that are served.
    pub(super) fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.tls.as_ref().map(|(_, certificates)| certificates)
    }

    /// Accepts nothing more, waits up to `grace` for requests under way, then cuts the rest. True where none had to be
    /// cut.
    pub(super) async fn stop(self, grace: Duration) -> bool {
        let stop = async |listener: Option<Running>| match listener {
            Some(listener) => listener.stop(grace).await,
            None => true,
        };
        let (plain, tls) = tokio::join!(stop(self.plain), stop(self.tls.map(|(listener, _)| listener)));
        plain && tls
    }
}
