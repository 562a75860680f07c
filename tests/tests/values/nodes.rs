//! Two nodes that share a Redis.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use redis::Commands;
use sandbar::Sandbar;
use sandbar::barrier::Purge;
use sandbar::consistency::Consistency;
use sandbar::tenant::config::TenantConfig;
use sandbar::values::{Fate, Lookup, Values};
use sandbar_tests::node::fleet_config;
use sandbar_tests::origin::Gate;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{PATIENCE, eventually};

use super::{TENANT, counted, minute};

async fn node(server: &RedisServer) -> anyhow::Result<Sandbar> {
    let tenant = TenantConfig { consistency: Consistency::Bus, ..TenantConfig::named(TENANT) };
    let sandbar = Sandbar::builder().tenant(tenant).native_only().redis(server.url()).build()?;
    sandbar.cache().join_fleet(&fleet_config(&server.url()))?;
    assert!(sandbar.cache().fleet().expect("it has joined").bus().ready(PATIENCE).await);
    Ok(sandbar)
}

fn numbers(sandbar: &Sandbar) -> Values<usize> {
    sandbar.values(TENANT, "numbers").expect("a name").keeping(minute().surrogate_key("all"))
}

/// Waits until a node has heard of what the other one has done, which a `Bus` class promises within moments.
async fn comes_to(values: &Values<usize>, expected: Lookup<usize>) {
    let is_so = async || values.get("key").await.is_ok_and(|found| found == expected);
    eventually(&format!("it comes to {expected:?}"), is_so).await;
}

#[tokio::test]
async fn what_one_node_purges_or_puts_no_node_gives_out() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let (one, other) = (node(&server).await?, node(&server).await?);
    let (here, there) = (numbers(&one), numbers(&other));
    let loaded = here.get_or_load("key", async || Ok::<_, Infallible>(1)).await?;
    assert_eq!(loaded.as_deref(), Some(&1));
    assert_eq!(there.get("key").await?.into_value().as_deref(), Some(&1), "from Redis");
    let report = here.put("key", 2).await?;
    assert_eq!((report.recorded, report.failed), (1, 0), "{report:?}");
    comes_to(&there, Lookup::Value(Arc::new(2))).await;
    there.delete("key").await?;
    comes_to(&here, Lookup::Miss).await;
    here.put("key", 3).await?;
    comes_to(&there, Lookup::Value(Arc::new(3))).await;
    other.purge(TENANT, &[Purge::surrogate_key("all")]).await?;
    comes_to(&here, Lookup::Miss).await;

    // A reader on one node that a writer on the other overtakes; and writers on both. None of them need have heard anything.
    for _ in 0..20 {
        let reservation = here.begin("key")?;
        there.delete("key").await?;
        assert_eq!(reservation.fill(4).await?, Fate::Overtaken);
        let (mine, theirs) = (here.begin("key")?, there.begin("key")?);
        mine.replace(5).await?;
        assert_eq!(theirs.replace(6).await?.fate, Fate::Overtaken);
        comes_to(&here, Lookup::Miss).await;
        comes_to(&there, Lookup::Miss).await;
    }
    assert_eq!(here.begin("key")?.replace(7).await?.fate, Fate::Stored);
    comes_to(&there, Lookup::Value(Arc::new(7))).await;
    Ok(())
}

#[tokio::test]
async fn one_node_loads_for_all() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let (one, other) = (node(&server).await?, node(&server).await?);
    let (loads, gate) = (Arc::new(AtomicUsize::new(0)), Gate::closed());
    let ask = |sandbar: &Sandbar| {
        let (values, loads, gate) = (numbers(sandbar), Arc::clone(&loads), gate.clone());
        tokio::spawn(async move {
            let load = async move || {
                let number = loads.fetch_add(1, Ordering::SeqCst);
                gate.passed().await;
                Ok::<_, Infallible>(number)
            };
            values.get_or_load("key", load).await
        })
    };
    let first = ask(&one);
    eventually("it is loaded", async || gate.waiting() > 0).await;
    let second = ask(&other);
    eventually("the other waits", async || counted(&other).leases_waited_for > 0).await;
    gate.open();
    for asked in [first, second] {
        assert_eq!(asked.await?.expect("a value").as_deref(), Some(&0));
    }
    assert_eq!(loads.load(Ordering::SeqCst), 1);
    Ok(())
}

#[tokio::test]
async fn nonsense_in_redis_is_a_miss() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let sandbar = node(&server).await?;
    let values = numbers(&sandbar);
    values.put("key", 1).await?;
    let mut redis = server.connection()?;
    let keys: Vec<String> = redis.keys(format!("sandbar:{{{TENANT}}}:e:*"))?;
    assert_eq!(keys.len(), 1, "{keys:?}");
    for nonsense in [&b""[..], b"SBE", &[0xff; 1000]] {
        let _: () = redis.set(&keys[0], nonsense)?;
        sandbar.tenant(TENANT)?.clear_memory();
        assert_eq!(values.get("key").await?, Lookup::Miss);
        let loaded = values.get_or_load("key", async || Ok::<_, Infallible>(2)).await?;
        assert_eq!(loaded.as_deref(), Some(&2));
    }
    Ok(())
}
