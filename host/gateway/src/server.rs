//! The gateway: listeners for clients and operators around a cache, put together from settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::service::TowerToHyperService;
use sandbar::body::Whole;
use sandbar::cache::Cache;
use sandbar::memory_budget::keeper::Keeper;
use sandbar::setting::Count;
use sandbar_base::memory_budget::{MemoryBudget, Reserved};
use tokio_util::sync::DropGuard;

use crate::access::Switch;
use crate::assemble::Parts;
use crate::config::{GatewayConfig, LimitsConfig};
use crate::error::StartError;
use crate::front::{Front, FrontSettings};
use crate::listen::{Bounds, Listener, Running};
use crate::ready::{self, Ready};
use crate::reload::{ReadSettings, ReloadError, Reloaded, Reloads};
use crate::room::{KEPT_STREAMS, Rooms};
use crate::sockets::Sockets;
use crate::{admin, assemble};

/// How long the access log may take at least to be written to its end when the gateway stops.
const LOG_GRACE_MIN: Duration = Duration::from_secs(1);

/// A gateway that runs. Dropped without [`Gateway::shutdown`] it stops at once.
pub struct Gateway {
    cache: Cache,
    clients: Running,
    admin: Option<Running>,
    admin_state: Arc<admin::Admin>,
    access: Arc<Switch>,
    reloads: Arc<Reloads>,
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
    start_on(config, Sockets::default(), None).await
}

/// As [`start`], at sockets that listen already; an address is bound where there is none for it. With `read` the settings can
/// be read again: [`Gateway::reload`] and `POST /reload` apply what has changed.
///
/// # Errors
/// As [`start`]; and where a socket can't be used with these settings.
pub async fn start_on(
    mut config: GatewayConfig,
    sockets: Sockets,
    read: Option<Arc<ReadSettings>>,
) -> Result<Gateway, StartError> {
    sockets.settle(&mut config)?;
    let read = read.map(|read| sockets.settled(&config, read));
    let mut ready = ready::ready(config).await?;
    let (config, file, token) = (ready.config.clone(), ready.file.clone(), ready.token.take());
    for note in config.notes() {
        tracing::warn!("{note}");
    }
    let clients = Listener::open(sockets.gateway, config.gateway.listen, "gateway.listen or --listen").await?;
    let operators = match config.admin.enabled {
        true => Some(Listener::open(sockets.admin, config.admin.listen, "admin.listen or --admin").await?),
        false => None,
    };
    let (rooms, budget) = (ready.operators.clone(), Arc::clone(&ready.budget));
    let access = access_log(&config, &ready)?;
    let Parts { cache, known, engine, keeper, tables } = assemble::assemble(ready).await?;
    let reloads = Reloads::new(cache.clone(), engine, file, config.clone(), known, read);
    let turned = Arc::clone(&access);
    reloads.follow(move |config| turned.turn(&config.log.access));
    let front = Arc::new(Front {
        cache: cache.clone(),
        scheme: config.gateway.scheme.to_uri(),
        access: Arc::clone(&access),
        settings: ArcSwap::from_pointee(FrontSettings::from(&config)),
    });
    let clients = serve_clients(clients, &front, &config, &budget, &reloads);
    let admin_state = admin::Admin::new(cache.clone(), &config, token, Arc::clone(&access), &reloads);
    let admin = operators.map(|listener| serve_operators(listener, &admin_state, &config, rooms, &reloads));
    tracing::info!(listen = %clients.address(), admin = ?admin.as_ref().map(Running::address), "listening");
    let tunnels = cache.ends_tunnels();
    Ok(Gateway { cache, tunnels, clients, admin, admin_state, access, reloads, _keeper: keeper, _tables: tables })
}

fn serve_clients(
    listener: Listener,
    front: &Arc<Front>,
    config: &GatewayConfig,
    budget: &Arc<MemoryBudget>,
    reloads: &Reloads,
) -> Running {
    let (front, following) = (Arc::clone(front), Arc::clone(front));
    reloads.follow(move |config| following.settings.store(Arc::new(config.into())));
    let budget = Arc::clone(budget);
    let bounds = move |config: &GatewayConfig| {
        let shared = Rooms::shared(&budget, config.limits.head_max.bytes());
        Bounds::new(&config.gateway, &config.limits, shared)
    };
    let running = listener.run(bounds(config), move |peer, connection| {
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
    let bounded = running.bounded();
    reloads.follow(move |config| bounded.change(bounds(config)));
    running
}

fn serve_operators(
    listener: Listener,
    admin: &Arc<admin::Admin>,
    config: &GatewayConfig,
    (rooms, connections_max): (Rooms, u32),
    reloads: &Reloads,
) -> Running {
    let router = admin::router(Arc::clone(admin));
    let bounds = move |config: &GatewayConfig| {
        let limits = LimitsConfig {
            connections_max: Count::of(connections_max),
            streams_max: Count::of(KEPT_STREAMS),
            ..config.limits.clone()
        };
        Bounds::new(&config.gateway, &limits, rooms.clone())
    };
    let running = listener.run(bounds(config), move |_peer, _room| {
        let service = TowerToHyperService::new(router.clone());
        service_fn(move |request: http::Request<Incoming>| service.call(Whole::of(request)))
    });
    let bounded = running.bounded();
    reloads.follow(move |config| bounded.change(bounds(config)));
    running
}

/// The access log, as far as one is wanted.
fn access_log(config: &GatewayConfig, ready: &Ready) -> Result<Arc<Switch>, StartError> {
    let (clock, budget) = (Arc::clone(&ready.clock), Arc::clone(&ready.budget));
    let no_room = || StartError::NoRoom { total_bytes: ready.budget.total_bytes() };
    Switch::new(&config.log.access, clock, budget).ok_or_else(no_room)
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

    /// Reads the settings again and applies what has changed: all of it, or nothing.
    ///
    /// # Errors
    /// When they can't be read, are wrong, or can't be applied; those of before hold then.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reloads.reload().await
    }

    /// The settings that hold at present.
    pub fn settings(&self) -> Arc<GatewayConfig> {
        self.reloads.present()
    }

    /// Has `follower` called with the settings after each change of them.
    pub fn on_change(&self, follower: impl Fn(&GatewayConfig) + Send + Sync + 'static) {
        self.reloads.follow(follower);
    }

    /// Opens the file of the access log anew, after somebody has moved the old one away. Does nothing where there is none.
    pub fn reopen_logs(&self) {
        if let Some(access) = self.access.present() {
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
        if let Some(access) = self.access.present() {
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
