//! The L2 in memcached, against real servers and against servers that are none.

mod gateways;
mod hostile;
mod purges;
mod servers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandbar::clock::{Clock, SystemClock};
use sandbar::tier::memcached::{MemcachedConfig, MemcachedTier, Numbering};
use sandbar::tier::{BreakerConfig, Tier, TierError};
use sandbar_tests::entries::{body, body_of, entry, key};
use sandbar_tests::wait::PATIENCE;

const HOUR: Duration = Duration::from_secs(3600);
/// For calls whose deadline is not what a test is about: longer than a machine with other things to do needs for one.
const DEADLINE: Duration = Duration::from_secs(10);

fn config(servers: &[String], numbering: Numbering) -> MemcachedConfig {
    let breaker = BreakerConfig { backoff_max: Duration::from_millis(100), ..BreakerConfig::default() };
    MemcachedConfig {
        deadline: DEADLINE,
        connect_deadline: DEADLINE,
        breaker,
        ..MemcachedConfig::new(servers, numbering)
    }
}

/// A node that numbers its purges alone and keeps them in `dir`.
async fn node(servers: &[String], dir: &Path) -> anyhow::Result<Arc<MemcachedTier>> {
    opened(&config(servers, Numbering::Node(dir.to_owned()))).await
}

/// A node of a fleet.
async fn member(servers: &[String]) -> anyhow::Result<Arc<MemcachedTier>> {
    opened(&config(servers, Numbering::Fleet)).await
}

async fn opened(config: &MemcachedConfig) -> anyhow::Result<Arc<MemcachedTier>> {
    let tier = MemcachedTier::open(config, Arc::new(SystemClock)).await?;
    assert!(tier.ready(PATIENCE).await, "no connection: {:?}", tier.health());
    Ok(tier)
}

async fn put(tier: &MemcachedTier, n: u64, bytes: usize) -> Result<(), TierError> {
    let (key, now) = (key("shop", n), SystemClock.now());
    tier.put(&key, entry(&key, body(n, bytes), 0, now), now.saturating_add(HOUR)).await
}

async fn get(tier: &MemcachedTier, n: u64) -> Result<Option<Vec<u8>>, TierError> {
    let found = tier.get(&[key("shop", n)]).await?.remove(0);
    Ok(body_of(found.as_ref()).map(<[u8]>::to_vec))
}
