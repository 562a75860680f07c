//! The gateway: listeners for clients and operators around a cache.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
use crate::config::GatewayConfig;
use crate::front::Front;
use crate::handover::{UpgradeError, Upgraded, Upgrades};
use crate::listeners::RunningListeners;
use crate::opening::Peer;
use crate::ready::blocking;
use crate::reload::{Following, ReloadError, Reloaded, Reloads};
use crate::room::Rooms;
use crate::sides;

/// How long the access log may take at least to be written to its end when the gateway stops.
const LOG_GRACE_MIN: Duration = Duration::from_secs(1);

/// A gateway that runs. Dropped without [`Gateway::shutdown`] it stops at once.
pub struct Gateway {
    pub(crate) cache: Cache,
    pub(crate) clients: RunningListeners,
    pub(crate) admin: RunningListeners,
    pub(crate) admin_state: Arc<Admin>,
    pub(crate) front: Arc<Front>,
    pub(crate) access: Arc<Switch>,
    pub(crate) reloads: Arc<Reloads>,
    /// Applies what other nodes of the fleet are told of tenants.
    pub(crate) _following: Option<Following>,
    pub(crate) upgrades: Arc<Upgrades>,
    /// Ends all tunnels when it is dropped: none of them would end by itself.
    pub(crate) tunnels: DropGuard,
    /// Shrinks and grows L1 with the machine's memory, while the gateway runs.
    pub(crate) _keeper: Keeper,
    /// The charge for the cache's own tables.
    pub(crate) _tables: Reserved,
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

    /// Has a new process of the program take this one's place, at the same sockets: see [`Self::retire`] for what is left
    /// to do then. Only `sandbar serve` can.
    ///
    /// # Errors
    /// When none has; this gateway goes on as before.
    pub async fn upgrade(&self) -> Result<Upgraded, UpgradeError> {
        self.upgrades.upgrade().await
    }

    /// What upgrades the gateway, for whoever can't hold the gateway itself.
    pub(crate) const fn upgrades(&self) -> &Arc<Upgrades> {
        &self.upgrades
    }

    /// Returns once another process has taken this one's place.
    pub async fn handed_over(&self) {
        self.upgrades.handed_over.cancelled().await;
    }

    /// Ends the gateway once another process has taken its place: accepts no further connection, has clients open
    /// another one, lets requests and tunnels under way end within `grace`, and cuts the rest. Returns true where none had
    /// to be cut.
    pub async fn retire(self, grace: Duration) -> bool {
        let cache = self.cache.clone();
        // Nothing is answered from it any more, and the new process may need the memory.
        let emptied = blocking(move || cache.clear_memory());
        let (left, clients, admin) = (self.cache.leave_fleet(), self.clients.leave(grace), self.admin.leave(grace));
        let (drained, _, (), ()) = tokio::join!(clients, admin, emptied, left);
        drop(self.tunnels);
        Self::close(&self.cache, &self.access, grace).await;
        drained
    }

    /// Writes the access log to its end, and waits for what is under way behind answers.
    async fn close(cache: &Cache, access: &Switch, grace: Duration) {
        if let Some(access) = access.present() {
            access.close(grace.max(LOG_GRACE_MIN)).await;
        }
        if tokio::time::timeout(grace, cache.drain()).await.is_err() {
            tracing::warn!("stopped before everything that was fetched could be stored");
        }
    }

    /// Stops the gateway: accepts no further connection, ends tunnels, lets requests under way end within `grace`, cuts
    /// the rest, and waits until all fetched responses are stored, again for `grace` at most. The admin API answers
    /// until the clients are done (`/readyz` with 503). Returns true where no request had to be cut.
    pub async fn shutdown(self, grace: Duration) -> bool {
        self.admin_state.drain_begins();
        self.upgrades.stop().await;
        drop(self.tunnels);
        let drained = self.clients.stop(grace).await;
        Self::close(&self.cache, &self.access, grace).await;
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
