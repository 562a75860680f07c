//! The gateway: listeners for clients and operators around a cache, put together from settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::service::TowerToHyperService;
use sandbar::body::Whole;
use sandbar::cache::Cache;
use sandbar::memory_budget::keeper::Keeper;
use sandbar::setting::Count;
use sandbar_base::memory_budget::Reserved;
use sandbar_http::client::TrustedProxies;
use tokio_util::sync::DropGuard;

use crate::config::{ADMIN_TLS, ConfigError, GATEWAY_TLS, GatewayConfig, LimitsConfig, TlsConfig};
use crate::error::StartError;
use crate::front::Front;
use crate::listen::Bounds;
use crate::listeners::{Listeners, RunningListeners};
use crate::opening::Opening;
use crate::room::{KEPT_STREAMS, Rooms};
use crate::tls::{CertificateChanges, Certificates};
use crate::{admin, assemble, ready};

/// A gateway that runs. Dropped without [`Gateway::shutdown`] it stops at once.
pub struct Gateway {
    cache: Cache,
    clients: RunningListeners,
    admin: RunningListeners,
    admin_state: Arc<admin::Admin>,
    /// Ends all tunnels when it is dropped: none of them would end by itself.
    tunnels: DropGuard,
    /// Shrinks and grows L1 with the machine's memory, while the gateway runs.
    _keeper: Keeper,
    /// The charge for the cache's own tables.
    _tables: Reserved,
}

/// Starts a gateway: checks the settings, binds its addresses, opens the tiers, compiles the policies, and only then
/// accepts the first connection. An origin or a Redis that can't be reached is a warning in the log, not an error.
///
/// # Errors
/// When the gateway can't work as configured: one sentence with what to do.
pub async fn start(config: GatewayConfig) -> Result<Gateway, StartError> {
    let mut ready = ready::ready(config).await?;
    let (config, token) = (ready.config.clone(), ready.token.take());
    for note in config.notes().into_iter().chain(ready.notes()) {
        tracing::warn!("{note}");
    }
    let (clients, operators) = bind(&config, &ready.tls).await?;
    let (rooms, connections_max) = ready.operators.clone();
    let shared = Rooms::shared(&ready.budget, config.limits.head_max.bytes());
    let parts = assemble::assemble(ready).await?;
    let bounds = Bounds::new(&config.gateway, &config.limits, shared);
    let operators_limits = LimitsConfig {
        connections_max: Count::of(connections_max),
        streams_max: Count::of(KEPT_STREAMS),
        ..config.limits.clone()
    };
    let operators_bounds = Bounds::new(&config.gateway, &operators_limits, rooms);
    let front = Arc::new(Front {
        cache: parts.cache.clone(),
        hosts: parts.hosts,
        scheme: config.gateway.scheme.to_uri(),
        default_host: config.gateway.default_host.clone(),
        access: config.log.access,
        begin_deadline: config.limits.head_deadline.get(),
        trusted_proxies: config.gateway.trusted_proxies.clone(),
    });
    let body_bytes_max = config.limits.admin_body_max.bytes();
    let opening = Opening {
        proxies: config.gateway.proxy_protocol_from.clone(),
        certificates: None,
        deadline: config.limits.head_deadline.get(),
        counts: Arc::default(),
    };
    let operators_opening = Opening { proxies: TrustedProxies::default(), counts: Arc::default(), ..opening.clone() };
    let openings = [("clients", &opening), ("operators", &operators_opening)];
    let openings = openings.map(|(side, opening)| (side, Arc::clone(&opening.counts)));
    let schemes = config.schemes();
    let admin_state = Arc::new(admin::Admin::new(parts.cache.clone(), schemes, token, body_bytes_max, openings));
    let clients = clients.run(&bounds, opening, move |peer, connection| {
        let (front, peer) = (Arc::clone(&front), Arc::new(peer));
        service_fn(move |request: http::Request<Incoming>| {
            let (front, peer, room) = (Arc::clone(&front), Arc::clone(&peer), connection.request(&request));
            // The answering is on the heap from the first poll: the task of an HTTP/2 stream keeps its largest size for
            // as long as its client reads, and hundreds of such tasks wait at once for their first poll.
            async move {
                let answering = Box::pin(front.answer_within(Whole::of(request), &peer, room));
                Ok::<_, std::convert::Infallible>(answering.await)
            }
        })
    });
    let router = admin::router(Arc::clone(&admin_state));
    let admin = operators.run(&operators_bounds, operators_opening, move |peer, _room| {
        let certified = peer.secured.is_some_and(|secured| secured.has_client_certificate());
        let service = TowerToHyperService::new(router.clone());
        service_fn(move |mut request: http::Request<Incoming>| {
            if certified {
                request.extensions_mut().insert(admin::ClientCertificate);
            }
            service.call(Whole::of(request))
        })
    });
    tracing::info!(
        listen = ?clients.plain_address(),
        tls = ?clients.tls_address(),
        admin = ?admin.plain_address(),
        admin_tls = ?admin.tls_address(),
        "listening"
    );
    let tunnels = parts.cache.ends_tunnels();
    Ok(Gateway {
        cache: parts.cache,
        tunnels,
        clients,
        admin,
        admin_state,
        _keeper: parts.keeper,
        _tables: parts.tables,
    })
}

/// Binds the listeners of clients, and those of operators.
async fn bind(
    config: &GatewayConfig,
    [clients, operators]: &[Option<Arc<Certificates>>; 2],
) -> Result<(Listeners, Listeners), StartError> {
    let tls = |settings: &Option<TlsConfig>, certificates: &Option<Arc<Certificates>>, setting| {
        let (settings, certificates) = settings.as_ref().zip(certificates.as_ref())?;
        Some(((settings.listen, setting), Arc::clone(certificates)))
    };
    let plain = config.plain_clients().map(|address| (address, "gateway.listen or --listen"));
    let clients = Listeners::bind(plain, tls(&config.gateway.tls, clients, "gateway.tls.listen")).await?;
    let plain = config.plain_operators().map(|address| (address, "admin.listen or --admin"));
    let operators = Listeners::bind(plain, tls(&config.admin.tls, operators, "admin.tls.listen")).await?;
    Ok((clients, operators))
}

/// Checks whether [`start`] would take these settings, and leaves nothing behind. It does not find out what only a
/// start can: whether the ports are free, whether another process has the directory of the disk tier, what a Redis
/// answers. Returns a sentence for each thing that is odd about the files that the settings name.
///
/// # Errors
/// The error of [`start`].
pub async fn check(config: GatewayConfig) -> Result<Vec<String>, StartError> {
    ready::ready(config).await.map(|ready| ready.notes())
}

impl Gateway {
    /// The address that clients are listened for at: without TLS or, where there is only TLS, with it.
    ///
    /// # Panics
    /// Never: there is one or the other.
    pub fn listen_addr(&self) -> SocketAddr {
        self.clients.plain_address().or_else(|| self.clients.tls_address()).expect("clients are listened for")
    }

    /// The address that clients are listened for at with TLS, if there is one.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.clients.tls_address()
    }

    /// The address of the admin listener without TLS; none where that is off.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.plain_address()
    }

    /// The address of the admin listener with TLS, if there is one.
    pub fn admin_tls_addr(&self) -> Option<SocketAddr> {
        self.admin.tls_address()
    }

    /// Reads the certificates, keys and authorities of these settings and serves them from the next handshake on:
    /// those of all listeners or, where one file can't be used, none of them. Connections that are open stay as they
    /// are. Listeners and their addresses are those of the start.
    ///
    /// # Errors
    /// For the first file that can't be used; then nothing has changed.
    pub fn reload_certificates(&self, config: &GatewayConfig) -> Result<Vec<CertificateChanges>, ConfigError> {
        let settings = |section: &str| match section {
            GATEWAY_TLS => config.gateway.tls.as_ref(),
            ADMIN_TLS => config.admin.tls.as_ref(),
            _ => None,
        };
        let served = [self.clients.certificates(), self.admin.certificates()].into_iter().flatten();
        let configured = served.filter_map(|served| Some((served, settings(served.section())?)));
        let read = configured.map(|(served, settings)| Ok((served, served.read(settings)?)));
        let read: Vec<_> = read.collect::<Result<_, ConfigError>>().map_err(|error| error.placed(&config.source))?;
        let now = self.cache.clock().now();
        Ok(read.into_iter().map(|(served, table)| served.replace(table, now)).collect())
    }

    /// The cache behind the listeners.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Stops the gateway: accepts no further connection, ends tunnels, lets requests under way end within `grace`, cuts
    /// the rest, and waits until all fetched responses are stored, again for `grace` at most. The admin API answers
    /// until the clients are done (`/readyz` with 503). Returns true where no request had to be cut.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.admin_state.drain_begins();
        drop(self.tunnels);
        let drained = self.clients.stop(grace).await;
        if tokio::time::timeout(grace, self.cache.drain()).await.is_err() {
            tracing::warn!("stopped before everything that was fetched could be stored");
        }
        self.admin.stop(Duration::from_secs(1)).await;
        drained
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (listen, admin) = (self.listen_addr(), self.admin_addr());
        f.debug_struct("Gateway").field("listen", &listen).field("admin", &admin).finish_non_exhaustive()
    }
}
