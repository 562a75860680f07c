//! Two nodes with one database and one Redis: what a write through one of them means for readers of the other.

use std::sync::Arc;
use std::time::Duration;

use sandbar::Sandbar;
use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar::sql::SqlStore;
use sandbar::tenant::config::TenantConfig;
use sandbar::values::{Backed, Expected, Fate, Keep, Outcome, Row};
use sandbar_tests::node::{SILENCE, fleet_config};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{PATIENCE, eventually};
use tokio::task::JoinSet;

use super::databases::{Database, all};
use super::{Product, product};

const TENANT: &str = "shop";

type Products = Backed<Product, SqlStore<Product>>;

async fn node(server: &RedisServer, database: &Database) -> anyhow::Result<(Sandbar, Products)> {
    let tenant = TenantConfig { consistency: Consistency::WriteAll, ..TenantConfig::named(TENANT) };
    let sandbar = Sandbar::builder().tenant(tenant).native_only().redis(server.url()).build()?;
    // A server that has just come up need not be waited for long, where all nodes have to confirm a purge.
    let fleet = FleetConfig { silence_max: 4 * SILENCE, member_timeout: 8 * SILENCE, ..fleet_config(&server.url()) };
    sandbar.cache().join_fleet(&fleet)?;
    assert!(sandbar.cache().fleet().expect("it has joined").bus().ready(PATIENCE).await);
    let values = sandbar.values::<Row<Product>>(TENANT, "products")?.keeping(Keep::fresh_for(Duration::from_secs(600)));
    let products = values.backed_by(database.products().await?);
    Ok((sandbar, products))
}

/// Waits until the purges of a node are confirmed by the other one.
async fn act_together(products: &Products) {
    let confirmed = async || products.values().delete("nothing").await.is_ok_and(|report| report.failed == 0);
    eventually("all nodes confirm", confirmed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_reads_less_than_was_acknowledged_whoever_writes() -> anyhow::Result<()> {
    for database in all()? {
        let server = RedisServer::start()?;
        let (one, other) = (node(&server, &database).await?, node(&server, &database).await?);
        act_together(&one.1).await;
        act_together(&other.1).await;
        one.1.put("tea", product("Tea", 0), Expected::Absent).await?;
        let mut writers = JoinSet::new();
        for (number, (mine, theirs)) in [(&one.1, &other.1), (&other.1, &one.1)].into_iter().enumerate() {
            let (mine, theirs) = (mine.clone(), theirs.clone());
            writers.spawn(async move {
                for round in 0..20 {
                    let price = i64::try_from(number)? * 1000 + round;
                    let written = mine.put("tea", product("Tea", price), Expected::Any).await?;
                    let Outcome::Done(Some(version)) = written.outcome else { anyhow::bail!("{written:?}") };
                    if written.purge.failed > 0 {
                        continue;
                    }
                    for products in [&theirs, &mine] {
                        let read = products.get("tea").await?.map(|row| row.version);
                        anyhow::ensure!(read >= Some(version), "{read:?} after {version} was acknowledged");
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = writers.join_next().await {
            done??;
        }
        let (here, there) = (one.1.get("tea").await?, other.1.get("tea").await?);
        assert_eq!(here, there, "{}", database.name());
        one.0.drain().await;
        other.0.drain().await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_made_although_nobody_can_be_told() -> anyhow::Result<()> {
    for database in all()? {
        let mut server = RedisServer::start()?;
        let (one, other) = (node(&server, &database).await?, node(&server, &database).await?);
        act_together(&one.1).await;
        one.1.put("tea", product("Tea", 1), Expected::Absent).await?;
        assert_eq!(other.1.get("tea").await?.map(|row| row.value.price), Some(1));
        server.kill();
        let written = one.1.put("tea", product("Tea", 2), Expected::Any).await?;
        assert!(matches!(written.outcome, Outcome::Done(Some(_))), "{}: {written:?}", database.name());
        assert!(written.purge.failed > 0 && written.fate != Fate::Stored || written.purge.pending > 0, "{written:?}");
        assert_eq!(one.1.get("tea").await?.map(|row| row.value.price), Some(2), "here it is new");
        // The invalidation is made again until it reaches the other one.
        server.restart()?;
        let other = Arc::new(other.1);
        let is_new = async || other.get("tea").await.is_ok_and(|row| row.is_some_and(|row| row.value.price == 2));
        eventually("the other one has heard", is_new).await;
    }
    Ok(())
}
