//! The two sides of a gateway, clients and operators: the listeners of each, and what is served at them. Both follow
//! the settings when these are reloaded.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::service::TowerToHyperService;
use sandbar::body::{Body, Whole};
use sandbar::setting::Count;
use sandbar_base::memory_budget::MemoryBudget;
use sandbar_http::client::TrustedProxies;
use tokio_util::sync::CancellationToken;

use crate::access::Logged;
use crate::admin::{self, Admin, ClientCertificate, Outdated};
use crate::bounds::{Bounded, Bounds};
use crate::config::{GatewayConfig, LimitsConfig, TlsConfig};
use crate::error::StartError;
use crate::front::Front;
use crate::handover::Shared;
use crate::listeners::{Listeners, Place, RunningListeners};
use crate::opening::{OpeningCounts, Peer};
use crate::reload::Reloads;
use crate::room::{ConnectionCharge, KEPT_STREAMS, Rooms, Sending};
use crate::sockets::Sockets;
use crate::tls::{Certificates, Served};

/// Takes over the sockets, or binds the addresses, of clients and of operators.
///
/// # Errors
/// For the first address that can't be listened at.
pub(super) async fn open(
    sockets: Sockets,
    config: &GatewayConfig,
    served: &Served,
) -> Result<(Listeners, Listeners), StartError> {
    let tls = |settings: &Option<TlsConfig>, served: &Option<Arc<Certificates>>, socket, setting| {
        let (settings, certificates) = settings.as_ref().zip(served.as_ref())?;
        Some((Place { socket, address: settings.listen, setting }, Arc::clone(certificates)))
    };
    let (socket, setting) = (sockets.gateway, "gateway.listen or --listen");
    let plain = config.plain_clients().map(|address| Place { socket, address, setting });
    let secure = tls(&config.gateway.tls, &served.clients, sockets.gateway_tls, "gateway.tls.listen");
    let clients = Listeners::open(plain, secure).await?;
    let (socket, setting) = (sockets.admin, "admin.listen or --admin");
    let plain = config.plain_operators().map(|address| Place { socket, address, setting });
    let secure = tls(&config.admin.tls, &served.operators, sockets.admin_tls, "admin.tls.listen");
    Ok((clients, Listeners::open(plain, secure).await?))
}

/// The sockets of both sides, for the process that takes this one's place; `activated` are the names of those that a
/// service manager opened.
pub(super) fn shared(clients: &Listeners, operators: &Listeners, activated: &[&str]) -> Vec<Shared> {
    let ([gateway, gateway_tls], [admin, admin_tls]) = (clients.sockets(), operators.sockets());
    let named = [("gateway", gateway), ("gateway-tls", gateway_tls), ("admin", admin), ("admin-tls", admin_tls)];
    let shared = named
        .into_iter()
        .filter_map(|(name, socket)| Some(Shared { name, is_activated: activated.contains(&name), socket: socket? }));
    shared.collect()
}

/// Answers clients, until another process does (`leave`).
pub(super) fn serve_clients(
    listeners: Listeners,
    front: &Arc<Front>,
    counts: &Arc<OpeningCounts>,
    config: &GatewayConfig,
    budget: &Arc<MemoryBudget>,
    leave: &CancellationToken,
    reloads: &Reloads,
) -> RunningListeners {
    let (front, following) = (Arc::clone(front), Arc::clone(front));
    reloads.follow(move |config| following.settings.store(Arc::new(config.into())));
    let budget = Arc::clone(budget);
    let bounds = move |config: &GatewayConfig| {
        let shared = Rooms::shared(&budget, config.limits.head_max.bytes());
        Bounds::new(&config.gateway, &config.limits, shared, config.gateway.proxy_protocol_from.clone())
    };
    let bounded = Arc::new(Bounded::new(bounds(config)));
    let running = listeners.run(&bounded, counts, leave, move |peer, connection| answering(&front, peer, connection));
    reloads.follow(move |config| bounded.change(bounds(config)));
    running
}

/// Answers the requests of one connection of a client.
pub(super) fn answering(
    front: &Arc<Front>,
    peer: Peer,
    connection: Arc<ConnectionCharge>,
) -> impl Service<Request<Incoming>, Response = Response<Sent>, Error = Infallible, Future: Send> + Send + use<> {
    let (front, peer) = (Arc::clone(front), Arc::new(peer));
    service_fn(move |request: Request<Incoming>| {
        let (front, peer, room) = (Arc::clone(&front), Arc::clone(&peer), connection.request(&request));
        // The answering is on the heap from the first poll: the task of an HTTP/2 stream keeps its largest size for
        // as long as its client reads, and hundreds of such tasks wait at once for their first poll.
        async move {
            let answering = Box::pin(front.answer_within(Whole::of(request), &peer, room));
            Ok::<_, Infallible>(answering.await)
        }
    })
}

/// The content of an answer on its way to a client.
type Sent = Sending<Logged<Body>>;

/// Answers operators, until another process does (`leave`).
pub(super) fn serve_operators(
    listeners: Listeners,
    admin: &Arc<Admin>,
    counts: &Arc<OpeningCounts>,
    config: &GatewayConfig,
    (rooms, connections_max): (Rooms, u32),
    leave: &CancellationToken,
    reloads: &Reloads,
) -> RunningListeners {
    let router = admin::router(Arc::clone(admin));
    let bounds = move |config: &GatewayConfig| {
        let limits = LimitsConfig {
            connections_max: Count::of(connections_max),
            streams_max: Count::of(KEPT_STREAMS),
            ..config.limits.clone()
        };
        Bounds::new(&config.gateway, &limits, rooms.clone(), TrustedProxies::default())
    };
    let bounded = Arc::new(Bounded::new(bounds(config)));
    let running = listeners.run(&bounded, counts, leave, move |peer, _room| {
        let secured = peer.secured;
        let service = TowerToHyperService::new(router.clone());
        service_fn(move |mut request: Request<Incoming>| {
            if secured.as_ref().is_some_and(|secured| secured.has_client_certificate()) {
                request.extensions_mut().insert(ClientCertificate);
            }
            if secured.as_ref().is_some_and(|secured| secured.is_outdated()) {
                request.extensions_mut().insert(Outdated);
            }
            service.call(Whole::of(request))
        })
    });
    reloads.follow(move |config| bounded.change(bounds(config)));
    running
}
