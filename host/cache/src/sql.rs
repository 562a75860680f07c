//! Tables of a database as the source of truth of [values](crate::values): SQLite (feature `sqlite`) and PostgreSQL (feature
//! `postgres`).
//!
//! ```no_run
//! use sandbar::Sandbar;
//! use sandbar::sql::{SqlStore, Sqlite, SqliteConfig, Table};
//! use sandbar::values::{Expected, Row};
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Product {
//!     name: String,
//!     price: u32,
//! }
//!
//! # async fn run() -> Result<(), sandbar::body::BoxError> {
//! let sandbar = Sandbar::builder().build()?;
//! let database = Sqlite::open(SqliteConfig::new("shop.db"))?;
//! // CREATE TABLE products (id TEXT PRIMARY KEY, version INTEGER NOT NULL, name TEXT NOT NULL, price INTEGER NOT NULL)
//! let table = Table::new("products", "id", "version", ["name", "price"]);
//! let store = SqlStore::<Product>::open(database, &table).await?;
//! let products = sandbar.values::<Row<Product>>("default", "products")?.backed_by(store);
//!
//! let tea = products.get("tea").await?;
//! let expected = tea.map_or(Expected::Absent, |tea| Expected::Version(tea.version));
//! products.put("tea", Product { name: "Tea".into(), price: 525 }, expected).await?;
//! # Ok(()) }
//! ```
//!
//! A row is read and written as a JSON object whose members are the table's columns; so a value is any type that serde makes such
//! an object of. The version column counts the writes of a row. It is compared when a row is written, and it alone is read to find out
//! whether a stale value is still so: whoever else writes to the table has to change it too, for example by a trigger.
//! Statements of one's own ([`Statements`]) may take the place of the table's. More: `docs/sql.md`.

mod engine;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod store;
mod table;

pub use self::engine::Dialect;
#[doc(hidden)]
pub use self::engine::Engine;
#[cfg(feature = "postgres")]
pub use self::postgres::{Postgres, PostgresConfig};
#[cfg(feature = "sqlite")]
pub use self::sqlite::{Sqlite, SqliteConfig};
pub use self::statements::{Statements, Writing};
pub use self::store::SqlStore;
pub use self::table::{BadTable, Table};
