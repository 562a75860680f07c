//! Gateways over memcached, set up as an operator would.

use sandbar_tests::client::Answer;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant_over};
use sandbar_tests::memcached_server::MemcachedServer;
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;

fn settings(servers: &[&MemcachedServer], more: &str, origin: &Origin) -> String {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.address())).collect();
    let l2 = format!(
        "[l2]\nkind = \"memcached\"\n[l2.memcached]\nservers = [{}]\ndeadline = \"10s\"\n{more}",
        servers.join(", ")
    );
    one_tenant_over(&l2, &origin.url(), "")
}

async fn numbers() -> anyhow::Result<Origin> {
    Origin::start(|request| Reply::ok(request.number.to_string()).field("cache-control", "max-age=600")).await
}

async fn purge_everything(gateway: &TestGateway) -> anyhow::Result<Answer> {
    gateway.admin("POST", &format!("/tenants/{TENANT}/purge"), "application/json", r#"{"scope": "everything"}"#).await
}

/// Waits until all servers are asked.
async fn is_connected(gateway: &TestGateway) {
    let all = async || {
        gateway.cache().l2_health().is_some_and(|(_, health)| health.servers.iter().all(|server| server.available))
    };
    eventually("memcached is connected", all).await;
}

/// What is stored is in memcached by then.
async fn is_stored(gateway: &TestGateway) {
    sandbar_tests::wait::settled(gateway.cache()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_stored_another_finds_and_a_restart_keeps() -> anyhow::Result<()> {
    let (Some(one), Some(two)) = (MemcachedServer::start()?, MemcachedServer::start()?) else { return Ok(()) };
    let origin = numbers().await?;
    let a = TestGateway::start(&settings(&[&one, &two], "", &origin)).await?;
    let b = TestGateway::start(&settings(&[&two, &one], "", &origin)).await?;
    is_connected(&a).await;
    is_connected(&b).await;
    for n in 0..20 {
        let (target, expected) = (format!("/{n}"), n.to_string());
        assert_eq!(a.client("shop.test").get(&target).await?.text(), expected);
        is_stored(&a).await;
        let found = b.client("shop.test").get(&target).await?;
        assert_eq!(found.text(), expected);
        assert!(found.cache_status().as_str().contains("detail=memcached"), "{:?}", found.cache_status());
    }
    let metrics = a.admin("GET", "/metrics", "", "").await?.text();
    assert!(metrics.contains("sandbar_l2_server_available{tier=\"memcached\",server=\""), "{metrics}");
    let a = a.restart().await?;
    is_connected(&a).await;
    assert_eq!(a.client("shop.test").get("/7").await?.text(), "7");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_holds_here_at_once_and_over_a_restart() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let origin = numbers().await?;
    let a = TestGateway::start(&settings(&[&server], "", &origin)).await?;
    let b = TestGateway::start(&settings(&[&server], "", &origin)).await?;
    is_connected(&a).await;
    is_connected(&b).await;
    // What the other node has fetched before a purge does not come back after it, whoever stored it.
    assert_eq!(b.client("shop.test").get("/").await?.text(), "0");
    is_stored(&b).await;
    assert_eq!(a.client("shop.test").get("/").await?.text(), "0");
    assert_eq!(purge_everything(&a).await?.status, 200);
    a.drop_l1();
    let a = a.restart().await?;
    is_connected(&a).await;
    assert_eq!(a.client("shop.test").get("/").await?.text(), "1");
    assert_eq!(b.client("shop.test").get("/").await?.text(), "0", "the other one is told nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_redis_beside_it_the_other_gateway_hears_of_a_purge() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let (redis, origin) = (RedisServer::start()?, numbers().await?);
    let more = format!("[l2.redis]\ndeadline = \"10s\"\n[fleet]\ncontrol_url = \"{}\"\n", redis.url());
    let settings = settings(&[&server], &more, &origin);
    let (a, b) = (TestGateway::start(&settings).await?, TestGateway::start(&settings).await?);
    for gateway in [&a, &b] {
        is_connected(gateway).await;
        gateway.hears().await;
    }
    eventually("purges are recorded", async || purge_everything(&a).await.is_ok_and(|answer| answer.status == 200))
        .await;
    let first = a.client("shop.test").get("/").await?.text();
    is_stored(&a).await;
    assert_eq!(b.client("shop.test").get("/").await?.text(), first, "found in memcached");
    assert_eq!(purge_everything(&a).await?.status, 200);
    let mut to_b = b.client("shop.test");
    eventually("the other one has heard", async || to_b.get("/").await.is_ok_and(|answer| answer.text() != first))
        .await;
    let second = to_b.get("/").await?.text();
    assert_eq!(a.client("shop.test").get("/").await?.text(), second, "what memcached had before the purge is gone");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_serves_while_memcached_is_down() -> anyhow::Result<()> {
    let Some(mut server) = MemcachedServer::start()? else { return Ok(()) };
    let origin = numbers().await?;
    server.kill();
    let a = TestGateway::start(&settings(&[&server], "", &origin)).await?;
    assert_eq!(a.client("shop.test").get("/").await?.text(), "0");
    assert_eq!(a.client("shop.test").get("/").await?.text(), "0", "from memory");
    assert_eq!(purge_everything(&a).await?.status, 200, "purges are recorded on the disk");
    server.restart()?;
    is_connected(&a).await;
    assert_eq!(a.client("shop.test").get("/").await?.text(), "1");
    is_stored(&a).await;
    a.drop_l1();
    assert_eq!(a.client("shop.test").get("/").await?.text(), "1", "from memcached");
    Ok(())
}
