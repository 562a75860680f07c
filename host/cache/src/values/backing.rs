//! What values are read from and written to: a source of truth whose rows have versions.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A value as its source has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row<T> {
    /// The value.
    pub value: T,
    /// Its version: another one with each write.
    pub version: i64,
}

/// Which version a write is to replace. Where the source has another one, nothing is written ([`Outcome::Conflict`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whichever there is, or none.
    #[default]
    Any,
    /// None: the value is new.
    Absent,
    /// This one.
    Version(i64),
}

/// A write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change<T> {
    /// The key.
    pub key: String,
    /// The new value; without one, the key is removed.
    pub value: Option<T>,
    /// Which version it is to replace.
    pub expected: Expected,
}

/// What became of a write at the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is made. The version is that of what was written; none where a key was removed.
    Done(Option<i64>),
    /// It is not: the source has another version than was expected.
    Conflict,
}

/// Why a source could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It could not be reached; nothing was written.
    #[error("the store can't be reached: {0}")]
    Unreachable(Arc<str>),
    /// The connection broke. Whether a write was made is not known.
    #[error("the store broke off: {0}")]
    Broken(Arc<str>),
    /// It took longer. Whether a write was made is not known.
    #[error("the store did not answer within {deadline_ms} ms")]
    Deadline {
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// Its tables or statements are not as was said.
    #[error("the store is not as it was said to be: {0}")]
    Schema(Arc<str>),
    /// It refused a read or a write, such as one that breaks a constraint; nothing was written.
    #[error("the store refused: {0}")]
    Refused(Arc<str>),
    /// A row is larger than may be read.
    #[error("the row {key:?} has {bytes} bytes, and {bytes_max} are the most")]
    TooLarge {
        /// The row's key.
        key: String,
        /// Its length.
        bytes: u64,
        /// The longest that is read.
        bytes_max: u64,
    },
    /// A row, or a value to be written, is none of the type.
    #[error("the row {key:?} is no such value: {reason}")]
    Malformed {
        /// The row's key.
        key: String,
        /// What is wrong with it.
        reason: Arc<str>,
    },
}

/// A source of truth: a database, another service.
///
/// Its calls end within deadlines of its own, and it may be called by many at the same time.
pub trait Store<T>: Send + Sync + 'static {
    /// The rows of these keys; one that is not in the answer is not there.
    ///
    /// # Errors
    /// When it can't be read, or one of the rows can't be used.
    fn read<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, Row<T>>, StoreError>>;

    /// The versions of these keys alone, to find out whether what is known is still so.
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn versions<'a>(&'a self, keys: &'a [String]) -> BoxFuture<'a, Result<HashMap<String, i64>, StoreError>>;

    /// Makes these changes, one after the other, and says of each what became of it: as many outcomes, in the order of the
    /// changes. One that fails keeps none of the others from being made.
    fn write<'a>(&'a self, changes: &'a [Change<T>]) -> BoxFuture<'a, Vec<Result<Outcome, StoreError>>>;
}
