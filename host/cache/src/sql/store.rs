//! A table, or a few statements, as the store behind values.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine::{Arg, Dialect, Engine, RawRow};
use super::statements::{Ready, ReadyWriting, Statements};
use super::table::Table;
use crate::values::{Change, Expected, Outcome, Row, Store, StoreError};

/// Keys that are asked for with one statement. More are asked for with several.
const KEYS_MAX: usize = 5000;

/// Rows of a database as the store behind values of type `T`, which serde makes a JSON object of. Cheap to clone.
pub struct SqlStore<T> {
    engine: Arc<dyn Engine>,
    statements: Ready,
    _of: PhantomData<fn() -> T>,
}

impl<T> SqlStore<T> {
    /// The rows of a table.
    ///
    /// # Errors
    /// When the database can't be reached, or its table is not so.
    pub async fn open(database: impl Engine, table: &Table) -> Result<Self, StoreError> {
        let statements =
            table.statements(database.dialect()).map_err(|bad| StoreError::Schema(bad.to_string().into()))?;
        Self::of(database, &statements).await
    }

    /// The rows that statements of one's own read and write.
    ///
    /// # Errors
    /// When the database can't be reached, or one of them is wrong.
    pub async fn of(database: impl Engine, statements: &Statements) -> Result<Self, StoreError> {
        let statements = Ready::new(statements, database.dialect());
        database.check(statements.all()).await?;
        Ok(Self { engine: Arc::new(database), statements, _of: PhantomData })
    }

    async fn rows(&self, statement: &Arc<str>, keys: &[String]) -> Result<Vec<RawRow>, StoreError> {
        let mut all = Vec::new();
        for keys in keys.chunks(KEYS_MAX) {
            let rows = self.engine.rows(Arc::clone(statement), keys.to_vec()).await?;
            if rows.len() > keys.len() {
                return Err(StoreError::Schema("a key has several rows, or rows come that were not asked for".into()));
            }
            all.extend(rows);
        }
        Ok(all)
    }

    async fn change(&self, statement: &Arc<str>, args: Vec<Arg>) -> Result<Option<i64>, StoreError> {
        self.engine.change(Arc::clone(statement), args).await
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> SqlStore<T> {
    async fn make(&self, change: &Change<T>) -> Result<Outcome, StoreError> {
        let Some(writing) = &self.statements.writing else {
            return Err(StoreError::Refused("there are no statements that write".into()));
        };
        match &change.value {
            Some(value) => self.put(writing, &change.key, value, change.expected).await,
            None => self.delete(writing, &change.key, change.expected).await,
        }
    }

    async fn put(
        &self,
        writing: &ReadyWriting,
        key: &str,
        value: &T,
        expected: Expected,
    ) -> Result<Outcome, StoreError> {
        let malformed = |reason: String| StoreError::Malformed { key: key.to_owned(), reason: reason.into() };
        let content = serde_json::to_string(value).map_err(|error| malformed(error.to_string()))?;
        if !content.starts_with('{') {
            return Err(malformed("a value has to be an object whose members are the columns".to_owned()));
        }
        let (bytes, bytes_max) = (content.len() as u64, self.engine.content_bytes_max());
        if bytes > bytes_max {
            return Err(StoreError::TooLarge { key: key.to_owned(), bytes, bytes_max });
        }
        let mut args = vec![Arg::Text(key.to_owned()), Arg::Text(content)];
        let written = match expected {
            Expected::Any => self.change(&writing.put, args).await?,
            Expected::Absent => self.change(&writing.insert, args).await?,
            Expected::Version(version) => {
                args.push(Arg::Int(version));
                self.change(&writing.update, args).await?
            }
        };
        Ok(written.map_or(Outcome::Conflict, |version| Outcome::Done(Some(version))))
    }

    async fn delete(&self, writing: &ReadyWriting, key: &str, expected: Expected) -> Result<Outcome, StoreError> {
        let key = Arg::Text(key.to_owned());
        match expected {
            Expected::Any => self.change(&writing.delete, vec![key]).await.map(|_| Outcome::Done(None)),
            Expected::Version(version) => {
                let gone = self.change(&writing.delete_version, vec![key, Arg::Int(version)]).await?;
                Ok(gone.map_or(Outcome::Conflict, |_| Outcome::Done(None)))
            }
            Expected::Absent => Err(StoreError::Refused("what is absent can't be removed".into())),
        }
    }

    fn row(&self, raw: RawRow) -> Result<(String, Row<T>), StoreError> {
        let RawRow { key, version, content, content_bytes } = raw;
        let bytes_max = self.engine.content_bytes_max();
        let Some(content) = content else {
            return Err(match content_bytes.and_then(|bytes| u64::try_from(bytes).ok()) {
                Some(bytes) if bytes > bytes_max => StoreError::TooLarge { key, bytes, bytes_max },
                _ => StoreError::Malformed { key, reason: "its content is NULL".into() },
            });
        };
        match serde_json::from_str(&content) {
            Ok(value) => Ok((key, Row { value, version })),
            Err(error) => Err(StoreError::Malformed { key, reason: error.to_string().into() }),
        }
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Store<T> for SqlStore<T> {
    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, Row<T>>, StoreError>> {
        async move {
            let rows = self.rows(&self.statements.rows, keys).await?;
            rows.into_iter().map(|raw| self.row(raw)).collect()
        }
        .boxed()
    }

    fn versions<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, i64>, StoreError>> {
        async move {
            let rows = self.rows(&self.statements.versions, keys).await?;
            Ok(rows.into_iter().map(|raw| (raw.key, raw.version)).collect())
        }
        .boxed()
    }

    fn write<'a>(&'a self, changes: &'a [Change<T>]) -> BoxFuture<'a, Vec<Result<Outcome, StoreError>>> {
        async move {
            let mut outcomes = Vec::with_capacity(changes.len());
            for change in changes {
                outcomes.push(self.make(change).await);
            }
            outcomes
        }
        .boxed()
    }
}

impl<T> Clone for SqlStore<T> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), statements: self.statements.clone(), _of: PhantomData }
    }
}

impl<T> fmt::Debug for SqlStore<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialect: Dialect = self.engine.dialect();
        f.debug_struct("SqlStore").field("dialect", &dialect).finish_non_exhaustive()
    }
}
