//! What nodes tell each other: purges over an event bus ([`Bus`]), and who fetches what ([`Leases`]).
//!
//! Both run on one Redis, and a node is useful without it: the bus says when it may have missed something, and a lease
//! that can't be had is an answer like any other. Nothing here fails a request.
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

mod bus;
mod hearing;
mod leases;
mod position;
mod scripts;
mod wakeups;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use bus::{Ack, Bus, BusStats, Listener};
pub use hearing::{Hearing, Partition};
pub use leases::{Attempt, Lease, LeaseStats, Leases, Waiter, Woken};
pub use position::Lost;

use crate::clock::Clock;
use crate::tier::TierError;
use crate::tier::redis::BreakerConfig;
use crate::tier::redis::link::{Link, LinkConfig};
use crate::tier::redis::target::Target;

pub(crate) const NAME: &str = "fleet";

/// A fleet's settings; the same on every node, but for the node's name.
#[derive(Clone)]
pub struct FleetConfig {
    /// A URL as for the Redis tier. Where that Redis evicts keys under `allkeys-*`, it must be another one: it would evict
    /// what nodes rely on.
    pub url: String,
    /// Certificates (PEM) that the server's may be signed with; the system's by default.
    pub ca_file: Option<PathBuf>,
    /// The node's name in logs; a random one by default. Two nodes may have the same.
    pub node: String,
    /// Partitions of the bus; 16 by default. Tenants hash onto them.
    pub partitions: u32,
    /// Messages kept per partition, about; 100,000 by default. A node that has missed more drops its L1.
    pub messages_max: u64,
    /// How often a node makes sure that it has heard everything; 250 ms by default.
    pub heartbeat: Duration,
    /// After how long without that it counts as deaf; 2 s by default.
    pub silence_max: Duration,
    /// How long a call may take; 100 ms by default,
    pub deadline: Duration,
    /// and how long publishing may; 1 s by default.
    pub publish_deadline: Duration,
    /// How long making a connection may take; 500 ms by default.
    pub connect_deadline: Duration,
    /// Replicas that must have a purge before it is acknowledged (`WAIT`); 0 by default.
    pub wait_replicas: u32,
    /// Purges a second per tenant, sustained; 1,000 by default. Four seconds' worth may come at once.
    pub purges_per_second: u32,
    /// Waiters for leases on this node; 65,536 by default. More act alone.
    pub waiters_max: usize,
    /// When the server is left alone and when it is tried again.
    pub breaker: BreakerConfig,
}

impl FleetConfig {
    /// The defaults for a server.
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

/// A node's part in its fleet, for as long as it lives.
#[derive(Debug)]
pub struct Fleet {
    bus: Arc<Bus>,
    leases: Leases,
}

impl Fleet {
    /// Joins, behind the caller's back: a server that is down is found later. Until then the node is deaf.
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
        // Blocking reads, subscriptions and WAIT each hold up whatever else is on their connection.
        let [commands, publishing, reading, waking] =
            [target(config)?, target(config)?, target(config)?, target(config)?];
        if matches!(commands, Target::Cluster(_)) {
            let reason = "the bus needs one server, or a master named by Sentinels; entries may well be on a Cluster";
            return Err(failed(reason.to_owned()));
        }
        let link = Link::start(commands, link_config(config, config.deadline), Arc::clone(&clock));
        let publisher = Link::start(publishing, link_config(config, config.publish_deadline), Arc::clone(&clock));
        let bus = Bus::start(config, Arc::clone(&link), publisher, reading, listener, clock);
        let leases = Leases::start(config, link, waking);
        Ok(Self { bus, leases })
    }

    /// The event bus.
    pub const fn bus(&self) -> &Arc<Bus> {
        &self.bus
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

/// 64 random bits in hexadecimal.
fn random_name() -> String {
    use std::hash::{BuildHasher, Hasher};
    // The seeds of the standard hash tables come from the system's random numbers, afresh in every process, and differ
    // from one table to the next.
    let seeded = std::collections::hash_map::RandomState::new();
    format!("{:016x}", seeded.build_hasher().finish())
}
