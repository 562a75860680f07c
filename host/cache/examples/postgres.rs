//! PostgreSQL as the source of truth, three ways: cache-aside with queries of the program's own, read-through and write-through
//! with a table behind the values.
//!
//! `DATABASE_URL=postgresql://user@localhost/db cargo run --release -p sandbar --features postgres --example postgres`
//!
//! It makes a table `sandbar_example` and drops it again.

use std::time::Duration;

use anyhow::Context;
use sandbar::Sandbar;
use sandbar::sql::{Postgres, PostgresConfig, SqlStore, Table};
use sandbar::values::{Backed, Expected, Fate, Keep, Lookup, Outcome, Row, Values};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, NoTls};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Product {
    name: String,
    price: i64,
}

type Products = Backed<Product, SqlStore<Product>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL names the database")?;
    println!("{}", run(&url).await?.join("\n"));
    Ok(())
}

pub(crate) async fn run(url: &str) -> anyhow::Result<Vec<String>> {
    let (database, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    database
        .batch_execute(
            "DROP TABLE IF EXISTS sandbar_example;
             CREATE TABLE sandbar_example (id text PRIMARY KEY, version bigint NOT NULL, name text NOT NULL, price bigint NOT NULL);
             INSERT INTO sandbar_example VALUES ('tea', 1, 'Tea', 495)",
        )
        .await?;
    let sandbar = Sandbar::builder().native_only().build()?;
    let keep = Keep::fresh_for(Duration::from_secs(600));

    let prices: Values<i64> = sandbar.values("default", "prices")?.keeping(keep.clone());
    let mut seen = vec![aside(&prices, &database).await?, aside(&prices, &database).await?];

    let table = Table::new("sandbar_example", "id", "version", ["name", "price"]);
    let store = SqlStore::open(Postgres::open(PostgresConfig::new(url))?, &table).await?;
    let products: Products = sandbar.values::<Row<Product>>("default", "products")?.keeping(keep).backed_by(store);
    seen.push(through(&products).await?);
    seen.extend(written(&products, &database).await?);

    database.batch_execute("DROP TABLE sandbar_example").await?;
    sandbar.drain().await;
    Ok(seen)
}

/// Cache-aside: the program asks the cache, then its database, and puts what it has read.
async fn aside(prices: &Values<i64>, database: &Client) -> anyhow::Result<String> {
    if let Lookup::Value(price) = prices.get("tea").await? {
        return Ok(format!("cache-aside: {price} from the cache"));
    }
    // Taken before the database is asked, so that a writer who is faster is not undone.
    let reservation = prices.begin("tea")?;
    let row = database.query_one("SELECT price FROM sandbar_example WHERE id = 'tea'", &[]).await?;
    let price: i64 = row.get(0);
    reservation.fill(price).await?;
    Ok(format!("cache-aside: {price} from the database"))
}

/// Read-through: the cache asks the table, once for all who want a row.
async fn through(products: &Products) -> anyhow::Result<String> {
    let tea = products.get("tea").await?.context("there is tea")?;
    let several = products.get_many(["tea", "coffee"]).await?;
    Ok(format!(
        "read-through: {} at {}, version {}, {} of 2 known",
        tea.value.name,
        tea.value.price,
        tea.version,
        several.len()
    ))
}

/// Write-through: a change goes to the table first, if nobody else has changed the row meanwhile, and then into the cache.
async fn written(products: &Products, database: &Client) -> anyhow::Result<[String; 2]> {
    let tea = products.get("tea").await?.context("there is tea")?;
    let dearer = Product { price: 525, ..tea.value.clone() };
    let written = products.put("tea", dearer, Expected::Version(tea.version)).await?;
    let first = format!("write-through: {:?}, cached: {}", written.outcome, written.fate == Fate::Stored);

    database.batch_execute("UPDATE sandbar_example SET price = 550, version = version + 1").await?;
    let Outcome::Done(Some(version)) = written.outcome else { anyhow::bail!("{written:?}") };
    let late = products.put("tea", tea.value.clone(), Expected::Version(version)).await?;
    let now = products.get("tea").await?.context("there is tea")?;
    Ok([first, format!("write-through: {:?}, so it is {} as somebody else has written", late.outcome, now.value.price)])
}
