//! SQLite: its calls block, so they run on threads for that, on a few connections, and are interrupted at their deadline.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use rusqlite::limits::Limit;
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Row, params, params_from_iter};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::engine::{Arg, Dialect, Engine, RawRow};
use crate::values::StoreError;

/// Settings of a SQLite database.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The database's file, which has to be there.
    pub path: PathBuf,
    /// How long a call may take, waiting for a connection and for another process's lock included; 5 s by default.
    pub deadline: Duration,
    /// Connections; 4 by default. Each takes a thread while it is at work; further calls wait, within their deadline.
    pub connections_max: usize,
    /// The longest content that is read or written, in bytes; 1 MiB by default.
    pub content_bytes_max: u64,
}

impl SqliteConfig {
    /// The default settings for this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), deadline: Duration::from_secs(5), connections_max: 4, content_bytes_max: 1 << 20 }
    }
}

/// A SQLite database.
#[derive(Debug)]
pub struct Sqlite {
    config: SqliteConfig,
    idle: Mutex<Vec<Connection>>,
    connections: Arc<Semaphore>,
}

/// SQLite's own bound on a value is this much above that of content: keys and statements count, too.
const LENGTH_SLACK: u64 = 1 << 20;
/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 64;

impl Sqlite {
    /// Opens a database.
    ///
    /// # Errors
    /// When there is no such file, or it is none of SQLite's.
    pub fn open(config: SqliteConfig) -> Result<Arc<Self>, StoreError> {
        let connection = connect(&config)?;
        let connections = Arc::new(Semaphore::new(config.connections_max.max(1)));
        Ok(Arc::new(Self { config, idle: Mutex::new(vec![connection]), connections }))
    }

    /// Runs work on a connection, on a thread for what blocks.
    async fn with<R: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Connection) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, StoreError> {
        let until = Instant::now() + self.config.deadline;
        let overdue = || StoreError::Deadline {
            deadline_ms: u64::try_from(self.config.deadline.as_millis()).unwrap_or(u64::MAX),
        };
        let permit = tokio::time::timeout_at(until, Arc::clone(&self.connections).acquire_owned());
        let Ok(Ok(permit)) = permit.await else { return Err(overdue()) };
        let (this, interrupt) = (Arc::clone(self), Arc::new(Mutex::new(None)));
        let interrupted = Arc::clone(&interrupt);
        // Work past its deadline keeps its place until SQLite lets it go: it occupies no more threads than there are places.
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let idle = this.idle.lock().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&this.config)?,
            };
            *interrupt.lock() = Some(connection.get_interrupt_handle());
            let done = work(&connection);
            interrupt.lock().take();
            if done.as_ref().err().is_none_or(is_of_the_call) {
                this.idle.lock().push(connection);
            }
            done.map_err(|error| told(&error))
        });
        match tokio::time::timeout_at(until, task).await {
            Ok(Ok(done)) => done,
            Ok(Err(panicked)) => Err(StoreError::Broken(panicked.to_string().into())),
            Err(_) => {
                if let Some(handle) = &*interrupted.lock() {
                    handle.interrupt();
                }
                Err(overdue())
            }
        }
    }
}

/// A database is shared by many calls, each of which holds it for as long as its thread works.
impl Engine for Arc<Sqlite> {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn content_bytes_max(&self) -> u64 {
        self.config.content_bytes_max
    }

    fn check(&self, statements: Vec<Arc<str>>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.with(move |connection| statements.iter().try_for_each(|sql| connection.prepare(sql).map(drop))).boxed()
    }

    fn rows(&self, statement: Arc<str>, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<RawRow>, StoreError>> {
        let bytes_max = i64::try_from(self.config.content_bytes_max).unwrap_or(i64::MAX);
        let rows_max = i64::try_from(keys.len()).unwrap_or(i64::MAX).saturating_add(1);
        self.with(move |connection| {
            let keys = serde_json::Value::from(keys).to_string();
            let mut statement = connection.prepare_cached(&statement)?;
            let rows = statement.query_map(params![keys, bytes_max, rows_max], raw_row)?;
            rows.collect()
        })
        .boxed()
    }

    fn change(&self, statement: Arc<str>, args: Vec<Arg>) -> BoxFuture<'_, Result<Option<i64>, StoreError>> {
        self.with(move |connection| {
            let mut statement = connection.prepare_cached(&statement)?;
            let args = args.into_iter().map(|arg| match arg {
                Arg::Text(text) => rusqlite::types::Value::Text(text),
                Arg::Int(number) => rusqlite::types::Value::Integer(number),
            });
            // To its end: a statement that returns rows takes effect only then.
            let versions = statement.query_map(params_from_iter(args), |row| row.get(0))?;
            let versions: Vec<i64> = versions.collect::<Result<_, _>>()?;
            Ok(versions.first().copied())
        })
        .boxed()
    }
}

fn raw_row(row: &Row<'_>) -> Result<RawRow, Error> {
    Ok(RawRow { key: row.get(0)?, version: row.get(1)?, content: row.get(2)?, content_bytes: row.get(3)? })
}

fn connect(config: &SqliteConfig) -> Result<Connection, StoreError> {
    let unreachable = |error: &Error| StoreError::Unreachable(format!("{}: {error}", config.path.display()).into());
    // Not created: a path that was mistyped would become an empty database.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&config.path, flags).map_err(|error| unreachable(&error))?;
    let length_max = config.content_bytes_max.saturating_add(LENGTH_SLACK);
    let prepare = || {
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, i32::try_from(length_max).unwrap_or(i32::MAX))?;
        connection.busy_timeout(config.deadline)?;
        connection.set_prepared_statement_cache_capacity(PREPARED_MAX);
        // Reads the file's head: what is no database is found out here.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0)).map(drop)
    };
    prepare().map_err(|error| unreachable(&error))?;
    Ok(connection)
}

/// Whether an error says nothing against the connection.
fn is_of_the_call(error: &Error) -> bool {
    !matches!(told(error), StoreError::Broken(_))
}

fn told(error: &Error) -> StoreError {
    let reason = error.to_string().into();
    match error.sqlite_error_code() {
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::CannotOpen
            | ErrorCode::NotADatabase
            | ErrorCode::OutOfMemory
            | ErrorCode::InternalMalfunction,
        ) => StoreError::Broken(reason),
        // No such table or column, syntax: what `check` would have said, had it been so then.
        Some(ErrorCode::Unknown) => StoreError::Schema(reason),
        Some(_) => StoreError::Refused(reason),
        None => StoreError::Schema(reason),
    }
}
