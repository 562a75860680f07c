//! A fleet whose only Redis is a Cluster: the bus, the leases and what all must confirm, and a master that dies.

use std::net::SocketAddr;
use std::time::Duration;

use sandbar_tests::crowd::{Steady, at_once};
use sandbar_tests::gateway::one_tenant_over;
use sandbar_tests::nodes::{HOST, Node};
use sandbar_tests::redis_cluster::RedisCluster;
use sandbar_tests::versions::{Serving, Versions, version_shown};
use sandbar_tests::wait::{eventually, found, in_time};
use serde_json::json;

use crate::alone;

const NODES: usize = 3;
/// Any key of the bus.
const BUS: &str = "sandbar:{bus}:0:state";
/// A class that all nodes must confirm; everything else is told over the bus. Who is not woken
/// fetches after half the waiters' deadline, and is counted; a lease that was lost with a master holds up nobody for longer.
const TENANT: &str = "consistency = \"bus\"\nwaiter_deadline = \"40s\"\n\
    [[tenant.class]]\nname = \"all\"\npath = \"/all/**\"\nconsistency = \"write-all\"\n";

struct Fleet {
    nodes: Vec<Node>,
    origin: Versions,
}

impl Fleet {
    async fn start(cluster: &RedisCluster) -> anyhow::Result<Self> {
        let origin = Versions::start(NODES, Serving::default()).await?;
        let mut nodes = Vec::new();
        for n in 0..NODES {
            let l2 = format!(
                "[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{}\"\ndeadline = \"500ms\"\n[fleet]\nnode = \"node-{n}\"\n\
                 lease = \"30s\"\n",
                cluster.url()
            );
            nodes.push(Node::start(&one_tenant_over(&l2, &origin.url(n), TENANT), &[]).await?);
        }
        let fleet = Self { nodes, origin };
        fleet.all_hear().await;
        Ok(fleet)
    }

    async fn all_hear(&self) {
        for node in &self.nodes {
            eventually(&format!("it hears the others\n{}", node.log()), async || node.hears().await.unwrap_or(false))
                .await;
        }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    async fn shown(&self, node: usize, page: &str) -> anyhow::Result<u64> {
        version_shown(page, &self.nodes[node].client(HOST).get(page).await?)
    }

    /// All nodes have it in memory.
    async fn warm(&self, page: &str, version: u64) -> anyhow::Result<()> {
        for node in 0..NODES {
            for _ in 0..2 {
                assert_eq!(self.shown(node, page).await?, version, "{page} on node {node}");
            }
        }
        Ok(())
    }

    /// Purges it at node 0, again while a failover may be going on; answers with what came last.
    async fn purge(&self, page: &str) -> anyhow::Result<()> {
        let scope = json!({ "scope": "key", "url": format!("http://{HOST}{page}") });
        let what = format!("it is purged\n{}", self.nodes[0].log());
        found(&what, async || match self.nodes[0].purge(&scope).await {
            Ok(answer) if answer.status == 200 => Some(Ok(())),
            Ok(answer) if answer.status == 503 => None,
            Ok(answer) => Some(Err(anyhow::anyhow!("{}: {}", answer.status, answer.text()))),
            Err(error) => Some(Err(error)),
        })
        .await
    }

    /// What one has purged the others forget from memory: over the bus within moments, and at once where all confirm.
    async fn assert_forgotten_everywhere(&self, what: &str) -> anyhow::Result<()> {
        let page = format!("/bus-{what}/k1");
        self.warm(&page, 1).await?;
        self.origin.change(&page);
        self.purge(&page).await?;
        for node in 0..NODES {
            eventually("the bus has told it", async || self.shown(node, &page).await.is_ok_and(|version| version == 2))
                .await;
        }
        let page = format!("/all/{what}");
        self.warm(&page, 1).await?;
        for version in 2..5 {
            self.origin.change(&page);
            self.purge(&page).await?;
            self.warm(&page, version).await?;
        }
        Ok(())
    }

    /// However many ask, the origin is asked once, and nobody waits for the lease to run out.
    async fn assert_fetched_once(&self, page: &str) -> anyhow::Result<()> {
        let gate = self.origin.hold(page);
        let waited_for = async || {
            let mut waited_for = 0;
            for node in &self.nodes {
                waited_for += node.counter("leases_waited_for").await.unwrap_or_default();
            }
            waited_for
        };
        let (before, addresses, held) = (waited_for().await, self.addresses(), page.to_owned());
        let asking = tokio::spawn(async move { at_once(&addresses, 90, &held).await });
        eventually("two nodes wait for the third", async || waited_for().await == before + 2).await;
        gate.open();
        for asked in in_time("all are woken", asking).await?? {
            assert_eq!(version_shown(page, &asked.answer?)?, 1);
        }
        assert_eq!(self.origin.fetches(page), 1, "{:?}", self.origin.fetches_by_door(page));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fleet_needs_no_other_redis_than_a_cluster_and_outlives_a_master() -> anyhow::Result<()> {
    let _alone = alone().await;
    let mut cluster = RedisCluster::start(3).await?;
    let fleet = Fleet::start(&cluster).await?;
    fleet.assert_fetched_once("/cold/k1").await?;
    fleet.assert_forgotten_everywhere("before").await?;

    let clients =
        Steady::start(&fleet.addresses(), 6, Duration::from_millis(10), |client, n| format!("/p{client}/k{}", n / 2));
    clients.each_is_answered(10).await;
    let master = cluster.master_of(BUS)?;
    cluster.fail_over(master).await;
    fleet.assert_forgotten_everywhere("after").await?;
    fleet.all_hear().await;
    let seen = clients.end().await;
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    assert!(seen.answers > 100, "only {} answers", seen.answers);
    fleet.assert_fetched_once("/cold/k2").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_that_forgets_is_found_out_whichever_server_it_is() -> anyhow::Result<()> {
    let _alone = alone().await;
    let cluster = RedisCluster::start(3).await?;
    let elsewhere = (cluster.master_of(BUS)? + 1) % 3;
    cluster.configure(elsewhere, "maxmemory-policy", "allkeys-lru")?;
    let error = Fleet::start(&cluster).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    assert!(error.contains("allkeys-lru") && error.contains("fleet.control_url"), "{error}");
    Ok(())
}
