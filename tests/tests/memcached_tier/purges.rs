//! Purges of nodes that number them alone, over servers that compare nothing.

use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::clock::{ManualClock, Timestamp};
use sandbar::http::entry::Entry;
use sandbar::tier::memcached::Numbering;
use sandbar::tier::{BarrierStore, Recorded};
use sandbar_tests::memcached_server::MemcachedServer;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A node with a clock of its own, which stands `after_s` seconds after [`NOW`].
async fn node_at(servers: &[String], dir: &Path, after_s: u64) -> anyhow::Result<Arc<MemcachedTier>> {
    let config = config(servers, Numbering::Node(dir.to_owned()));
    let tier = MemcachedTier::open(&config, Arc::new(ManualClock::starting_at(at(after_s)))).await?;
    assert!(tier.ready(PATIENCE).await, "no connection: {:?}", tier.health());
    Ok(tier)
}

fn at(after_s: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(after_s))
}

/// Stores an entry that was asked for then, under a purge sequence of the storing node's.
async fn put_at(tier: &MemcachedTier, n: u64, sequence: u64, after_s: u64) -> anyhow::Result<()> {
    let key = key("shop", n);
    Ok(tier.put(&key, entry(&key, body(n, 100), sequence, at(after_s)), at(after_s).saturating_add(HOUR)).await?)
}

/// The sequence of an entry as a node sees it.
async fn sequence(tier: &MemcachedTier, n: u64) -> anyhow::Result<Option<u64>> {
    Ok(tier.get(&[key("shop", n)]).await?.remove(0).as_ref().map(Entry::sequence))
}

async fn purge(tier: &MemcachedTier, n: u64, after_s: u64) -> anyhow::Result<Recorded> {
    let purge = Purge { scope: Scope::SurrogateKey(format!("product-{n}")), mode: PurgeMode::Hard };
    Ok(tier.raise("shop", &purge, 0, at(after_s)).await?)
}

#[tokio::test]
async fn an_entry_of_another_node_is_as_old_as_the_purges_of_this_one_that_came_after_it() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let (dir_a, dir_b) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let servers = [server.address()];
    let (a, b) = (node_at(&servers, dir_a.path(), 0).await?, node_at(&servers, dir_b.path(), 0).await?);
    // B has purged much: its numbers are high, and say nothing to A.
    let mut high = 0;
    for n in 0..50 {
        high = purge(&b, n, 1).await?.sequence;
    }
    put_at(&b, 1, high, 10).await?;
    let first = purge(&a, 1, 100).await?.sequence;
    put_at(&b, 2, high, 101).await?;
    put_at(&b, 3, high, 103).await?;
    let second = purge(&a, 2, 200).await?.sequence;
    put_at(&b, 4, high, 300).await?;
    assert_eq!(sequence(&a, 1).await?, Some(first - 1), "before the first");
    assert_eq!(sequence(&a, 2).await?, Some(first - 1), "their clocks may differ so much");
    assert_eq!(sequence(&a, 3).await?, Some(first));
    assert_eq!(sequence(&a, 4).await?, Some(second));
    put_at(&a, 5, first, 90).await?;
    assert_eq!(sequence(&a, 5).await?, Some(first), "its own number it knows");
    assert_eq!(sequence(&b, 4).await?, Some(high));
    Ok(())
}

#[tokio::test]
async fn purges_hold_over_a_restart() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let (dir, servers) = (tempfile::tempdir()?, [server.address()]);
    let before = node_at(&servers, dir.path(), 0).await?;
    put_at(&before, 1, 0, 10).await?;
    let purged = purge(&before, 1, 20).await?.sequence;
    put_at(&before, 2, purged, 30).await?;
    drop(before);
    let after = node_at(&servers, dir.path(), 40).await?;
    let raised = after.raised_since("shop", 0).await?;
    assert_eq!(raised.iter().map(|barrier| barrier.sequence).collect::<Vec<_>>(), [purged]);
    assert_eq!(sequence(&after, 1).await?, Some(purged - 1), "it was purged");
    assert_eq!(sequence(&after, 2).await?, Some(purged), "this came later");
    assert!(purge(&after, 3, 50).await?.sequence > purged);
    Ok(())
}

/// A node that has lost its records, or never had any, knows nothing of what was purged.
#[tokio::test]
async fn what_is_older_than_the_records_is_missed() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let (dir, lost, servers) = (tempfile::tempdir()?, tempfile::tempdir()?, [server.address()]);
    let before = node_at(&servers, dir.path(), 0).await?;
    put_at(&before, 1, 0, 10).await?;
    drop(before);
    let after = node_at(&servers, lost.path(), 40).await?;
    assert_eq!(sequence(&after, 1).await?, None);
    put_at(&after, 1, 0, 50).await?;
    assert_eq!(sequence(&after, 1).await?, Some(0));
    drop(after);
    let again = node_at(&servers, lost.path(), 60).await?;
    assert_eq!(sequence(&again, 1).await?, Some(0), "the same records");

    // A node of a fleet, whose numbers are others, neither.
    let member = member(&servers).await?;
    assert_eq!(sequence(&member, 1).await?, None);
    let error = purge(&member, 1, 0).await.expect_err("the fleet records purges");
    assert!(error.to_string().contains("by the fleet"), "{error}");
    Ok(())
}

#[tokio::test]
async fn two_nodes_do_not_share_their_records() -> anyhow::Result<()> {
    let Some(server) = MemcachedServer::start()? else { return Ok(()) };
    let dir = tempfile::tempdir()?;
    let _first = node(&[server.address()], dir.path()).await?;
    let config = config(&[server.address()], Numbering::Node(dir.path().to_owned()));
    let second = MemcachedTier::open(&config, Arc::new(SystemClock)).await;
    let error = second.expect_err("another has them").to_string();
    assert!(error.contains("in use by another process"), "{error}");
    Ok(())
}
