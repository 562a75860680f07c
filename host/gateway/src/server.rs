//! The gateway: listeners for clients and operators around a cache, put together from settings.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use sandbar::cache::Cache;
use sandbar::memory_budget::keeper::Keeper;
use sandbar_base::memory_budget::Reserved;
use sandbar_http::client::Client;
use tokio_util::sync::DropGuard;

use crate::access::Switch;
use crate::admin::Admin;
use crate::assemble::{self, Parts};
use crate::config::GatewayConfig;
use crate::error::StartError;
use crate::front::{Front, FrontSettings};
use crate::listeners::RunningListeners;
use crate::opening::{Openings, Peer};
use crate::ready::{self, Ready};
use crate::reload::{Following, ReadSettings, ReloadError, Reloaded, Reloads};
use crate::room::Rooms;
use crate::sides::{self, serve_clients, serve_operators};
use crate::sockets::Sockets;

/// How long the access log may take at least to be written to its end when the gateway stops.
const LOG_GRACE_MIN: Duration = Duration::from_secs(1);

/// A gateway that runs. Dropped without [`Gateway::shutdown`] it stops at once.
pub struct Gateway {
    cache: Cache,
    clients: RunningListeners,
    admin: RunningListeners,
    admin_state: Arc<Admin>,
    front: Arc<Front>,
    access: Arc<Switch>,
    reloads: Arc<Reloads>,
    /// Applies what other nodes of the fleet are told of tenants.
    _following: Option<Following>,
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
    for note in config.notes().into_iter().chain(ready.notes()) {
        tracing::warn!("{note}");
    }
    let (clients, operators) = sides::open(sockets, &config, &ready.served).await?;
    let (rooms, budget, served) = (ready.operators.clone(), Arc::clone(&ready.budget), ready.served.clone());
    let access = access_log(&config, &ready)?;
    let Parts { cache, known, engine, keeper, tables } = assemble::assemble(ready).await?;
    let present = (config.clone(), token);
    let reloads = Reloads::new(cache.clone(), engine, file, present, known, served, read);
    // Before the first request: what was removed elsewhere meanwhile is not served any more.
    let following = reloads.follow_register().await;
    let turned = Arc::clone(&access);
    reloads.follow(move |config| turned.turn(&config.log.access));
    let front = Arc::new(Front {
        cache: cache.clone(),
        scheme: config.gateway.scheme.to_uri(),
        access: Arc::clone(&access),
        settings: ArcSwap::from_pointee(FrontSettings::from(&config)),
    });
    let openings = Openings::default();
    let clients = serve_clients(clients, &front, &openings.clients, &config, &budget, &reloads);
    let admin_state = Admin::new(cache.clone(), &config, Arc::clone(&access), openings.clone(), &reloads);
    let admin = serve_operators(operators, &admin_state, &openings.operators, &config, rooms, &reloads);
    let (listen, tls) = (clients.plain_address(), clients.tls_address());
    tracing::info!(?listen, ?tls, admin = ?admin.plain_address(), admin_tls = ?admin.tls_address(), "listening");
    let tunnels = cache.ends_tunnels();
    Ok(Gateway {
        cache,
        tunnels,
        clients,
        admin,
        admin_state,
        front,
        access,
        reloads,
        _following: following,
        _keeper: keeper,
        _tables: tables,
    })
}

/// The access log, as far as one is wanted.
fn access_log(config: &GatewayConfig, ready: &Ready) -> Result<Arc<Switch>, StartError> {
    let (clock, budget) = (Arc::clone(&ready.clock), Arc::clone(&ready.budget));
    let no_room = || StartError::NoRoom { total_bytes: ready.budget.total_bytes() };
    Switch::new(&config.log.access, clock, budget).ok_or_else(no_room)
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

    /// What answers the requests of a connection from `address`, without the connection: for measurements. None where there is
    /// no memory for it.
    #[doc(hidden)]
    pub fn answering(
        &self,
        address: SocketAddr,
    ) -> Option<impl Service<Request<Incoming>, Response = Response<impl Body<Data = Bytes>>, Error = Infallible>> {
        let rooms = Rooms::shared(self.cache.memory_budget(), self.settings().limits.head_max.bytes());
        let peer = Peer { connection: Client::next_connection(), address, secured: None };
        Some(sides::answering(&self.front, peer, rooms.connection(false)?))
    }

    /// The cache behind the listeners.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Reads the settings, and the certificates of the listeners, again and applies what has changed: all of it, or
    /// nothing.
    ///
    /// # Errors
    /// When they can't be read, are wrong, or can't be applied; those of before hold then.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        self.reloads.reload().await
    }

    /// The settings that hold at present, without tenants: those are the cache's.
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
