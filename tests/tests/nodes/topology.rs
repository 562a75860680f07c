//! Every kind of Redis, through the gateway: one node's fetch is another's hit, purges reach both, and where a server can
//! take over for another, no client notices.

use std::time::Duration;

use sandbar_tests::crowd::Steady;
use sandbar_tests::gateway::one_tenant_over;
use sandbar_tests::nodes::Node;
use sandbar_tests::redis_cluster::RedisCluster;
use sandbar_tests::redis_sentinel::RedisSentinel;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::redis_tls::RedisTls;
use sandbar_tests::versions::{Serving, Versions, version_shown};
use sandbar_tests::wait::eventually;
use serde_json::json;

use crate::alone;

const HOST: &str = "shop.test";

/// Two nodes over one Redis of whatever kind.
struct Pair {
    nodes: [Node; 2],
    origin: Versions,
}

impl Pair {
    async fn start(url: &str, more: &str) -> anyhow::Result<Self> {
        let origin = Versions::start(1, Serving::default()).await?;
        let l2 = format!("[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{url}\"\ndeadline = \"500ms\"\n{more}");
        let settings = one_tenant_over(&l2, &origin.url(0), "");
        let nodes = [Node::start(&settings, &[]).await?, Node::start(&settings, &[]).await?];
        Ok(Self { nodes, origin })
    }

    /// Asks a node, and answers with the version and where it came from.
    async fn get(&self, node: usize, page: &str) -> anyhow::Result<(u64, String)> {
        let answer = self.nodes[node].client(HOST).get(page).await?;
        let from = answer.cache_status().value("detail").unwrap_or("origin").to_owned();
        Ok((version_shown(page, &answer)?, from))
    }

    /// What one has fetched, the other finds in L2.
    async fn assert_shared(&self, what: &str) {
        let mut round = 0;
        eventually(&format!("L2 is shared: {what}, {}", self.nodes[0].log()), async || {
            round += 1;
            let page = format!("/{what}/k{round}");
            let first = self.get(0, &page).await.expect("an answer");
            assert_eq!(first.0, 1);
            eventually("it is stored", async || self.nodes[0].has_stored_all().await.unwrap_or(false)).await;
            let second = self.get(1, &page).await.expect("an answer");
            assert_eq!(second.0, 1);
            second.1 == "redis"
        })
        .await;
    }

    /// Purges are recorded again: a failover is over for the entries' slots before it is for the tenant's.
    async fn assert_purges_are_recorded(&self) {
        let nothing = json!({ "scope": "key", "url": format!("http://{HOST}/nothing") });
        eventually(&format!("purges are recorded\n{}", self.nodes[0].log()), async || {
            let mut recorded = true;
            for node in &self.nodes {
                recorded &= node.purge(&nothing).await.is_ok_and(|answer| answer.status == 200);
            }
            recorded
        })
        .await;
    }

    /// What one has purged, neither shows again, though L2 has it.
    async fn assert_purges_reach_both(&self) -> anyhow::Result<()> {
        let scopes = [
            json!({ "scope": "key", "url": format!("http://{HOST}/purged/k1") }),
            json!({ "scope": "surrogate-key", "key": "group-1" }),
            json!({ "scope": "prefix", "prefix": "/purged/" }),
            json!({ "scope": "everything" }),
        ];
        for (n, scope) in scopes.iter().enumerate() {
            let (version, _) = self.get(0, "/purged/k1").await?;
            self.origin.change("/purged/k1");
            let answer = self.nodes[0].purge(scope).await?;
            assert_eq!(answer.status, 200, "{scope}: {}", answer.text());
            for node in 0..2 {
                // The other one has never had it in memory: it would come from L2.
                let page = self.get(node, "/purged/k1").await?;
                assert_eq!(page.0, version + 1, "{n} {scope}: {}", page.1);
            }
            // From memory it would be the bus's to forget it.
            self.nodes[1].purge(&json!({ "scope": "everything" })).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_socket_tls_and_a_user_of_its_own() -> anyhow::Result<()> {
    let _alone = alone().await;
    let plain = RedisServer::start()?;
    let pair = Pair::start(&plain.unix_url(), "").await?;
    pair.assert_shared("unix").await;
    pair.assert_purges_reach_both().await?;

    let user = ["--user", "cache", "on", ">pa55", "~sandbar:*", "&sandbar:*", "+@all", "-@dangerous", "+info"];
    let tls = RedisTls::start(&[&user[..], &["--user", "default", "off"]].concat())?;
    let ca_file = format!("ca_file = {:?}\n", tls.authority().display().to_string());
    let pair = Pair::start(&tls.url("cache:pa55"), &ca_file).await?;
    pair.assert_shared("tls").await;
    pair.assert_purges_reach_both().await?;
    let log = pair.nodes.iter().map(Node::log).collect::<String>();
    assert!(!log.contains("pa55"), "no password in logs: {log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_is_used_and_its_failover_goes_unnoticed() -> anyhow::Result<()> {
    let _alone = alone().await;
    let mut cluster = RedisCluster::start(3).await?;
    let pair = Pair::start(&cluster.url(), "").await?;
    pair.assert_shared("cluster").await;
    pair.assert_purges_reach_both().await?;
    let clients = steady(&pair);
    eventually("entries are there", async || cluster.keys().is_ok_and(|keys| keys > 10)).await;
    for master in 0..2 {
        cluster.fail_over(master).await;
        pair.assert_shared(&format!("cluster-after-{master}")).await;
    }
    let seen = clients.end().await;
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    pair.assert_purges_are_recorded().await;
    pair.assert_purges_reach_both().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_are_followed_to_the_next_master() -> anyhow::Result<()> {
    let _alone = alone().await;
    let mut sentinel = RedisSentinel::start().await?;
    let pair = Pair::start(&sentinel.url(), "").await?;
    pair.assert_shared("sentinel").await;
    pair.assert_purges_reach_both().await?;
    let clients = steady(&pair);
    clients.each_is_answered(10).await;
    sentinel.fail_over().await;
    pair.assert_shared("sentinel-after").await;
    let seen = clients.end().await;
    assert!(seen.errors.is_empty(), "{:?}", seen.errors);
    pair.assert_purges_are_recorded().await;
    pair.assert_purges_reach_both().await?;
    let mut promoted = sentinel.replica().connection()?;
    assert!(redis::cmd("DBSIZE").query::<u64>(&mut promoted)? > 0, "the replica is the one in use");
    Ok(())
}

fn steady(pair: &Pair) -> Steady {
    let nodes = [pair.nodes[0].address(), pair.nodes[1].address()];
    Steady::start(&nodes, 6, Duration::from_millis(10), |client, n| format!("/p{client}/k{}", n / 2))
}
