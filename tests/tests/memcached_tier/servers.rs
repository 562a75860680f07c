//! Real servers, in good days and bad ones.

use sandbar::tier::memcached::{MemcachedConfig, Numbering};
use sandbar_tests::memcached_server::MemcachedServer;
use sandbar_tests::wait::eventually;

use super::*;

#[tokio::test]
async fn entries_are_stored_read_together_and_removed() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let tier = member(&[server.address()]).await?;
    for n in 0..20 {
        put(&tier, n, usize::try_from(n)? * 5000).await?;
    }
    let keys: Vec<_> = (0..200).map(|n| key("shop", n)).collect();
    let entries = tier.get(&keys).await?;
    assert_eq!(entries.len(), 200);
    for (n, found) in (0..200_u64).zip(&entries) {
        let expected = (n < 20).then(|| body(n, n as usize * 5000));
        assert_eq!(body_of(found.as_ref()), expected.as_deref(), "entry {n}");
    }
    tier.remove(&keys[3]).await?;
    tier.remove(&keys[3]).await?;
    assert_eq!(get(&tier, 3).await?, None);
    assert_eq!(tier.get(&[]).await?, []);
    let health = tier.health();
    assert_eq!((health.errors, health.unreadable, health.left_out), (0, 0, 0));
    assert!(health.available && health.servers.iter().all(|server| server.available));
    Ok(())
}

#[tokio::test]
async fn entry_is_kept_until_its_time_and_no_longer_than_the_longest() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let config = MemcachedConfig { lifetime_max: 2 * HOUR, ..config(&[server.address()], Numbering::Fleet) };
    let tier = opened(&config).await?;
    let now = SystemClock.now();
    for (n, lifetime) in [(1, HOUR), (2, 1000 * HOUR), (3, Duration::ZERO), (4, Duration::from_millis(1))] {
        let key = key("shop", n);
        tier.put(&key, entry(&key, body(n, 10), 0, now), now.saturating_add(lifetime)).await?;
    }
    let left_s = |n: u64| -> anyhow::Result<Option<u64>> {
        let answer = server.ask(&format!("mg sandbar:{:032x} t", key("shop", n).hash().0))?.remove(0);
        Ok(answer.strip_prefix("HD t").map(str::parse).transpose()?)
    };
    assert!(left_s(1)?.is_some_and(|s| (3540..=3600).contains(&s)), "{:?}", left_s(1)?);
    assert!(left_s(2)?.is_some_and(|s| (7140..=7200).contains(&s)), "{:?}", left_s(2)?);
    assert_eq!(left_s(3)?, None, "it is not there");
    eventually("what had its time is gone", async || get(&tier, 4).await.is_ok_and(|found| found.is_none())).await;
    Ok(())
}

#[tokio::test]
async fn each_server_has_its_part_and_a_killed_one_costs_that_part_alone() -> anyhow::Result<()> {
    let (Some(first), Some(mut second)) = (MemcachedServer::start()?, MemcachedServer::start()?) else { return Ok(()) };
    let servers = [first.address(), second.address()];
    let tier = member(&servers).await?;
    for n in 0..200 {
        put(&tier, n, 100).await?;
    }
    let parts = [first.stat("curr_items")?, second.stat("curr_items")?];
    assert!(parts.iter().all(|part| *part > 50), "{parts:?}");

    second.kill();
    let keys: Vec<_> = (0..200).map(|n| key("shop", n)).collect();
    let found = tier.get(&keys).await?.iter().flatten().count();
    assert!((50..150).contains(&found), "{found}");
    eventually("it is known to be down", async || !tier.health().servers[1].available).await;
    let health = tier.health();
    assert!(health.available && health.servers[0].available, "the other one is asked: {health:?}");
    let mut refused = 0;
    for n in 0..200 {
        refused += u32::from(put(&tier, n, 100).await.is_err());
    }
    assert!((50..150).contains(&refused), "{refused}");

    second.restart()?;
    eventually("it is asked again", async || tier.health().available && tier.health().servers[1].available).await;
    assert!(tier.get(&keys).await?.iter().flatten().count() < 200, "it came back empty");
    for n in 0..200 {
        put(&tier, n, 100).await?;
    }
    assert_eq!(tier.get(&keys).await?.iter().flatten().count(), 200);
    Ok(())
}

#[tokio::test]
async fn a_server_that_stands_still_is_left_alone_and_heals() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let short = MemcachedConfig {
        deadline: Duration::from_millis(100),
        connect_deadline: Duration::from_millis(500),
        ..config(&[server.address()], Numbering::Fleet)
    };
    let tier = opened(&short).await?;
    eventually("it is stored", async || put(&tier, 1, 100).await.is_ok()).await;
    server.pause()?;
    for _ in 0..4 {
        assert!(matches!(get(&tier, 1).await, Err(TierError::Deadline { .. })), "{:?}", tier.health());
    }
    eventually("it is asked no more", async || matches!(get(&tier, 1).await, Err(TierError::Open { .. }))).await;
    assert!(!tier.health().available);
    server.resume()?;
    let expected = Some(body(1, 100));
    eventually("what it had is there again", async || get(&tier, 1).await.is_ok_and(|found| found == expected)).await;
    Ok(())
}

#[tokio::test]
async fn a_restart_between_two_calls_costs_none_of_them() -> anyhow::Result<()> {
    let Some(mut server) = MemcachedServer::start()? else { return Ok(()) };
    let tier = member(&[server.address()]).await?;
    put(&tier, 1, 100).await?;
    assert_eq!(get(&tier, 1).await?, Some(body(1, 100)));
    server.restart()?;
    assert_eq!(get(&tier, 1).await?, None, "it has forgotten all");
    put(&tier, 1, 100).await?;
    assert_eq!(get(&tier, 1).await?, Some(body(1, 100)));
    assert_eq!(tier.health().errors, 0);
    Ok(())
}

#[tokio::test]
async fn what_the_server_would_not_take_is_left_out_with_what_it_would_replace() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let large = MemcachedConfig { value_max_bytes: 2 << 20, ..config(&[server.address()], Numbering::Fleet) };
    let tier = opened(&large).await?;
    put(&tier, 1, 1000).await?;
    let refused = put(&tier, 1, 1_050_000).await.expect_err("it is too large");
    assert!(refused.to_string().contains("larger than"), "{refused}");
    assert_eq!(get(&tier, 1).await?, None, "what it would have replaced is not found in its place");
    for bytes in [1_000_000, 1_046_000, 1_047_000, 1_047_200, 1_047_400, 1_048_000] {
        let is_stored = put(&tier, 2, bytes).await.is_ok();
        assert_eq!(get(&tier, 2).await?.is_some(), is_stored, "{bytes}");
    }
    let health = tier.health();
    assert!(health.left_out > 0 && health.errors == 0 && health.available, "{health:?}");

    let bounded = MemcachedConfig { value_max_bytes: 2000, ..config(&[server.address()], Numbering::Fleet) };
    let bounded = opened(&bounded).await?;
    put(&tier, 3, 10_000).await?;
    put(&tier, 4, 1000).await?;
    assert_eq!(get(&bounded, 3).await?, None, "it reads no more than it would store");
    assert_eq!(get(&bounded, 4).await?, Some(body(4, 1000)), "on the same connection");
    assert_eq!((bounded.health().unreadable, bounded.health().errors), (1, 0));
    Ok(())
}

#[tokio::test]
async fn many_callers_share_the_connections() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let config = MemcachedConfig { connections_max: 3, ..config(&[server.address()], Numbering::Fleet) };
    let tier = opened(&config).await?;
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..20_u64 {
        let tier = Arc::clone(&tier);
        callers.spawn(async move {
            for round in 0..20 {
                let n = caller * 100 + round;
                put(&tier, n, 20_000).await?;
                assert_eq!(get(&tier, n).await?, Some(body(n, 20_000)), "each gets its own");
                // A caller that goes away in the middle of a reply leaves it to nobody.
                let tier = Arc::clone(&tier);
                tokio::spawn(async move { get(&tier, n).await }).abort();
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    assert_eq!((tier.health().errors, tier.health().unreadable), (0, 0));
    assert!(server.stat("max_connections").is_ok() && server.stat("curr_connections")? <= 10);
    Ok(())
}
