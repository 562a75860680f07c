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
use tokio_util::sync::DropGuard;

use crate::access::AccessLog;
use crate::config::{GatewayConfig, LimitsConfig};
use crate::error::StartError;
use crate::front::Front;
use crate::listen::{Bounds, Listener, Running};
use crate::ready::{self, Ready};
use crate::room::{KEPT_STREAMS, Rooms};
use crate::{admin, assemble};

/// How long the access log may take at least to be written to its end when the gateway stops.
const LOG_GRACE_MIN: Duration = Duration::from_secs(1);

/// A gateway that runs. Dropped without [`Gateway::shutdown`] it stops at once.
pub struct Gateway {
    cache: Cache,
    clients: Running,
    admin: Option<Running>,
    admin_state: Arc<admin::Admin>,
    access: Option<Arc<AccessLog>>,
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
    for note in config.notes() {
        tracing::warn!("{note}");
    }
    let clients = Listener::bind(config.gateway.listen, "gateway.listen or --listen").await?;
    let operators = match config.admin.enabled {
        true => Some(Listener::bind(config.admin.listen, "admin.listen or --admin").await?),
        false => None,
    };
    let (rooms, connections_max) = ready.operators.clone();
    let access = access_log(&config, &ready)?;
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
        access: access.clone(),
        begin_deadline: config.limits.head_deadline.get(),
        trusted_proxies: config.gateway.trusted_proxies.clone(),
    });
    let admin_state = Arc::new(admin::Admin::new(parts.cache.clone(), &config, token, access.clone()));
    let clients = clients.run(&bounds, move |peer, connection| {
        let front = Arc::clone(&front);
        service_fn(move |request: http::Request<Incoming>| {
            let (front, room) = (Arc::clone(&front), connection.request(&request));
            // The answering is on the heap from the first poll: the task of an HTTP/2 stream keeps its largest size for
            // as long as its client reads, and hundreds of such tasks wait at once for their first poll.
            async move {
                let answering = Box::pin(front.answer_within(Whole::of(request), peer, room));
                Ok::<_, std::convert::Infallible>(answering.await)
            }
        })
    });
    let admin = operators.map(|listener| {
        let router = admin::router(Arc::clone(&admin_state));
        listener.run(&operators_bounds, move |_peer, _room| {
            let service = TowerToHyperService::new(router.clone());
            service_fn(move |request: http::Request<Incoming>| service.call(Whole::of(request)))
        })
    });
    tracing::info!(listen = %clients.address(), admin = ?admin.as_ref().map(Running::address), "listening");
    let tunnels = parts.cache.ends_tunnels();
    Ok(Gateway {
        cache: parts.cache,
        tunnels,
        clients,
        admin,
        admin_state,
        access,
        _keeper: parts.keeper,
        _tables: parts.tables,
    })
}

/// The access log, where one is wanted.
fn access_log(config: &GatewayConfig, ready: &Ready) -> Result<Option<Arc<AccessLog>>, StartError> {
    if !config.log.access.enabled {
        return Ok(None);
    }
    let (clock, budget) = (Arc::clone(&ready.clock), Arc::clone(&ready.budget));
    let no_room = || StartError::NoRoom { total_bytes: ready.budget.total_bytes() };
    AccessLog::open(&config.log.access, clock, budget).ok_or_else(no_room).map(Some)
}

/// Checks whether [`start`] would take these settings, and leaves nothing behind. It does not find out what only a
/// start can: whether the ports are free, whether another process has the directory of the disk tier, what a Redis
/// answers.
///
/// # Errors
/// The error of [`start`].
pub async fn check(config: GatewayConfig) -> Result<(), StartError> {
    ready::ready(config).await.map(drop)
}

impl Gateway {
    /// The address that clients are listened for at.
    pub const fn listen_addr(&self) -> SocketAddr {
        self.clients.address()
    }

    /// The address of the admin listener; none where that is off.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Running::address)
    }

    /// The cache behind the listeners.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Opens the file of the access log anew, after somebody has moved the old one away. Does nothing where there is none.
    pub fn reopen_logs(&self) {
        if let Some(access) = &self.access {
            access.reopen();
        }
    }

    /// Stops the gateway: accepts no further connection, ends tunnels, lets requests under way end within `grace`, cuts
    /// the rest, and waits until all fetched responses are stored, again for `grace` at most. The admin API answers
    /// until the clients are done (`/readyz` with 503). Returns true where no request had to be cut.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.admin_state.drain_begins();
        drop(self.tunnels);
        let drained = self.clients.stop(grace).await;
        if let Some(access) = &self.access {
            access.close(grace.max(LOG_GRACE_MIN)).await;
        }
        if tokio::time::timeout(grace, self.cache.drain()).await.is_err() {
            tracing::warn!("stopped before everything that was fetched could be stored");
        }
        if let Some(admin) = self.admin {
            admin.stop(Duration::from_secs(1)).await;
        }
        drained
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (listen, admin) = (self.listen_addr(), self.admin_addr());
        f.debug_struct("Gateway").field("listen", &listen).field("admin", &admin).finish_non_exhaustive()
    }
}
