//! Responses that carry their version.

use std::time::Duration;

use sandbar::consistency::Consistency;
use sandbar::tenant::config::{ClassConfig, TenantConfig};
use sandbar_tests::node::{Node, Source, ask_all, fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;

use crate::{FRESH, all_are};

/// A tenant whose responses carry their version.
fn versioned() -> TenantConfig {
    let class = ClassConfig {
        name: "all".into(),
        path: "/**".into(),
        consistency: Some(Consistency::Versioned),
        version_field: Some("x-version".into()),
        ..ClassConfig::default()
    };
    TenantConfig { classes: vec![class], ..tenant(Consistency::Eventual) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_version_on_one_node_takes_the_older_one_from_the_others() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("max-age=600, stale-while-revalidate=600");
    let start = || Node::start_with(fleet_config(&server.url()), versioned(), &source);
    let (a, b) = (start().await?, start().await?);
    assert!(all_are(&ask_all(&[a.clone(), b.clone()], "/a", 1).await, "0"));
    source.clock.step(Duration::from_secs(601));
    source.says(FRESH);
    eventually("it is refreshed", async || a.get("/a").await.body == "1").await;
    eventually("the other node has let it go", async || b.tenant.memory_stats().entries == 0).await;
    let got = b.get("/a").await;
    assert_eq!(got.body, "1", "without a stale answer first: {got:?}");
    assert_eq!(source.fetches(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_version_from_the_origin_is_not_stored_until_a_purge_forgets_the_newer_one() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("max-age=600");
    let start = || Node::start_with(fleet_config(&server.url()), versioned(), &source);
    let (a, b) = (start().await?, start().await?);
    source.version(5);
    assert!(all_are(&ask_all(&[a.clone(), b.clone()], "/a", 1).await, "0"));
    source.clock.step(Duration::from_secs(601));
    source.says(FRESH);
    source.version(4);
    for (node, body) in [(&a, "1"), (&b, "2")] {
        let got = node.get("/a").await;
        assert!(got.body == body && got.cache_status.contains("older-version"), "{got:?}");
    }
    source.version(5);
    assert_eq!(a.get("/a").await.body, "3");
    assert_eq!(b.get("/a").await.body, "3", "the same version again is stored");
    source.version(4);
    a.purge("/a").await;
    assert_eq!(a.get("/a").await.body, "4");
    eventually("a purge resets it everywhere", async || b.get("/a").await.body == "4").await;
    assert!(a.get("/a").await.cache_status.contains("hit"));
    Ok(())
}
