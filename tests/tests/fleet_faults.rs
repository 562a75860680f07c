//! What keeps nodes consistent, left out on purpose (`SANDBAR_FAULTS`): what goes wrong then is what a checker must notice.

use std::sync::Arc;
use std::time::Duration;

use redis::Commands;
use sandbar::consistency::Consistency;
use sandbar::faults::Faults;
use sandbar::fleet::FleetConfig;
use sandbar::key::CacheKey;
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::node::{Node, SILENCE, Source, fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;
use tokio::time::sleep;

const FRESH: &str = "max-age=600";

async fn broken(url: &str, faults: &str, source: &Arc<Source>) -> anyhow::Result<Node> {
    let faults = Faults::parse(faults).map_err(anyhow::Error::msg)?;
    Node::start_with(FleetConfig { faults, ..fleet_config(url) }, tenant(Consistency::Bus), source).await
}

/// A request that is on its way to the origin when this returns, and what lets it go on.
async fn held(node: &Node, source: &Arc<Source>) -> (tokio::task::JoinHandle<String>, sandbar_tests::origin::Gate) {
    let (before, gate) = (source.fetches(), source.hold_next());
    let node = node.clone();
    let early = tokio::spawn(async move { node.get("/a").await.body });
    eventually("it has asked", async || source.fetches() == before + 1).await;
    (early, gate)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_barriers_a_fill_from_before_a_purge_is_seen_after_it() -> anyhow::Result<()> {
    let (server, source) = (RedisServer::start()?, Source::new(FRESH));
    let node = broken(&server.url(), "no-barriers", &source).await?;
    let (early, gate) = held(&node, &source).await;
    node.purge("/a").await;
    gate.open();
    assert_eq!(early.await?, "0");
    eventually("it is stored", async || node.tenant.counters.values().stored == 1).await;
    assert_eq!(node.get("/a").await.body, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_fencing_a_late_fill_replaces_a_newer_one() -> anyhow::Result<()> {
    let (server, source) = (RedisServer::start()?, Source::new(FRESH));
    let (late, prompt) =
        (broken(&server.url(), "no-fencing", &source).await?, broken(&server.url(), "no-fencing", &source).await?);
    let (early, gate) = held(&late, &source).await;
    let hash = CacheKey::new("shop", "http://h", "/a").hash();
    server.connection()?.del::<_, ()>(format!("sandbar:{{shop}}:l:{hash:?}"))?;
    assert_eq!(prompt.get("/a").await.body, "1");
    let entry = format!("sandbar:{{shop}}:e:{hash:?}");
    let mut redis = server.connection()?;
    eventually("the newer one is stored", async || redis.exists(&entry).is_ok_and(|exists: bool| exists)).await;
    gate.open();
    assert_eq!(early.await?, "0");
    let third = Node::start(&server.url(), Consistency::Bus, &source).await?;
    eventually("it is replaced", async || {
        third.tenant.memory.clear(sandbar::clock::Timestamp::from_millis(0));
        third.get("/a").await.body == "0"
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_gaps_are_ignored_missed_purges_are_missed_for_good() -> anyhow::Result<()> {
    let (server, source) = (RedisServer::start()?, Source::new(FRESH));
    let proxy = FaultProxy::start(server.addr()).await?;
    let near = Node::start(&server.url(), Consistency::Bus, &source).await?;
    let far = broken(&format!("redis://{}/", proxy.addr()), "ignore-gaps", &source).await?;
    assert_eq!((near.get("/a").await.body, far.get("/a").await.body), ("0".into(), "0".into()));
    proxy.set(Fault::Cut);
    sleep(Duration::from_millis(100)).await;
    near.purge("/a").await;
    let mut redis = server.connection()?;
    for stream in redis.keys::<_, Vec<String>>("sandbar:{bus-*}:stream")? {
        redis.xtrim::<_, ()>(stream, redis::streams::StreamMaxlen::Equals(0))?;
    }
    let lost = far.cache.fleet_report().map_or(0, |report| report.bus.lost);
    proxy.set(Fault::None);
    eventually("it has noticed", async || far.cache.fleet_report().is_some_and(|report| report.bus.lost > lost)).await;
    assert_eq!(far.get("/a").await.body, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_self_fencing_a_deaf_node_serves_what_has_been_purged() -> anyhow::Result<()> {
    let (server, source) = (RedisServer::start()?, Source::new(FRESH));
    let proxy = FaultProxy::start(server.addr()).await?;
    let near = Node::start(&server.url(), Consistency::Bus, &source).await?;
    let far = broken(&format!("redis://{}/", proxy.addr()), "no-self-fencing,ignore-gaps", &source).await?;
    assert_eq!((near.get("/a").await.body, far.get("/a").await.body), ("0".into(), "0".into()));
    proxy.set(Fault::HalfOpen);
    sleep(Duration::from_millis(100)).await;
    near.purge("/a").await;
    sleep(SILENCE * 2).await;
    assert_eq!(far.get("/a").await.body, "0");
    Ok(())
}
