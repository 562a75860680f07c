//! Purges that every live node confirms.

use std::sync::Arc;

use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::node::{Node, SILENCE, Source, ask_all, fleet_config, hasty_fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{eventually, in_time};

use crate::{FRESH, all_are};

/// The settings of nodes that confirm in their own time; a server that has just come up need not be waited for long.
fn patient(url: &str) -> FleetConfig {
    FleetConfig { silence_max: 4 * SILENCE, member_timeout: 8 * SILENCE, ..fleet_config(url) }
}

/// A node of those that all must confirm, on a server that is old enough to know all of them.
async fn confirming(config: FleetConfig, name: &str, source: &Arc<Source>) -> anyhow::Result<Node> {
    let config = FleetConfig { node: name.into(), ..config };
    let node = Node::start_with(config, tenant(Consistency::WriteAll), source).await?;
    eventually("the server is old enough", async || node.purge("/warm-up").await.failed == 0).await;
    Ok(node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_that_all_confirm_is_known_to_all_when_it_is_acknowledged() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let young = Node::start_with(patient(&server.url()), tenant(Consistency::WriteAll), &source).await?;
    let report = young.purge("/a").await;
    assert!(
        report.failed == 1 && report.reason.as_ref().is_some_and(|reason| reason.contains("just come up")),
        "{report:?}"
    );
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(confirming(patient(&server.url()), name, &source).await?);
    }
    for round in 0..50 {
        let before = ask_all(&nodes, "/a", 1).await;
        assert!(all_are(&before, &before[0].body), "{before:?}");
        let report = nodes[round % 3].purge("/a").await;
        assert_eq!((report.recorded, report.pending, report.failed), (1, 0, 0), "{report:?}");
        let after = ask_all(&nodes, "/a", 1).await;
        assert!(after.iter().all(|got| got.body != before[0].body), "at once: {before:?} {after:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_can_not_confirm_is_named_and_serves_from_the_origin_alone() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let proxy = FaultProxy::start(server.addr()).await?;
    let source = Source::new(FRESH);
    let near = confirming(hasty_fleet_config(&server.url()), "near", &source).await?;
    let far = confirming(hasty_fleet_config(&format!("redis://{}/", proxy.addr())), "far", &source).await?;
    assert!(all_are(&ask_all(&[far.clone(), near.clone()], "/a", 1).await, "0"));
    proxy.set(Fault::HalfOpen);
    let report = in_time("it is told who is missing", near.purge("/a")).await;
    assert_eq!((report.failed, report.missing.as_slice()), (1, &["far".to_owned()][..]), "{report:?}");
    // Until it is given up, nothing is acknowledged; when it is, it has long stopped to serve what it had.
    eventually("it is given up", async || near.cache.purges_pending() == 0).await;
    let fetches = source.fetches();
    for _ in 0..5 {
        let got = far.get("/a").await;
        assert!(got.status == 200 && got.body != "0", "{got:?}");
    }
    assert_eq!(source.fetches(), fetches + 5, "each from the origin");
    eventually("the others do without it", async || near.purge("/a").await.failed == 0).await;
    proxy.set(Fault::None);
    eventually("it takes part again", async || far.get("/a").await.cache_status.contains("detail=l1")).await;
    let served = far.get("/a").await.body;
    eventually("it confirms", async || near.purge("/a").await.failed == 0).await;
    assert_ne!(far.get("/a").await.body, served, "and is waited for");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_leaves_is_not_waited_for() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let near = confirming(patient(&server.url()), "near", &source).await?;
    let far = confirming(patient(&server.url()), "far", &source).await?;
    far.cache.drain().await;
    let report = near.purge("/a").await;
    assert_eq!(report.failed, 0, "{report:?}");
    Ok(())
}
