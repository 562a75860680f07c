//! What one node purges, none of them serves.

use std::collections::HashMap;

use http::Method;
use redis::Commands;
use sandbar::barrier::Scope;
use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar_tests::node::{Node, Source, ask_all, fleet_config, tenant};
use sandbar_tests::ports::free_port;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::scope::{prefix, target};
use sandbar_tests::wait::eventually;

use crate::{FRESH, all_are, fleet};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_on_one_node_is_heard_by_all() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    for (round, scope) in
        [target("http://h/a"), Scope::SurrogateKey("all".into()), prefix(None, "/"), Scope::Everything]
            .into_iter()
            .enumerate()
    {
        assert!(all_are(&ask_all(&nodes, "/a", 1).await, &round.to_string()));
        let report = nodes[0].purge_scope(scope).await;
        assert_eq!((report.recorded, report.pending, report.failed), (1, 0, 0), "{report:?}");
        let old = round.to_string();
        for node in &nodes {
            eventually("the purge has come", async || node.get("/a").await.body != old).await;
        }
    }
    assert_eq!(source.fetches(), 5, "one fetch after each");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_on_one_node_is_heard_by_all() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "0"));
    let written = nodes[0].send(Method::PUT, "/a").await;
    assert!(!written.cache_status.contains("purge-pending"), "{written:?}");
    for node in &nodes {
        eventually("the write has come", async || node.get("/a").await.body == "2").await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fill_begun_before_another_nodes_purge_is_never_seen_after_it() -> anyhow::Result<()> {
    for consistency in [Consistency::Eventual, Consistency::Bus] {
        let server = RedisServer::start()?;
        let source = Source::new(FRESH);
        let nodes = fleet(&server, consistency, &source).await?;
        for scope in [target("http://h/a"), Scope::SurrogateKey("all".into()), Scope::Everything] {
            let first = source.fetches();
            let refused = || nodes[0].tenant.counters.values().fills_purged;
            let before = refused();
            let gate = source.hold_next();
            let early = tokio::spawn({
                let node = nodes[0].clone();
                async move { node.get("/a").await }
            });
            eventually("it has asked", async || source.fetches() == first + 1).await;
            assert_eq!(nodes[1].purge_scope(scope.clone()).await.recorded, 1);
            gate.open();
            assert_eq!(early.await?.body, first.to_string(), "it began before");
            eventually("it is refused", async || refused() > before).await;
            let got = ask_all(&nodes, "/a", 3).await;
            assert!(all_are(&got, &(first + 1).to_string()), "{consistency} {scope:?}: {got:?}");
            nodes[2].purge_scope(Scope::Everything).await;
            for node in &nodes[..2] {
                let told = nodes[2].tenant.barriers.current();
                eventually("it has heard", async || node.tenant.barriers.current() >= told).await;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_after_a_purge_does_not_join_a_fetch_from_before() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let node = Node::start(&server.url(), Consistency::Bus, &source).await?;
    for scope in [target("http://h/a"), Scope::SurrogateKey("all".into())] {
        let first = source.fetches();
        let gate = source.hold_next();
        let early = tokio::spawn({
            let node = node.clone();
            async move { node.get("/a").await }
        });
        eventually("it has asked", async || source.fetches() == first + 1).await;
        node.purge_scope(scope.clone()).await;
        let late = tokio::spawn({
            let node = node.clone();
            async move { ask_all(&[node], "/a", 10).await }
        });
        eventually("they have asked", async || source.fetches() == first + 2).await;
        gate.open();
        assert_eq!(early.await?.body, first.to_string());
        let late = late.await?;
        assert!(all_are(&late, &(first + 1).to_string()), "{scope:?}: {late:?}");
        assert_eq!(source.fetches(), first + 2, "those after it share one");
        node.purge_scope(Scope::Everything).await;
    }
    Ok(())
}

/// The purges of the tenant that Redis has on record.
fn recorded(server: &RedisServer) -> anyhow::Result<u64> {
    Ok(server.connection()?.zcard("sandbar:{shop}:barriers")?)
}

/// The newest message of each partition of the bus, as fields and values.
fn newest_messages(server: &RedisServer) -> anyhow::Result<Vec<HashMap<String, Vec<u8>>>> {
    let mut redis = server.connection()?;
    let streams: Vec<String> = redis.keys("sandbar:{bus}:*:stream")?;
    let newest = streams.iter().map(|stream| {
        let messages: Vec<(String, HashMap<String, Vec<u8>>)> = redis.xrevrange_count(stream, "+", "-", 1)?;
        Ok(messages.into_iter().map(|(_, fields)| fields))
    });
    Ok(newest.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_is_recorded_and_told_in_one_step() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let node = Node::start(&server.url(), Consistency::Bus, &Source::new(FRESH)).await?;
    assert_eq!(node.purge("/a").await.recorded, 1);
    let sequence: String = server.connection()?.get("sandbar:{shop}:seq")?;
    let messages = newest_messages(&server)?;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].get("s").map(Vec::as_slice), Some(sequence.as_bytes()), "{messages:?}");
    assert_eq!(recorded(&server)?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_takes_no_script_over_two_hash_tags_is_asked_twice() -> anyhow::Result<()> {
    let bus = free_port()?.to_string();
    let server = RedisServer::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus])?;
    redis::cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(0).arg(16_383).query::<()>(&mut server.connection()?)?;
    let is_up = || -> anyhow::Result<bool> {
        let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut server.connection()?)?;
        Ok(info.contains("cluster_state:ok"))
    };
    eventually("all slots are served", async || is_up().unwrap_or(false)).await;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "0"));
    let report = nodes[0].purge("/a").await;
    assert_eq!((report.recorded, report.pending), (1, 0), "{report:?}");
    assert!(newest_messages(&server)?.iter().all(|message| !message.contains_key("s")));
    for node in &nodes {
        eventually("the purge has come", async || node.get("/a").await.body != "0").await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_that_comes_too_fast_to_be_told_is_recorded_all_the_same() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let slow = FleetConfig { purges_per_second: 1, ..fleet_config(&server.url()) };
    let node = Node::start_with(slow, tenant(Consistency::Bus), &source).await?;
    let (mut told, mut held_back) = (0, 0);
    while held_back == 0 {
        let report = node.purge(&format!("/{told}")).await;
        (told, held_back) = (told + report.recorded, report.pending);
    }
    assert!(told >= 4, "a burst is let through");
    assert_eq!(recorded(&server)?, told as u64 + 1);
    eventually("it is told when its time has come", async || node.cache.purges_pending() == 0).await;
    Ok(())
}
