//! `ttl`: the target alone, on this node and in its L2.

use std::sync::Arc;

use http::Method;
use redis::Commands;
use sandbar::strategy::Strategy;
use sandbar::tenant::config::WriteConfig;
use sandbar::tier::disk::{DiskConfig, DiskTier};
use sandbar_tests::node::Node;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;

use super::shelf::Shelf;
use super::{FRESH, alone, content, fleet, put, read, said, tenant};

#[tokio::test]
async fn the_target_is_invalid_and_what_the_response_names_is_not() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&tenant(Strategy::Ttl, |_| {}), &shelf);
    for target in ["/a/1", "/a/2"] {
        put(&node, target, "old").await;
        read(&node, target).await;
    }
    shelf.of_writes.lock().insert("location", "/a/2".parse().unwrap());
    put(&node, "/a/1", "new").await;
    assert_eq!(read(&node, "/a/1").await, said("origin", "new"));
    assert_eq!(read(&node, "/a/2").await, said("l1", "old"));
    // Elsewhere, where the strategy is to invalidate, it is.
    put(&node, "/b", "new").await;
    assert_eq!(read(&node, "/a/2").await.0, "origin");
}

#[tokio::test]
async fn a_class_may_let_what_is_stored_live_on() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&tenant(Strategy::Ttl, |class| class.ttl_invalidates = Some(false)), &shelf);
    put(&node, "/a/1", "old").await;
    read(&node, "/a/1").await;
    put(&node, "/a/1", "new").await;
    assert_eq!(read(&node, "/a/1").await, said("l1", "old"));
}

#[tokio::test]
async fn method_or_field_may_pick_the_strategy_of_a_write() {
    let shelf = Shelf::new(FRESH);
    let keeping = tenant(Strategy::Ttl, |class| {
        class.ttl_invalidates = Some(false);
        let invalidate = WriteConfig { strategy: Strategy::Invalidate, ..WriteConfig::default() };
        class.write = vec![
            WriteConfig { methods: vec!["DELETE".into()], ..invalidate.clone() },
            WriteConfig { field: Some("x-now".into()), ..invalidate },
        ];
    });
    let node = alone(&keeping, &shelf);
    for (method, fields, is_kept) in
        [(Method::PUT, &[][..], true), (Method::DELETE, &[][..], false), (Method::PUT, &[("x-now", "")][..], false)]
    {
        read(&node, "/a/1").await;
        node.ask(method.clone(), "/a/1", fields, content("new")).await;
        assert_eq!(read(&node, "/a/1").await.0 == "l1", is_kept, "{method} {fields:?}");
    }
}

#[tokio::test]
async fn a_failed_write_changes_nothing() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&tenant(Strategy::Ttl, |_| {}), &shelf);
    read(&node, "/a/1").await;
    let broken = || {
        let frame = Err::<hyper::body::Frame<bytes::Bytes>, _>(std::io::Error::other("gone"));
        sandbar::body::boxed(http_body_util::StreamBody::new(futures_util::stream::iter([frame])))
    };
    let got = node.ask(Method::PUT, "/a/1", &[], broken()).await;
    assert_eq!(got.status, 400, "{got:?}");
    assert_eq!(shelf.holds("/a/1").0, 0);
    assert_eq!(read(&node, "/a/1").await.0, "origin", "it may have been taken, for all that is known");
    let keeping = alone(&tenant(Strategy::Ttl, |class| class.ttl_invalidates = Some(false)), &shelf);
    read(&keeping, "/a/1").await;
    assert_eq!(keeping.ask(Method::PUT, "/a/1", &[], broken()).await.status, 400);
    assert_eq!(read(&keeping, "/a/1").await.0, "l1", "whatever is written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_writes_as_may_come_empty_no_cache() -> anyhow::Result<()> {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let shelf = Shelf::new(FRESH);
    let nodes = fleet(&server, &tenant(Strategy::Ttl, |_| {}), &shelf, 2).await;
    for node in &nodes {
        read(node, "/b/other").await;
        assert_eq!(read(node, "/b/other").await.0, "l1");
    }
    server.kill();
    for _ in 0..12_000 {
        put(&nodes[0], "/a/1", "new").await;
    }
    server.restart()?;
    eventually("they are recorded", async || read(&nodes[1], "/a/1").await.1 == "new").await;
    for node in &nodes {
        assert_eq!((read(node, "/b/other").await.0.as_str(), node.tenant.barriers.overflows()), ("l1", 0));
    }
    Ok(())
}

#[tokio::test]
async fn what_a_disk_has_is_not_found_again_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let shelf = Shelf::new(FRESH);
    let start = || {
        let clock = Arc::<sandbar_tests::node::SteppedClock>::default();
        let disk = DiskTier::open(&DiskConfig::new(dir.path(), 64 << 20), clock.clone()).unwrap();
        Node::alone(tenant(Strategy::Ttl, |_| {}), shelf.clone(), clock, Some(disk)).unwrap()
    };
    let node = start();
    put(&node, "/a/1", "old").await;
    read(&node, "/a/1").await;
    node.cache.drain().await;
    drop(node);
    let node = start();
    assert_eq!(read(&node, "/a/1").await, said("disk", "old"));
    put(&node, "/a/1", "new").await;
    node.cache.drain().await;
    drop(node);
    let node = start();
    assert_eq!(read(&node, "/a/1").await, said("origin", "new"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_are_not_told_and_find_nothing_old_in_l2() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let shelf = Shelf::new(FRESH);
    let nodes = fleet(&server, &tenant(Strategy::Ttl, |_| {}), &shelf, 3).await;
    put(&nodes[0], "/a/1", "old").await;
    assert_eq!(read(&nodes[0], "/a/1").await, said("origin", "old"));
    eventually("it is in L2", async || read(&nodes[1], "/a/1").await.0 != "origin").await;
    let told = nodes[0].cache.fleet_report().unwrap().bus.published;
    put(&nodes[0], "/a/1", "new").await;
    assert_eq!(nodes[0].cache.purges_pending(), 0, "nobody is to be told");
    assert_eq!(nodes[0].cache.fleet_report().unwrap().bus.published, told);
    assert_eq!(read(&nodes[1], "/a/1").await, said("l1", "old"), "its entry lives until its lifetime ends");
    assert_eq!(read(&nodes[0], "/a/1").await, said("origin", "new"));
    eventually("it is in L2", async || read(&nodes[2], "/a/1").await == said("redis", "new")).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_is_told_when_it_is_back() -> anyhow::Result<()> {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let shelf = Shelf::new(FRESH);
    let nodes = fleet(&server, &tenant(Strategy::Ttl, |_| {}), &shelf, 2).await;
    put(&nodes[0], "/a/1", "old").await;
    read(&nodes[0], "/a/1").await;
    let mut redis = server.connection()?;
    eventually("it is in L2", async || {
        redis.keys::<_, Vec<String>>("sandbar:*:e:*").is_ok_and(|keys| !keys.is_empty())
    })
    .await;
    server.kill();
    let got = put(&nodes[0], "/a/1", "new").await;
    assert!(!got.cache_status.contains("purge-pending"), "{got:?}");
    assert_eq!(read(&nodes[0], "/a/1").await, said("origin", "new"));
    server.restart()?;
    eventually("it is recorded", async || read(&nodes[1], "/a/1").await.1 == "new").await;
    Ok(())
}
