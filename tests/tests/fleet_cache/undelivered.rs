//! Purges that can not be delivered, for now or for good.

use http::Method;
use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar::tenant::config::{ClassConfig, TenantConfig};
use sandbar_tests::node::{Node, Source, ask_all, fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::scope::prefix;
use sandbar_tests::wait::{eventually, in_time};

use crate::FRESH;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_without_redis_is_done_here_answered_as_such_and_delivered_later() -> anyhow::Result<()> {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let source = Source::new(FRESH);
    let class = |name: &str, path: &str, consistency| ClassConfig {
        name: name.into(),
        path: path.into(),
        consistency: Some(consistency),
        ..ClassConfig::default()
    };
    let classes = vec![class("e", "/e/**", Consistency::Eventual), class("b", "/b/**", Consistency::Bus)];
    let config = TenantConfig { classes, ..tenant(Consistency::Eventual) };
    let start = || Node::start_with(fleet_config(&server.url()), config.clone(), &source);
    let (a, b) = (start().await?, start().await?);
    for target in ["/e/1", "/b/1"] {
        ask_all(&[a.clone(), b.clone()], target, 1).await;
    }
    server.kill();
    let eventual = a.purge("/e/1").await;
    assert_eq!((eventual.recorded, eventual.pending, eventual.failed), (0, 1, 0), "{eventual:?}");
    let bus = a.purge("/b/1").await;
    assert_eq!((bus.pending, bus.failed), (1, 1), "{bus:?}");
    assert!(bus.reason.is_some());
    let all = a.purge_scope(prefix(None, "/b")).await;
    assert_eq!((all.pending, all.failed), (1, 1), "the strictest class that it may reach decides");
    assert_eq!(a.get("/e/1").await.body, "2", "it is done here");
    assert_eq!(b.get("/e/1").await.body, "0", "there it is not");
    let written = a.send(Method::PUT, "/e/2").await;
    assert!(written.status == 200 && written.cache_status.contains("purge-pending"), "{written:?}");
    assert_eq!(a.cache.purges_pending(), 4);
    server.restart()?;
    eventually("they are delivered", async || a.cache.purges_pending() == 0).await;
    eventually("the other node has heard", async || b.get("/e/1").await.body != "0").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_evicts_any_key_keeps_no_promise() -> anyhow::Result<()> {
    let source = Source::new(FRESH);
    let reckless = RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"])?;
    let node = Node::start_deaf(fleet_config(&reckless.url()), tenant(Consistency::Bus), &source)?;
    eventually("it is known", async || node.cache.fleet_report().unwrap().evicts_any_key.is_some()).await;
    let report = node.purge("/a").await;
    assert_eq!(report.failed, 1);
    assert!(report.reason.unwrap().contains("allkeys-lru"));
    let tolerant = FleetConfig { tolerates_eviction: true, ..fleet_config(&reckless.url()) };
    let node = Node::start_with(tolerant, tenant(Consistency::Eventual), &source).await?;
    assert_eq!(node.purge("/a").await.recorded, 1);
    Ok(())
}

/// Two nodes that have a target in memory, and a Redis that has just died with a purge of it undelivered at the first.
async fn undelivered(server: &mut RedisServer) -> anyhow::Result<[Node; 2]> {
    let (url, source) = (server.url(), Source::new(FRESH));
    let start = || Node::start(&url, Consistency::Bus, &source);
    let nodes = [start().await?, start().await?];
    ask_all(&nodes, "/a", 1).await;
    server.kill();
    let report = nodes[0].purge("/a").await;
    assert_eq!((report.pending, report.failed), (1, 1), "{report:?}");
    Ok(nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_stops_delivers_to_a_redis_that_is_just_coming_back() -> anyhow::Result<()> {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let [stopping, staying] = undelivered(&mut server).await?;
    let stopped = tokio::spawn({
        let cache = stopping.cache.clone();
        async move { cache.drain().await }
    });
    server.restart()?;
    stopped.await?;
    assert_eq!(stopping.cache.purges_pending(), 0);
    eventually("the other node has heard", async || staying.get("/a").await.body != "0").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_stops_without_a_redis_does_not_try_for_ever() -> anyhow::Result<()> {
    let mut server = RedisServer::start()?;
    let [stopping, _staying] = undelivered(&mut server).await?;
    in_time("it gives up", stopping.cache.drain()).await;
    assert_eq!(stopping.cache.purges_pending(), 1, "it is lost, and logged as such");
    Ok(())
}
