//! Databases that are slow, locked, gone or none.

use std::time::Duration;

use rusqlite::Connection;
use sandbar::sql::{Postgres, PostgresConfig, SqlStore, Sqlite, SqliteConfig, Statements, Table};
use sandbar::values::{Change, Expected, Outcome, Store, StoreError};
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::postgres_server::PostgresServer;
use sandbar_tests::wait::eventually;

use super::databases::Database;
use super::{Product, product};

/// For calls that are to run into it.
const SHORT: Duration = Duration::from_millis(300);

fn tea(price: i64) -> [Change<Product>; 1] {
    [Change { key: "tea".into(), value: Some(product("Tea", price)), expected: Expected::Any }]
}

fn table() -> Table {
    Table::new("products", "id", "version", ["name", "price", "note"])
}

async fn price(store: &SqlStore<Product>) -> Result<Option<i64>, StoreError> {
    Ok(store.read(&["tea".to_owned()]).await?.remove("tea").map(|row| row.value.price))
}

#[tokio::test]
async fn a_locked_sqlite_is_waited_for_until_the_deadline() -> anyhow::Result<()> {
    let database = Database::sqlite()?;
    let path = database.path().expect("a file");
    let short = Sqlite::open(SqliteConfig { deadline: SHORT, ..SqliteConfig::new(&path) })?;
    let store: SqlStore<Product> = SqlStore::open(short, &table()).await?;
    assert!(matches!(store.write(&tea(1)).await[0], Ok(Outcome::Done(Some(_)))));
    let other = Connection::open(&path)?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    let refused = store.write(&tea(2)).await.remove(0).expect_err("another has the lock");
    assert!(matches!(refused, StoreError::Deadline { .. } | StoreError::Refused(_)), "{refused}");
    assert_eq!(price(&store).await?, Some(1), "reads go on");
    other.execute_batch("ROLLBACK")?;
    let done = async || store.write(&tea(3)).await.remove(0).is_ok();
    eventually("it is written", done).await;
    assert_eq!(price(&store).await?, Some(3));
    Ok(())
}

#[tokio::test]
async fn a_statement_of_sqlite_that_has_no_end_is_interrupted() -> anyhow::Result<()> {
    let database = Database::sqlite()?;
    let path = database.path().expect("a file");
    let config = SqliteConfig { deadline: SHORT, connections_max: 1, ..SqliteConfig::new(&path) };
    let sqlite = Sqlite::open(config)?;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                   SELECT value AS key, (SELECT count(*) FROM n) AS version, '{}' AS content FROM json_each(?1)";
    let store: SqlStore<Product> = SqlStore::of(std::sync::Arc::clone(&sqlite), &Statements::reading(endless)).await?;
    assert!(matches!(price(&store).await, Err(StoreError::Deadline { .. })));
    // The only connection is free again.
    let store: SqlStore<Product> = SqlStore::open(sqlite, &table()).await?;
    eventually("it can be read", async || price(&store).await.is_ok()).await;
    Ok(())
}

#[tokio::test]
async fn what_is_no_sqlite_database_is_told_when_it_is_opened() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let missing = Sqlite::open(SqliteConfig::new(dir.path().join("typo.db"))).expect_err("there is none");
    assert!(missing.to_string().contains("typo.db"), "{missing}");
    assert!(!dir.path().join("typo.db").exists(), "and none is made");
    let other = dir.path().join("other");
    std::fs::write(&other, "no database ".repeat(1000))?;
    let error = Sqlite::open(SqliteConfig::new(&other)).expect_err("it is none");
    assert!(matches!(&error, StoreError::Unreachable(why) if why.contains("not a database")), "{error}");
    Ok(())
}

#[tokio::test]
async fn a_postgres_that_goes_is_told_and_one_that_comes_back_is_used() -> anyhow::Result<()> {
    let Some(database) = Database::postgres()? else { return Ok(()) };
    let store = database.products().await?;
    assert!(matches!(store.write(&tea(1)).await[0], Ok(Outcome::Done(Some(_)))));
    let Database::Postgres { mut server, .. } = database else { return Ok(()) };
    server.restart()?;
    assert_eq!(price(&store).await?, Some(1), "a connection that was idle may break without harm");
    server.stop();
    let error = price(&store).await.expect_err("it is gone");
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    let error = store.write(&tea(2)).await.remove(0).expect_err("it is gone");
    assert!(matches!(error, StoreError::Unreachable(_)), "{error}");
    server.restart()?;
    assert_eq!(price(&store).await?, Some(1));
    assert!(store.write(&tea(3)).await[0].is_ok());
    Ok(())
}

#[tokio::test]
async fn a_postgres_that_stands_still_costs_a_deadline_and_heals() -> anyhow::Result<()> {
    let Some(database) = Database::postgres()? else { return Ok(()) };
    let Database::Postgres { server, .. } = &database else { return Ok(()) };
    let proxy = FaultProxy::start(server.addr()).await?;
    let url = PostgresServer::url_at(proxy.addr().port());
    let postgres = Postgres::open(PostgresConfig { deadline: SHORT, ..PostgresConfig::new(url) })?;
    let store: SqlStore<Product> = SqlStore::open(postgres, &table()).await?;
    eventually("it is written", async || store.write(&tea(1)).await[0].is_ok()).await;
    proxy.set(Fault::HalfOpen);
    for _ in 0..10 {
        assert!(matches!(price(&store).await, Err(StoreError::Deadline { .. })), "each call, by its own connection");
    }
    assert!(matches!(store.write(&tea(2)).await[0], Err(StoreError::Deadline { .. })));
    proxy.set(Fault::Garbage);
    assert!(price(&store).await.is_err());
    proxy.set(Fault::None);
    eventually("it is there again", async || price(&store).await.is_ok_and(|price| price.is_some())).await;
    Ok(())
}

#[tokio::test]
async fn settings_of_postgres_that_make_no_sense_are_refused() -> anyhow::Result<()> {
    let error = Postgres::open(PostgresConfig::new("postgresql://u:secret@h:port/db")).expect_err("no port");
    assert!(!error.to_string().contains("secret"), "{error}");
    let error = Postgres::open(PostgresConfig::new("postgresql://h/db?sslmode=require")).expect_err("no TLS");
    assert!(error.to_string().contains("with_tls"), "{error}");
    Ok(())
}
