//! One node fetches a key for all of them.

use std::sync::Arc;
use std::time::Duration;

use redis::Commands;
use sandbar::consistency::Consistency;
use sandbar::fleet::{Attempt, FleetConfig};
use sandbar::setting::Span;
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::node::{Node, Source, ask_all, fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{PATIENCE, eventually, in_time};

use crate::{FRESH, all_are, fleet, key};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_key_is_refreshed_once_by_the_fleet() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("max-age=600, stale-while-revalidate=600");
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "0"));
    source.says(FRESH);
    let gate = source.hold_next();
    source.clock.step(Duration::from_secs(601));
    assert!(all_are(&ask_all(&nodes, "/a", 20).await, "0"), "nobody waits for it");
    gate.open();
    for node in &nodes {
        eventually("the refreshed one is everywhere", async || node.get("/a").await.body == "1").await;
    }
    assert_eq!(source.fetches(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_that_is_not_shared_keeps_nobody_waiting() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("no-store");
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    let first = source.hold_next();
    let asking = tokio::spawn({
        let nodes = nodes.clone();
        async move { ask_all(&nodes, "/mine", 4).await }
    });
    let counters = || nodes.iter().map(|node| node.tenant.counters.values());
    eventually("all have asked", async || counters().map(|values| values.requests).sum::<u64>() == 12).await;
    eventually("the others wait", async || counters().map(|values| values.leases_waited_for).sum::<u64>() == 2).await;
    assert_eq!(source.fetches(), 1);
    let rest = source.hold_all();
    first.open();
    eventually("nobody waits for another once more", async || source.fetches() == 12).await;
    rest.open();
    let got = asking.await?;
    let mut bodies: Vec<_> = got.iter().map(|got| got.body.clone()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 12, "each has its own");
    // A node that has never asked for it knows as well.
    let late = Node::start(&server.url(), Consistency::Bus, &source).await?;
    let waited_for = || late.tenant.counters.values().leases_waited_for;
    ask_all(std::slice::from_ref(&late), "/mine", 4).await;
    assert_eq!(waited_for(), 0);
    // And when it is storable after all, that is noticed too.
    source.says(FRESH);
    let first = late.get("/mine").await.body;
    eventually("the fleet waits for it again", async || {
        !server
            .connection()
            .unwrap()
            .exists::<_, bool>(format!("sandbar:{{shop}}:l:{:?}", key("/mine").hash()))
            .unwrap()
    })
    .await;
    assert_eq!(nodes[0].get("/mine").await.body, first);
    Ok(())
}

/// Nodes whose requests wait for other nodes for as long as it takes.
async fn patient(fleet: FleetConfig, source: &Arc<Source>) -> anyhow::Result<Vec<Node>> {
    let config = TenantConfig { waiter_deadline: Span::of(PATIENCE * 4), ..tenant(Consistency::Bus) };
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start_with(fleet.clone(), config.clone(), source).await?);
    }
    Ok(nodes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_dies_while_it_fetches_costs_no_more_than_its_lease() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = patient(fleet_config(&server.url()), &source).await?;
    let lifetime = Duration::from_secs(3);
    let Attempt::Mine(lease) = nodes[0].cache.fleet().unwrap().leases().try_acquire(&key("/a"), lifetime).await else {
        panic!("nobody has it")
    };
    let got = in_time("nobody waits as long as for a live one", ask_all(&nodes[1..], "/a", 20)).await;
    assert!(all_are(&got, "0"), "{got:?}");
    assert_eq!(source.fetches(), 1);
    let waited_for = |node: &Node| node.tenant.counters.values().leases_waited_for;
    assert!(nodes[1..].iter().all(|node| waited_for(node) > 0));
    drop(lease);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_fetch_keeps_its_lease() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let lease = Duration::from_secs(2);
    let nodes = patient(FleetConfig { lease, ..fleet_config(&server.url()) }, &source).await?;
    let gate = source.hold_next();
    let asking = tokio::spawn(async move { ask_all(&nodes, "/slow", 5).await });
    let (mut redis, name) = (server.connection()?, format!("sandbar:{{shop}}:l:{:?}", key("/slow").hash()));
    let (mut left_ms, mut renewals) = (0, -1);
    eventually("two leases and a half have gone by, renewed three times each", async || {
        let before_ms = left_ms;
        left_ms = redis.pttl::<_, i64>(&name).unwrap_or_default();
        renewals += i32::from(left_ms > before_ms);
        renewals == 8
    })
    .await;
    gate.open();
    let got = asking.await?;
    assert!(all_are(&got, "0"), "{got:?}");
    assert_eq!(source.fetches(), 1, "nobody else has had it meanwhile");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fill_that_lost_its_lease_does_not_replace_a_newer_one() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    let gate = source.hold_next();
    let late = tokio::spawn({
        let node = nodes[0].clone();
        async move { node.get("/a").await }
    });
    eventually("it has asked", async || source.fetches() == 1).await;
    // As if it had slept through its lease.
    server.connection()?.del::<_, ()>(format!("sandbar:{{shop}}:l:{:?}", key("/a").hash()))?;
    assert_eq!(nodes[1].get("/a").await.body, "1");
    // Its client had the answer before L2 has.
    eventually("the newer one is stored", async || {
        server.connection().unwrap().exists::<_, bool>(format!("sandbar:{{shop}}:f:{:?}", key("/a").hash())).unwrap()
    })
    .await;
    gate.open();
    assert_eq!(late.await?.body, "0", "its own client gets what it has waited for");
    eventually("it steps aside", async || nodes[0].tenant.counters.values().fills_fenced == 1).await;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_fetch_whose_answer_has_been_purged() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    let gate = source.hold_next();
    let early = tokio::spawn({
        let node = nodes[0].clone();
        async move { node.get("/a").await }
    });
    eventually("it has asked", async || source.fetches() == 1).await;
    nodes[1].purge("/a").await;
    assert_eq!(nodes[1].get("/a").await.body, "1");
    assert_eq!(nodes[1].tenant.counters.values().leases_waited_for, 0);
    gate.open();
    assert_eq!(early.await?.body, "0");
    assert!(all_are(&ask_all(&nodes, "/a", 2).await, "1"));
    Ok(())
}
