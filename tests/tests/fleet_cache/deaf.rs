//! A node that can not hear the others.

use std::sync::Arc;
use std::time::Duration;

use redis::Commands;
use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::node::{Node, Source, ask_all, hasty_fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{PATIENCE, eventually, settled};

use crate::{FRESH, all_are};

/// By the nodes' clock, which goes on only a little by itself: a node is deaf after this long, and what it serves then is no
/// older.
const SILENCE: Duration = PATIENCE;
const AGE_MAX: Duration = Duration::from_secs(600);
const MOMENT: Duration = Duration::from_millis(1);

/// A node behind a network that fails, and one that is well.
async fn far_and_near(
    server: &RedisServer,
    consistency: Consistency,
    source: &Arc<Source>,
) -> anyhow::Result<(FaultProxy, Node, Node)> {
    let proxy = FaultProxy::start(server.addr()).await?;
    let near = Node::start(&server.url(), consistency, source).await?;
    let url = format!("redis://{}/", proxy.addr());
    let fleet = FleetConfig {
        silence_max: SILENCE,
        deaf_age_max: AGE_MAX,
        member_timeout: SILENCE * 2,
        ..hasty_fleet_config(&url)
    };
    let far = Node::start_with(fleet, tenant(consistency), source).await?;
    Ok((proxy, far, near))
}

/// Lets a node that is cut off hear nothing for too long, and notice that.
async fn deafen(far: &Node, source: &Source) {
    let noticed = || far.tenant.counters.values().l1_given_up;
    let before = noticed();
    source.clock.stand_still(AGE_MAX + MOMENT);
    eventually("it has noticed", async || noticed() > before).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaf_node_bounds_the_age_of_what_it_serves() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let (proxy, far, near) = far_and_near(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&[far.clone(), near.clone()], "/a", 1).await, "0"));
    proxy.set(Fault::HalfOpen);
    assert_eq!(near.purge("/a").await.recorded, 1);
    assert_eq!(far.get("/a").await.body, "0", "it can't know, and does not count as deaf yet");
    deafen(&far, &source).await;
    // Deaf, it serves what it has fetched for a while: not one fetch per request, nor one for ever.
    for age in 1..=4 {
        let got = ask_all(std::slice::from_ref(&far), "/a", 1).await;
        assert!(all_are(&got, &age.to_string()), "it lets go of what is too old: {got:?}");
        let got = ask_all(std::slice::from_ref(&far), "/a", 20).await;
        assert!(all_are(&got, &age.to_string()), "and serves what is not: {got:?}");
        settled(&far.cache).await;
        source.clock.stand_still(AGE_MAX + MOMENT);
    }
    assert_eq!(source.fetches(), 5);
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
    deafen(&far, &source).await;
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
