//! Nodes that share a Redis: real processes, each behind a network of its own that can fail, in front of one origin that
//! counts.
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
use crate::redis_server::RedisServer;
use crate::versions::{Serving, Versions};
use crate::wait::eventually;

pub use node::Node;

/// The name that clients call a node by.
pub const HOST: &str = "shop.test";

/// What is to be started.
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
    /// Whether there is a network that can fail between the nodes and Redis; without one they are as quick as can be.
    pub links: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            nodes: 3,
            serving: Serving::default(),
            sections: String::new(),
            tenant: String::new(),
            // On a machine with other things to do, the default of 100 ms would be trouble by itself.
            deadline: Duration::from_millis(500),
            env: Vec::new(),
            redis: Vec::new(),
            redis_up: true,
            links: true,
        }
    }
}

/// A running fleet. Dropping it kills all of it.
pub struct Nodes {
    nodes: Vec<Node>,
    links: Vec<FaultProxy>,
    /// What they share.
    pub redis: RedisServer,
    /// Where their pages come from.
    pub origin: Arc<Versions>,
}

impl Nodes {
    /// Starts all of it, and waits until every node answers.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(setup: Setup) -> anyhow::Result<Self> {
        let arguments: Vec<&str> = setup.redis.iter().map(String::as_str).collect();
        let redis =
            if setup.redis_up { RedisServer::start_with(&arguments)? } else { RedisServer::prepare(&arguments)? };
        let origin = Arc::new(Versions::start(setup.nodes, setup.serving).await?);
        let (mut nodes, mut links) = (Vec::new(), Vec::new());
        for n in 0..setup.nodes {
            let link = if setup.links { Some(FaultProxy::start(redis.addr()).await?) } else { None };
            let addr = link.as_ref().map_or_else(|| redis.addr(), FaultProxy::addr);
            let settings = setup.settings(&format!("redis://{addr}/"), &origin.url(n), n);
            nodes.push(Node::start(&settings, &setup.env()).await?);
            links.extend(link);
        }
        Ok(Self { nodes, links, redis, origin })
    }

    /// Waits until every node hears the others.
    pub async fn all_hear(&self) {
        for node in &self.nodes {
            eventually("a node hears the others", async || node.hears().await.unwrap_or(false)).await;
        }
    }

    /// What lies between a node and Redis.
    ///
    /// # Panics
    /// Where nothing does.
    pub fn link(&self, node: usize) -> &FaultProxy {
        &self.links[node]
    }

    /// Where the nodes listen.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    /// The nodes.
    pub fn all(&self) -> &[Node] {
        &self.nodes
    }

    /// Their logs, for a failure's sake.
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

    /// Settings of node `n` on a Redis at `url`.
    fn settings(&self, url: &str, origin_url: &str, n: usize) -> String {
        let deadline_ms = self.deadline.as_millis();
        let l2 = format!("[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{url}\"\ndeadline = \"{deadline_ms}ms\"\n");
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
