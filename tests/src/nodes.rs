//! Nodes of a fleet on one Redis: real processes, each with a network of its own that can fail, in front of one origin
//! that counts requests. Or nodes that have nothing in common, each with its own disk or with memory alone
//! ([`SecondTier`]).
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sandbar_tests::fault_proxy::Fault;
//! use sandbar_tests::nodes::{Nodes, Setup};
//!
//! let mut nodes = Nodes::start(Setup::default()).await?;
//! nodes.link(1).set(Fault::Cut); // node 1 alone is cut off from Redis
//! nodes[2].kill();
//! nodes[0].client("shop.test").get("/p0/k1").await?;
//! assert_eq!(nodes.origin.fetches("/p0/k1"), 1);
//! # Ok(()) }
//! ```

mod node;

use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::sync::Arc;
use std::time::Duration;

use crate::fault_proxy::FaultProxy;
use crate::gateway::one_tenant_over;
use crate::redis_cluster::RedisCluster;
use crate::redis_server::RedisServer;
use crate::versions::{Serving, Versions};
use crate::wait::eventually;

pub use node::Node;

/// The host that clients name in their requests.
pub const HOST: &str = "shop.test";
/// The environment variable that names the protections that a faulty node leaves out.
pub const FAULTS: &str = "NODE_FAULTS";

/// How nodes are to be started.
#[derive(Clone, Debug)]
pub struct Setup {
    /// How many nodes.
    pub nodes: usize,
    /// How the origin serves.
    pub serving: Serving,
    /// More settings of the gateway: whole sections.
    pub sections: String,
    /// More settings of the tenant.
    pub tenant: String,
    /// Deadline of a call of Redis.
    pub deadline: Duration,
    /// Variables in the nodes' environment.
    pub env: Vec<(String, String)>,
    /// Arguments of `redis-server`.
    pub redis: Vec<String>,
    /// Whether Redis runs when the nodes start.
    pub redis_up: bool,
    /// What the nodes have in common.
    pub second_tier: SecondTier,
    /// Masters of a Cluster that takes the place of one server, with a replica each; 0 for no Cluster.
    pub cluster_masters: usize,
    /// Whether there is a proxy that can fail between each node and Redis; without proxies the nodes are faster.
    pub links: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nodes: 3,
            serving: Serving::default(),
            sections: String::new(),
            tenant: String::new(),
            // On a busy machine calls would exceed the default of 100 ms without any fault.
            deadline: Duration::from_millis(500),
            env: Vec::new(),
            redis: Vec::new(),
            redis_up: true,
            second_tier: SecondTier::Redis,
            cluster_masters: 0,
            links: true,
        }
    }
}

/// The second tier that nodes have in common, or what each has in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondTier {
    /// A Redis.
    Redis,
    /// Nothing: each has the embedded disk tier.
    Disk,
    /// Nothing: each has its memory alone.
    Nothing,
}

/// A running fleet. Dropping it kills all of it.
pub struct Nodes {
    nodes: Vec<Node>,
    links: Vec<FaultProxy>,
    shared: Shared,
    /// The origin of their pages.
    pub origin: Arc<Versions>,
}

/// The Redis that the nodes have in common, if any.
enum Shared {
    Server(RedisServer),
    Cluster(RedisCluster),
    Nothing,
}

impl Nodes {
    /// Starts the Redis, the origin and the nodes, and waits until every node answers.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(setup: Setup) -> anyhow::Result<Self> {
        let shared = setup.shared().await?;
        let origin = Arc::new(Versions::start(setup.nodes, setup.serving).await?);
        let (mut nodes, mut links) = (Vec::new(), Vec::new());
        for n in 0..setup.nodes {
            let url = match &shared {
                Shared::Server(redis) if setup.links => {
                    let link = FaultProxy::start(redis.addr()).await?;
                    let url = format!("redis://{}/", link.addr());
                    links.push(link);
                    url
                }
                Shared::Server(redis) => redis.url(),
                Shared::Cluster(cluster) => cluster.url(),
                Shared::Nothing => String::new(),
            };
            nodes.push(Node::start(&setup.settings(&url, &origin.url(n), n), &setup.env()).await?);
        }
        Ok(Self { nodes, links, shared, origin })
    }

    /// The single Redis server of the nodes.
    ///
    /// # Panics
    /// Where they have a Cluster, or no Redis.
    pub fn redis(&self) -> &RedisServer {
        let Shared::Server(redis) = &self.shared else { panic!("they share no single server") };
        redis
    }

    /// Like [`Self::redis`], to be killed.
    ///
    /// # Panics
    /// Where they have a Cluster, or no Redis.
    pub fn redis_mut(&mut self) -> &mut RedisServer {
        let Shared::Server(redis) = &mut self.shared else { panic!("they share no single server") };
        redis
    }

    /// The Cluster of the nodes.
    ///
    /// # Panics
    /// Where they have a single server, or no Redis.
    pub fn cluster_mut(&mut self) -> &mut RedisCluster {
        let Shared::Cluster(cluster) = &mut self.shared else { panic!("they share no Cluster") };
        cluster
    }

    /// Waits until every node hears the others.
    pub async fn all_hear(&self) {
        for node in &self.nodes {
            eventually("a node hears the others", async || node.hears().await.unwrap_or(false)).await;
        }
    }

    /// The proxy between a node and Redis.
    ///
    /// # Panics
    /// Where there is none.
    pub fn link(&self, node: usize) -> &FaultProxy {
        &self.links[node]
    }

    /// The nodes' addresses for clients.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// The nodes.
    pub fn all(&self) -> &[Node] {
        &self.nodes
    }

    /// The logs of all nodes, to explain a failure.
    pub fn logs(&self) -> String {
        let logs = self.nodes.iter().enumerate().map(|(n, node)| format!("--- node {n}\n{}\n", node.log()));
        logs.collect()
    }
}

impl Setup {
    /// Nodes that hear each other, with more settings of `[fleet]`.
    pub fn fleet(more: &str) -> Self {
        Self { sections: format!("[fleet]\nnode = \"node-{{n}}\"\n{more}"), ..Self::default() }
    }

    async fn shared(&self) -> anyhow::Result<Shared> {
        if self.second_tier != SecondTier::Redis {
            return Ok(Shared::Nothing);
        }
        if self.cluster_masters > 0 {
            return Ok(Shared::Cluster(RedisCluster::start(self.cluster_masters).await?));
        }
        let arguments: Vec<&str> = self.redis.iter().map(String::as_str).collect();
        let started =
            if self.redis_up { RedisServer::start_with(&arguments) } else { RedisServer::prepare(&arguments) };
        started.map(Shared::Server)
    }

    /// Settings of node `n` on a Redis at `url`.
    fn settings(&self, url: &str, origin_url: &str, n: usize) -> String {
        let deadline_ms = self.deadline.as_millis();
        let l2 = match self.second_tier {
            SecondTier::Redis => {
                format!("[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{url}\"\ndeadline = \"{deadline_ms}ms\"\n")
            }
            SecondTier::Disk => "[l2]\nkind = \"disk\"\n".to_owned(),
            SecondTier::Nothing => "[l2]\nkind = \"none\"\n".to_owned(),
        };
        let sections = self.sections.replace("{n}", &n.to_string()).replace("{redis}", url);
        one_tenant_over(&format!("{l2}{sections}"), origin_url, &self.tenant)
    }

    fn env(&self) -> Vec<(&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl Index<usize> for Nodes {
    type Output = Node;

    fn index(&self, node: usize) -> &Node {
        &self.nodes[node]
    }
}

impl IndexMut<usize> for Nodes {
    fn index_mut(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node]
    }
}
