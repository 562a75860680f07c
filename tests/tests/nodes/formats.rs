//! A fleet of two versions: what the one has stored, the other reads, or takes for a miss.

use redis::Commands;
use sandbar_tests::nodes::{Nodes, Setup};
use sandbar_tests::versions::version_shown;
use sandbar_tests::wait::{eventually, found};

use crate::alone;

/// What the first version of the format made of `/p0/k1`, version 7, fresh for ten years from 2025 on. Never to be made
/// anew: these bytes are in somebody's Redis.
const RECORDED_V1: &[u8] = include_bytes!("../../data/formats/entry-v1.bin");
const PAGE: &str = "/p0/k1";
/// Where the version byte and the checksum are: see `sandbar::tier::codec`.
const VERSION_AT: usize = 3;

/// The one entry that is stored in Redis, by its key.
fn stored(redis: &mut redis::Connection) -> anyhow::Result<(String, Vec<u8>)> {
    let keys: Vec<String> = redis.keys("sandbar:{default}:e:*")?;
    anyhow::ensure!(keys.len() == 1, "{keys:?}");
    let bytes = redis.get(&keys[0])?;
    Ok((keys[0].clone(), bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_entries_are_read_and_those_of_the_future_are_a_miss() -> anyhow::Result<()> {
    let _alone = alone().await;
    let mut nodes = Nodes::start(Setup { nodes: 2, ..Setup::default() }).await?;
    let mut redis = nodes.redis().connection()?;
    version_shown(PAGE, &nodes[0].client("shop.test").get(PAGE).await?)?;
    let (key, present) = found("it is stored", async || stored(&mut redis).ok()).await;

    // What a node of the previous version has stored is a hit.
    redis.set::<_, _, ()>(&key, RECORDED_V1)?;
    let answer = nodes[1].client("shop.test").get(PAGE).await?;
    assert_eq!((version_shown(PAGE, &answer)?, answer.cache_status().value("detail")), (7, Some("redis")));

    // What one of the next version has stored is a miss, and so is what nobody has.
    let mut future = present;
    future[VERSION_AT] = u8::MAX;
    for (n, bytes) in [&future[..], &future[..20], b"SBE", b"not an entry"].into_iter().enumerate() {
        // A node may leave a write to Redis out, on a busy machine: once in some is enough.
        eventually(&format!("{n}: it is replaced by one that can be read"), async || {
            is_replaced(&mut nodes, &mut redis, &key, bytes).await.expect("an answer")
        })
        .await;
    }
    Ok(())
}

/// Whether a node that has just started takes these bytes for a miss, and stores an entry that can be read in their place.
async fn is_replaced(
    nodes: &mut Nodes,
    redis: &mut redis::Connection,
    key: &str,
    bytes: &[u8],
) -> anyhow::Result<bool> {
    redis.set::<_, _, ()>(key, bytes)?;
    nodes[1].restart().await?;
    let answer = nodes[1].client("shop.test").get(PAGE).await?;
    assert_eq!(version_shown(PAGE, &answer)?, 1);
    assert!(!answer.is_hit(), "{}", answer.cache_status().as_str());
    eventually("it has stored it", async || nodes[1].has_stored_all().await.unwrap_or(false)).await;
    let stored: Vec<u8> = redis.get(key)?;
    Ok(stored.starts_with(&RECORDED_V1[..VERSION_AT]) && stored != bytes)
}
