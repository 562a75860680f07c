//! The databases that each test runs on.

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use sandbar::sql::{Postgres, PostgresConfig, SqlStore, Sqlite, SqliteConfig, Statements, Table};
use sandbar::values::StoreError;
use sandbar_tests::postgres_server::PostgresServer;
use tempfile::TempDir;

use super::Product;

/// A database with a table of products.
pub(crate) enum Database {
    Sqlite { dir: TempDir, sqlite: Arc<Sqlite> },
    Postgres { server: Box<PostgresServer>, postgres: Arc<Postgres> },
}

/// Lengths of content that are read.
pub(crate) const CONTENT_BYTES_MAX: u64 = 10_000;

/// Every database that is there.
pub(crate) fn all() -> anyhow::Result<Vec<Database>> {
    let mut all = vec![Database::sqlite()?];
    all.extend(Database::postgres()?);
    Ok(all)
}

impl Database {
    pub(crate) fn sqlite() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("shop.db");
        Connection::open(&path)?.execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE products (id TEXT PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL,
                                    price INTEGER NOT NULL CHECK (price >= 0), note TEXT)",
        )?;
        let config = SqliteConfig { content_bytes_max: CONTENT_BYTES_MAX, ..SqliteConfig::new(path) };
        Ok(Self::Sqlite { dir, sqlite: Sqlite::open(config)? })
    }

    pub(crate) fn postgres() -> anyhow::Result<Option<Self>> {
        let Some(server) = PostgresServer::start()? else { return Ok(None) };
        server.run(
            "CREATE TABLE products (id text PRIMARY KEY, version bigint NOT NULL, name text NOT NULL,
                                    price bigint NOT NULL CHECK (price >= 0), note text)",
        )?;
        let config = PostgresConfig { content_bytes_max: CONTENT_BYTES_MAX, ..PostgresConfig::new(server.url()) };
        let postgres = Postgres::open(config)?;
        Ok(Some(Self::Postgres { server: Box::new(server), postgres }))
    }

    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres { .. } => "postgres",
        }
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite { dir, .. } => Some(dir.path().join("shop.db")),
            Self::Postgres { .. } => None,
        }
    }

    /// Runs SQL as an application beside the cache would.
    pub(crate) fn run(&self, sql: &str) -> anyhow::Result<()> {
        match self {
            Self::Sqlite { dir, .. } => Ok(Connection::open(dir.path().join("shop.db"))?.execute_batch(sql)?),
            Self::Postgres { server, .. } => server.run(sql).map(drop),
        }
    }

    pub(crate) async fn products(&self) -> anyhow::Result<SqlStore<Product>> {
        Ok(self.table(&Table::new("products", "id", "version", ["name", "price", "note"])).await?)
    }

    pub(crate) async fn table<T>(&self, table: &Table) -> Result<SqlStore<T>, StoreError> {
        match self {
            Self::Sqlite { sqlite, .. } => SqlStore::open(Arc::clone(sqlite), table).await,
            Self::Postgres { postgres, .. } => SqlStore::open(Arc::clone(postgres), table).await,
        }
    }

    pub(crate) async fn statements<T>(&self, statements: &Statements) -> Result<SqlStore<T>, StoreError> {
        match self {
            Self::Sqlite { sqlite, .. } => SqlStore::of(Arc::clone(sqlite), statements).await,
            Self::Postgres { postgres, .. } => SqlStore::of(Arc::clone(postgres), statements).await,
        }
    }
}
