//! PostgreSQL: a few connections, made when they are needed and made anew when they break.

pub(crate) mod link;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Socket, Statement};

use self::link::Dial;
use super::engine::{Arg, Dialect, Engine, RawRow};
use crate::values::StoreError;

/// Settings of a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresConfig {
    /// `postgresql://user:password@host:5432/database`, or `host=… user=… dbname=…`.
    pub url: String,
    /// How long a call may take, connecting included; 5 s by default. The server gives up what takes longer, too.
    pub deadline: Duration,
    /// Connections; 4 by default. Further calls wait, within their deadline.
    pub connections_max: usize,
    /// The longest content that is read or written, in bytes; 1 MiB by default.
    pub content_bytes_max: u64,
}

impl PostgresConfig {
    /// The default settings for this database.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), deadline: Duration::from_secs(5), connections_max: 4, content_bytes_max: 1 << 20 }
    }
}

impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_struct("PostgresConfig").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// A PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    dial: Dial,
    config: PostgresConfig,
    idle: Mutex<Vec<Live>>,
    connections: Semaphore,
}

/// A connection, and the statements that are prepared on it.
#[derive(Debug)]
struct Live {
    client: Client,
    prepared: HashMap<Arc<str>, Statement>,
}

/// Statements that a connection keeps prepared.
const PREPARED_MAX: usize = 64;

/// What is to be done on a connection.
#[derive(Clone, Debug)]
enum Job {
    Check(Vec<Arc<str>>),
    Rows(Arc<str>, Vec<String>),
    Change(Arc<str>, Vec<Arg>),
}

enum Done {
    Checked,
    Rows(Vec<RawRow>),
    Changed(Option<i64>),
}

impl Postgres {
    /// A database that is reached without TLS. Connects when it is first used.
    ///
    /// # Errors
    /// Where the settings make no sense, or ask for TLS.
    pub fn open(config: PostgresConfig) -> Result<Arc<Self>, StoreError> {
        Ok(Self::over(Dial::plain(&config.url)?, config))
    }

    /// A database that is reached with TLS, by a connector of the program's choice, such as that of `tokio-postgres-rustls`.
    ///
    /// # Errors
    /// Where the settings make no sense.
    pub fn with_tls<M>(config: PostgresConfig, tls: M) -> Result<Arc<Self>, StoreError>
    where
        M: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
        M::Stream: Send,
        M::TlsConnect: Send,
        <M::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Ok(Self::over(Dial::tls(&config.url, tls)?, config))
    }

    fn over(dial: Dial, config: PostgresConfig) -> Arc<Self> {
        let connections = Semaphore::new(config.connections_max.max(1));
        Arc::new(Self { dial: dial.within(config.deadline), config, idle: Mutex::default(), connections })
    }

    async fn run(&self, job: Job) -> Result<Done, StoreError> {
        let until = Instant::now() + self.config.deadline;
        let overdue = || StoreError::Deadline {
            deadline_ms: u64::try_from(self.config.deadline.as_millis()).unwrap_or(u64::MAX),
        };
        let Ok(Ok(_place)) = tokio::time::timeout_at(until, self.connections.acquire()).await else {
            return Err(overdue());
        };
        // A connection whose call is given up goes with the call: the server then ends what it is at.
        tokio::time::timeout_at(until, self.attempt(job)).await.unwrap_or_else(|_| Err(overdue()))
    }

    async fn attempt(&self, job: Job) -> Result<Done, StoreError> {
        // The server may have closed a connection that was idle. What only reads is tried on a new one then.
        let idle = self.take_idle();
        if let Some(live) = idle {
            match self.run_on(live, job.clone()).await {
                Err(StoreError::Broken(_)) if !matches!(job, Job::Change(..)) => self.idle.lock().clear(),
                other => return other,
            }
        }
        let client = self.dial.connect().await.map_err(|error| unreachable(&error))?;
        self.run_on(Live { client, prepared: HashMap::new() }, job).await
    }

    fn take_idle(&self) -> Option<Live> {
        let mut idle = self.idle.lock();
        std::iter::from_fn(|| idle.pop()).find(|live| !live.client.is_closed())
    }

    async fn run_on(&self, mut live: Live, job: Job) -> Result<Done, StoreError> {
        let done = live.perform(job, self.config.content_bytes_max).await;
        if !live.client.is_closed() && done.as_ref().err().is_none_or(|error| error.as_db_error().is_some()) {
            self.idle.lock().push(live);
        }
        done.map_err(|error| told(&error))
    }
}

impl Live {
    async fn perform(&mut self, job: Job, content_bytes_max: u64) -> Result<Done, Error> {
        match job {
            Job::Check(statements) => {
                for statement in statements {
                    self.client.prepare(&statement).await?;
                }
                Ok(Done::Checked)
            }
            Job::Rows(statement, keys) => {
                let bytes_max = i64::try_from(content_bytes_max).unwrap_or(i64::MAX);
                let rows_max = i64::try_from(keys.len()).unwrap_or(i64::MAX).saturating_add(1);
                let statement = self.prepared(&statement, &[Type::TEXT_ARRAY, Type::INT8, Type::INT8]).await?;
                let rows = self.client.query(&statement, &[&keys, &bytes_max, &rows_max]).await?;
                let raw = |row: &tokio_postgres::Row| {
                    Ok(RawRow {
                        key: row.try_get(0)?,
                        version: row.try_get(1)?,
                        content: row.try_get(2)?,
                        content_bytes: row.try_get(3)?,
                    })
                };
                rows.iter().map(raw).collect::<Result<_, _>>().map(Done::Rows)
            }
            Job::Change(statement, args) => {
                let types: Vec<Type> = args.iter().map(type_of).collect();
                let statement = self.prepared(&statement, &types).await?;
                let args: Vec<&(dyn ToSql + Sync)> = args.iter().map(parameter).collect();
                let row = self.client.query(&statement, &args).await?;
                row.first().map(|row| row.try_get(0)).transpose().map(Done::Changed)
            }
        }
    }

    async fn prepared(&mut self, sql: &Arc<str>, types: &[Type]) -> Result<Statement, Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare_typed(sql, types).await?;
        if self.prepared.len() >= PREPARED_MAX {
            self.prepared.clear();
        }
        self.prepared.insert(Arc::clone(sql), statement.clone());
        Ok(statement)
    }
}

const fn type_of(arg: &Arg) -> Type {
    match arg {
        Arg::Text(_) => Type::TEXT,
        Arg::Int(_) => Type::INT8,
    }
}

fn parameter(arg: &Arg) -> &(dyn ToSql + Sync) {
    match arg {
        Arg::Text(text) => text,
        Arg::Int(number) => number,
    }
}

impl Engine for Arc<Postgres> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn content_bytes_max(&self) -> u64 {
        self.config.content_bytes_max
    }

    fn check(&self, statements: Vec<Arc<str>>) -> BoxFuture<'_, Result<(), StoreError>> {
        async { self.run(Job::Check(statements)).await.map(drop) }.boxed()
    }

    fn rows(&self, statement: Arc<str>, keys: Vec<String>) -> BoxFuture<'_, Result<Vec<RawRow>, StoreError>> {
        async {
            match self.run(Job::Rows(statement, keys)).await? {
                Done::Rows(rows) => Ok(rows),
                Done::Checked | Done::Changed(_) => Ok(Vec::new()),
            }
        }
        .boxed()
    }

    fn change(&self, statement: Arc<str>, args: Vec<Arg>) -> BoxFuture<'_, Result<Option<i64>, StoreError>> {
        async {
            match self.run(Job::Change(statement, args)).await? {
                Done::Changed(version) => Ok(version),
                Done::Checked | Done::Rows(_) => Ok(None),
            }
        }
        .boxed()
    }
}

fn unreachable(error: &Error) -> StoreError {
    StoreError::Unreachable(words(error).into())
}

fn told(error: &Error) -> StoreError {
    let words = words(error).into();
    let Some(code) = error.as_db_error().map(|error| error.code().code()) else {
        // What comes as another type than was asked for is not the connection's fault.
        let is_of_a_column = error.to_string().contains("column");
        return if is_of_a_column { StoreError::Schema(words) } else { StoreError::Broken(words) };
    };
    match code.get(..2) {
        // Syntax error or access rule violation: no such table, column or function, no right to it.
        Some("42" | "3F" | "3D") => StoreError::Schema(words),
        // Connection exception, operator intervention: whether it was done is not known.
        Some("08" | "57") => StoreError::Broken(words),
        _ => StoreError::Refused(words),
    }
}

/// The server's message, with its code; or what the driver says, with its cause.
fn words(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}
