//! Starting a gateway, in three steps: all that can be done while another process serves with the same settings; then
//! what only one process can have; then answering requests.

use std::sync::Arc;

use arc_swap::ArcSwap;
use sandbar::cache::Cache;
use sandbar::memory_budget::keeper::Keeper;
use sandbar::tier::disk::DiskTier;
use sandbar_base::memory_budget::Reserved;
use tokio_util::sync::CancellationToken;

use crate::access::Switch;
use crate::admin::Admin;
use crate::assemble::{self, Parts};
use crate::config::GatewayConfig;
use crate::error::StartError;
use crate::front::{Front, FrontSettings};
use crate::handover::{Drains, Program, Shared, Upgrades};
use crate::listeners::Listeners;
use crate::opening::Openings;
use crate::ready::{self, Ready};
use crate::reload::{Following, ReadSettings, Reloads};
use crate::room::Rooms;
use crate::server::Gateway;
use crate::sides::{self, serve_clients, serve_operators};
use crate::sockets::Sockets;

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
    config: GatewayConfig,
    sockets: Sockets,
    read: Option<Arc<ReadSettings>>,
) -> Result<Gateway, StartError> {
    Ok(Prepared::new(config, sockets, read).await?.open().await?.serve(None, None))
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

/// A gateway whose settings are checked and whose addresses are bound.
pub(crate) struct Prepared {
    ready: Ready,
    listening: Listening,
    read: Option<Arc<ReadSettings>>,
}

/// The listeners of both sides, and the sockets that a successor of this process gets.
struct Listening {
    clients: Listeners,
    operators: Listeners,
    shared: Vec<Shared>,
}

impl Prepared {
    /// Checks the settings, compiles policies, takes over or binds the sockets.
    pub(crate) async fn new(
        mut config: GatewayConfig,
        mut sockets: Sockets,
        read: Option<Arc<ReadSettings>>,
    ) -> Result<Self, StartError> {
        sockets.settle(&mut config)?;
        let read = read.map(|read| sockets.settled(&config, read));
        sockets.place_bound(&config);
        let ready = ready::ready(config).await?;
        for note in ready.config.notes().into_iter().chain(ready.notes()) {
            tracing::warn!("{note}");
        }
        let activated = std::mem::take(&mut sockets.activated);
        let (clients, operators) = sides::open(sockets, &ready.config, &ready.served).await?;
        let shared = sides::shared(&clients, &operators, &activated);
        Ok(Self { ready, listening: Listening { clients, operators, shared }, read })
    }

    /// Opens the tiers, joins the fleet, and applies what that was told of tenants meanwhile. From then on this process
    /// writes to the data directory.
    pub(crate) async fn open(mut self) -> Result<Opened, StartError> {
        let ready = &mut self.ready;
        let (config, file, served) =
            (ready.config.without_tenants(), std::mem::take(&mut ready.file), ready.served.clone());
        let (token, rooms, access) = (ready.token.take(), ready.operators.clone(), access_log(ready)?);
        let Parts { cache, known, engine, keeper, tables, disk } = assemble::assemble(self.ready).await?;
        let present = (config.clone(), token);
        let reloads = Reloads::new(cache.clone(), engine, file, present, known, served, self.read);
        // Before the first request: what was removed elsewhere meanwhile is not served any more.
        let following = reloads.follow_register().await;
        let listening = self.listening;
        Ok(Opened { listening, config, rooms, access, cache, reloads, following, keeper, tables, disk })
    }
}

/// The access log, as far as one is wanted.
fn access_log(ready: &Ready) -> Result<Arc<Switch>, StartError> {
    let (clock, budget) = (Arc::clone(&ready.clock), Arc::clone(&ready.budget));
    let no_room = || StartError::NoRoom { total_bytes: ready.budget.total_bytes() };
    Switch::new(&ready.config.log.access, clock, budget).ok_or_else(no_room)
}

/// A gateway that could answer requests.
pub(crate) struct Opened {
    listening: Listening,
    /// Without tenants.
    config: GatewayConfig,
    rooms: (Rooms, u32),
    access: Arc<Switch>,
    cache: Cache,
    reloads: Arc<Reloads>,
    following: Option<Following>,
    keeper: Keeper,
    tables: Reserved,
    disk: Option<Arc<DiskTier>>,
}

impl Opened {
    /// The cache that answers.
    pub(crate) const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Accepts connections. `program` is started anew when the gateway is to be upgraded; `drains` is the process whose
    /// place this one takes.
    pub(crate) fn serve(self, program: Option<Program>, drains: Option<Drains>) -> Gateway {
        let Self { listening, config, rooms, access, cache, reloads, following, keeper, tables, disk } = self;
        let turned = Arc::clone(&access);
        reloads.follow(move |config| turned.turn(&config.log.access));
        let front = Arc::new(Front {
            cache: cache.clone(),
            scheme: config.gateway.scheme.to_uri(),
            access: Arc::clone(&access),
            settings: ArcSwap::from_pointee(FrontSettings::from(&config)),
        });
        let Listening { clients, operators, shared } = listening;
        let leave = CancellationToken::new();
        let upgrades = Arc::new(Upgrades {
            program,
            sockets: shared,
            cache: cache.clone(),
            disk,
            reloads: Arc::clone(&reloads),
            drains,
            turn: tokio::sync::Mutex::default(),
            stopping: CancellationToken::new(),
            handed_over: leave.clone(),
        });
        let openings = Openings::default();
        let clients =
            serve_clients(clients, &front, &openings.clients, &config, cache.memory_budget(), &leave, &reloads);
        let admin_state = Admin::new(cache.clone(), &config, Arc::clone(&access), openings.clone(), &upgrades);
        let admin = serve_operators(operators, &admin_state, &openings.operators, &config, rooms, &leave, &reloads);
        let (listen, tls) = (clients.plain_address(), clients.tls_address());
        tracing::info!(?listen, ?tls, admin = ?admin.plain_address(), admin_tls = ?admin.tls_address(), "listening");
        let tunnels = cache.ends_tunnels();
        Gateway {
            cache,
            tunnels,
            clients,
            admin,
            admin_state,
            front,
            access,
            reloads,
            _following: following,
            upgrades,
            _keeper: keeper,
            _tables: tables,
        }
    }
}
