//! What the databases have in common: statements with a few parameters, run on one of several connections within a deadline.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::values::StoreError;

/// Which SQL a database speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite's.
    Sqlite,
    /// PostgreSQL's.
    Postgres,
}

/// A row as it comes from a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRow {
    /// The row's key.
    pub key: String,
    /// Its version.
    pub version: i64,
    /// Its content; none where it was not asked for, is longer than may be read, or is NULL.
    pub content: Option<String>,
    /// The length of its content; none where that is NULL or was not asked for.
    pub content_bytes: Option<i64>,
}

/// A parameter of a statement that writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// Text: a key, or content.
    Text(String),
    /// A version.
    Int(i64),
}

/// A database.
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Which SQL it speaks.
    fn dialect(&self) -> Dialect;

    /// The longest content that is read, in bytes.
    fn content_bytes_max(&self) -> u64;

    /// Has the database look at statements without running them.
    ///
    /// # Errors
    /// When it can't be reached, or one of them is wrong.
    fn check(&self, statements: Vec<Arc<str>>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Runs a statement whose parameters are a list of keys, the longest content that is wanted, and how many rows are. It returns
    /// key, version, content and its length.
    ///
    /// # Errors
    /// When it fails.
    fn rows(&self, statement: Arc<str>, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<RawRow>, StoreError>>;

    /// Runs a statement that writes, and returns the version that it returns; none where it returns no row.
    ///
    /// # Errors
    /// When it fails.
    fn change(&self, statement: Arc<str>, args: Vec<Arg>) -> BoxFuture<'_, Result<Option<i64>, StoreError>>;
}
