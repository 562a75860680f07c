//! A node that can not hear the others.

use std::sync::Arc;
use std::time::Duration;

use redis::Commands;
use sandbar::consistency::Consistency;
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::node::{Node, SILENCE, Source, ask_all, hasty_fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;
use tokio::time::{Instant, sleep};

use crate::{FRESH, all_are};

/// A node behind a network that fails, and one that is well.
async fn far_and_near(
    server: &RedisServer,
    consistency: Consistency,
    source: &Arc<Source>,
) -> anyhow::Result<(FaultProxy, Node, Node)> {
    let proxy = FaultProxy::start(server.addr()).await?;
    let near = Node::start(&server.url(), consistency, source).await?;
    let url = format!("redis://{}/", proxy.addr());
    let far = Node::start_with(hasty_fleet_config(&url), tenant(consistency), source).await?;
    Ok((proxy, far, near))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaf_node_bounds_the_age_of_what_it_serves() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let (proxy, far, near) = far_and_near(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&[far.clone(), near.clone()], "/a", 1).await, "0"));
    proxy.set(Fault::HalfOpen);
    assert_eq!(near.purge("/a").await.recorded, 1);
    eventually("it lets go of it", async || far.get("/a").await.body != "0").await;
    // Deaf, it serves what it has fetched for a while: not one fetch per request, nor one for ever.
    let before = source.fetches();
    let began = Instant::now();
    while began.elapsed() < SILENCE * 3 {
        assert_eq!(far.get("/a").await.status, 200);
        sleep(Duration::from_millis(10)).await;
    }
    let fetches_max = began.elapsed().div_duration_f64(SILENCE) as usize + 2;
    assert!((1..=fetches_max).contains(&(source.fetches() - before)), "{}", source.fetches() - before);
    assert!(far.tenant.counters.values().l1_not_vouched_for > 0);
    proxy.set(Fault::None);
    eventually("it hears again", async || {
        far.cache.fleet().unwrap().bus().hearing().hears("shop")
            && far.get("/a").await.cache_status.contains("detail=l1")
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaf_node_goes_on_serving_what_promises_nothing() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let (proxy, far, _near) = far_and_near(&server, Consistency::Eventual, &source).await?;
    assert_eq!(far.get("/a").await.body, "0");
    proxy.set(Fault::Cut);
    sleep(SILENCE * 2).await;
    assert!(far.get("/a").await.cache_status.contains("detail=l1"));
    assert_eq!(source.fetches(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_missed_purges_gives_its_memory_up() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let (proxy, far, near) = far_and_near(&server, Consistency::Eventual, &source).await?;
    assert!(all_are(&ask_all(&[far.clone(), near.clone()], "/a", 1).await, "0"));
    proxy.set(Fault::Cut);
    sleep(Duration::from_millis(100)).await;
    near.purge("/a").await;
    let mut redis = server.connection()?;
    let streams: Vec<String> = redis.keys("sandbar:{bus}:*:stream")?;
    for stream in streams {
        redis.xtrim::<_, ()>(stream, redis::streams::StreamMaxlen::Equals(0))?;
    }
    proxy.set(Fault::None);
    eventually("it has noticed", async || far.get("/a").await.body == "1").await;
    assert!(far.tenant.counters.values().l1_given_up > 0);
    Ok(())
}
