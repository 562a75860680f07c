//! How the nodes of a fleet work together: they tell each other of purges over an event bus ([`Bus`]), agree by
//! leases which of them fetches a key ([`Leases`]), and have one register of the tenants that operators make ([`Register`]).
//!
//! All of it runs on one Redis, and a node is useful without it: the bus says when messages may have been missed, and a node
//! that can't get a lease fetches for itself. Nothing here fails a request.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use sandbar::{barrier::Barrier, clock::SystemClock, fleet::*};
//! struct Node;
//! impl Listener for Node {
//!     fn purged(&self, tenant: &str, barrier: &Barrier) { /* learn it; L1 looks again */ }
//!     fn lost(&self, partition: Partition, why: Lost) { /* drop what L1 has of its tenants */ }
//! }
//! # async fn run(barrier: Barrier) -> Result<(), Box<dyn std::error::Error>> {
//! let fleet = Fleet::start(&FleetConfig::new("redis://10.0.0.1/"), Arc::new(Node), Arc::new(SystemClock))?;
//! fleet.bus().publish("shop", &barrier).await?;
//! # Ok(()) }
//! ```

mod asking;
mod bus;
mod hearing;
mod leases;
mod members;
mod news;
mod position;
mod register;
mod scripts;
mod wakeups;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

pub use bus::BusStats;
#[doc(hidden)]
pub use bus::{Ack, Bus, Listener, Newer};
#[doc(hidden)]
pub use hearing::{Hearing, Partition};
pub use leases::LeaseStats;
#[doc(hidden)]
pub use leases::{Attempt, Lease, LeaseWaiter, Leases, PurgeState, Woken};
#[doc(hidden)]
pub use members::Confirmed;
#[doc(hidden)]
pub use news::News;
#[doc(hidden)]
pub use position::Lost;
pub use register::Unapplied;
#[doc(hidden)]
pub use register::{Changed, GONE_FOR, Page, Record, Register, Standing};
use sandbar_base::clock::Clock;

use crate::tier::BreakerConfig;
use crate::tier::TierError;
use crate::tier::redis::link::{Link, LinkConfig};
use crate::tier::redis::target::Target;

pub(crate) const NAME: &str = "fleet";

/// A fleet's settings; the same on every node, but for the node's name.
#[derive(Clone)]
pub struct FleetConfig {
    /// The URL of the fleet's Redis, as for the Redis tier. It must not be a server that evicts keys under `allkeys-*`:
    /// that would evict what nodes rely on.
    pub url: String,
    /// PEM file with the CA certificates that are trusted; the system's by default.
    pub ca_file: Option<PathBuf>,
    /// The node's name in logs; a random one by default. Two nodes may have the same name.
    pub node: String,
    /// Partitions of the bus; 16 by default. Tenants hash onto them.
    pub partitions: u32,
    /// Messages kept per partition, about; 100,000 by default. A node that has missed more drops its L1.
    pub messages_max: u64,
    /// How often a node makes sure that it has heard everything; 250 ms by default.
    pub heartbeat: Duration,
    /// After how long without an answered heartbeat a node counts as deaf; 2 s by default.
    pub silence_max: Duration,
    /// How long a call may take; 100 ms by default.
    pub deadline: Duration,
    /// How long publishing a message may take; 1 s by default.
    pub publish_deadline: Duration,
    /// How long making a connection may take; 500 ms by default.
    pub connect_deadline: Duration,
    /// Replicas that must have a purge before it is acknowledged (`WAIT`); 0 by default.
    pub wait_replicas: u32,
    /// Purges a second per tenant, sustained; 1,000 by default. Four seconds' worth may come at once.
    pub purges_per_second: u32,
    /// Leases of other nodes that this node waits for at once; 65,536 by default. With more it acts as if it were
    /// alone.
    pub waiters_max: usize,
    /// How long a lease lasts unless its holder renews it, which it does while it fetches; 3 s by default. For so long
    /// others wait for a holder that has died.
    pub lease: Duration,
    /// For how long after its last heartbeat a node counts as live; 5 s by default, at least twice `silence_max`. For
    /// so long a purge that all must confirm waits in vain for a node that has died.
    pub member_timeout: Duration,
    /// How long a purge that all must confirm waits for the other nodes; 1 s by default.
    pub confirm_deadline: Duration,
    /// How long a response is served from memory after it was fetched or looked up while the node is deaf, where more
    /// is promised than the node's own purges; 2 s by default.
    pub deaf_age_max: Duration,
    /// Whether a server is used although it may evict any key: where nothing is promised about other nodes.
    pub tolerates_eviction: bool,
    /// When the server is left alone and when it is tried again.
    pub breaker: BreakerConfig,
}

impl FleetConfig {
    /// The default settings for the server at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            node: random_name(),
            partitions: 16,
            messages_max: 100_000,
            heartbeat: Duration::from_millis(250),
            silence_max: Duration::from_secs(2),
            deadline: Duration::from_millis(100),
            publish_deadline: Duration::from_secs(1),
            connect_deadline: Duration::from_millis(500),
            wait_replicas: 0,
            purges_per_second: 1000,
            waiters_max: 65_536,
            lease: Duration::from_secs(3),
            member_timeout: Duration::from_secs(5),
            confirm_deadline: Duration::from_secs(1),
            deaf_age_max: Duration::from_secs(2),
            tolerates_eviction: false,
            breaker: BreakerConfig::default(),
        }
    }
}

impl fmt::Debug for FleetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What stands before the last `@` may be a password.
        let host = self.url.rsplit('@').next().unwrap_or("");
        f.debug_struct("FleetConfig").field("host", &host).field("node", &self.node).finish_non_exhaustive()
    }
}

/// A node's part in its fleet, until it is dropped.
#[derive(Debug)]
#[doc(hidden)]
pub struct Fleet {
    bus: Arc<Bus>,
    leases: Leases,
    register: Arc<Register>,
    link: Arc<Link>,
    node: String,
    deaf_age_max: Duration,
    confirm_deadline: Duration,
}

/// A node's part in its fleet, as an operator sees it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FleetReport {
    /// The node's name.
    pub node: String,
    /// Whether the fleet's server is asked at all: false while the breaker is open.
    pub available: bool,
    /// The most recent error of the connection.
    pub last_error: Option<String>,
    /// The server's eviction policy, if it allows any key to be evicted: purges may be forgotten then.
    pub evicts_any_key: Option<String>,
    /// Partitions of the bus.
    pub partitions: u32,
    /// Counts of the bus.
    pub bus: BusStats,
    /// Counts of the leases.
    pub leases: LeaseStats,
    /// Tenants that were made or changed over another node's API, and that this node can't serve so.
    pub unapplied: Vec<Unapplied>,
}

impl Fleet {
    /// Joins in the background: a server that is down is connected later. Until then the node is deaf.
    ///
    /// # Errors
    /// When a setting is wrong, in words for an operator.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn start(config: &FleetConfig, listener: Arc<dyn Listener>, clock: Arc<dyn Clock>) -> Result<Self, TierError> {
        let failed = |reason: String| TierError::Failed { tier: NAME, reason };
        if config.partitions == 0 || config.heartbeat.is_zero() || config.silence_max <= config.heartbeat {
            let reason = "it needs a partition, and a silence that is longer than the heartbeat";
            return Err(failed(reason.to_owned()));
        }
        if config.member_timeout < config.silence_max * 2 {
            let reason = "a node must be deaf in its own eyes long before it is dead in the others': the member timeout is at \
                          least twice the silence";
            return Err(failed(reason.to_owned()));
        }
        // Blocking reads, subscriptions and WAIT hold up everything else on a connection, so each has one of its own.
        let [commands, publishing, reading, waking] =
            [target(config)?, target(config)?, target(config)?, target(config)?];
        if commands.is_cluster() && config.wait_replicas > 0 {
            let reason = "on a Cluster a purge is recorded by one master and told by another, and WAIT speaks of one: replicas \
                          are waited for on one server, or a master named by Sentinels";
            return Err(failed(reason.to_owned()));
        }
        let link = Link::start(commands, link_config(config, config.deadline), Arc::clone(&clock));
        let publisher = Link::start(publishing, link_config(config, config.publish_deadline), Arc::clone(&clock));
        let news = Arc::<News>::default();
        let bus = Bus::start(config, Arc::clone(&link), publisher, reading, listener, Arc::clone(&news), clock);
        let register = Arc::new(Register::new(config, Arc::clone(&bus), Arc::clone(&link), news));
        let leases = Leases::start(config, Arc::clone(&link), waking);
        let FleetConfig { deaf_age_max, confirm_deadline, .. } = *config;
        Ok(Self { bus, leases, register, link, node: config.node.clone(), deaf_age_max, confirm_deadline })
    }

    /// How long a purge waits until all nodes have confirmed it.
    pub const fn confirm_deadline(&self) -> Duration {
        self.confirm_deadline
    }

    /// Waits until the server is connected, for `deadline` at most; false if it is not.
    pub async fn ready(&self, deadline: Duration) -> bool {
        let mut state = self.link.watch();
        tokio::time::timeout(deadline, state.wait_for(|state| state.available)).await.is_ok_and(|state| state.is_ok())
    }

    /// The server's `maxmemory-policy`, if it allows any key to be evicted: nothing can be promised about other nodes
    /// then.
    pub fn evicts_any_key(&self) -> Option<String> {
        self.link.evicts_any()
    }

    /// Whether a response that was fetched or looked up at `since` (monotonic clock) may be served from memory: the
    /// tenant's purges are heard, or `since` is no longer ago than `deaf_age_max`. Compared on the kernel's clock: a
    /// process that stood still knows at once.
    pub fn vouches_for(&self, tenant: &str, since: Duration) -> bool {
        let hearing = self.bus.hearing();
        hearing.hears(tenant) || hearing.now().saturating_sub(since) <= self.deaf_age_max
    }

    /// The node's state in the fleet, for operators.
    pub fn report(&self) -> FleetReport {
        FleetReport {
            node: self.node.clone(),
            available: self.link.is_available(),
            last_error: self.link.last_error(),
            evicts_any_key: self.link.evicts_any(),
            partitions: self.bus.hearing().partitions(),
            bus: self.bus.stats(),
            leases: self.leases.stats(),
            unapplied: self.register.unapplied(),
        }
    }

    /// The event bus.
    pub const fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// The register of tenants.
    pub fn register(&self) -> &Register {
        &self.register
    }

    /// The leases.
    pub const fn leases(&self) -> &Leases {
        &self.leases
    }
}

fn target(config: &FleetConfig) -> Result<Target, TierError> {
    let failed = |reason: String| TierError::Failed { tier: NAME, reason };
    let ca_pem = match &config.ca_file {
        Some(path) => Some(std::fs::read(path).map_err(|error| failed(format!("{}: {error}", path.display())))?),
        None => None,
    };
    Target::parse(&config.url, ca_pem, config.connect_deadline)
        .map_err(|error| failed(format!("the URL can't be used: {error}")))
}

fn link_config(config: &FleetConfig, deadline: Duration) -> LinkConfig {
    let FleetConfig { connect_deadline, breaker, .. } = *config;
    LinkConfig { name: NAME, connect_deadline, deadline, calls_max: 4096, breaker }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// 64 random bits in hexadecimal.
fn random_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    // The seeds of the standard hash tables come from the system's random numbers, afresh in every process, and differ
    // from one table to the next.
    let seeded = std::collections::hash_map::RandomState::new();
    format!("{:016x}", seeded.build_hasher().finish())
}
