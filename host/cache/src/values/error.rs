//! Why a value could not be read, loaded or put.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use super::address::{BadName, KeyTooLong};
use crate::body::BoxError;
use crate::origin::OriginError;
use crate::write::PutError;

/// Why the cache could not be asked for a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The tenant is not there, or no longer.
    #[error("there is no tenant {0:?}")]
    NoTenant(Arc<str>),
    /// The key is no key.
    #[error(transparent)]
    Key(#[from] KeyTooLong),
    /// The name is no name.
    #[error(transparent)]
    Name(#[from] BadName),
}

/// Why a value was not loaded. `E` is the loader's own error, which all who waited for the load are given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError<E: Display> {
    /// The cache could not be asked.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The loader returned an error.
    #[error("the loader failed: {0}")]
    Loader(Arc<E>),
    /// The loader of another caller, with errors of another type, returned this one.
    #[error("another caller's loader failed: {0}")]
    OtherLoader(Arc<str>),
    /// The loader panicked, with these words.
    #[error("the loader panicked: {0}")]
    Panicked(Arc<str>),
    /// The loader was not called, or took too long: the protection of what it loads from says so.
    #[error("it was not loaded: {0}")]
    NotLoaded(Arc<OriginError>),
    /// The caller has waited for as long as it may (`fetch_hard_deadline`). The load may still go on.
    #[error("it was not loaded within {} ms", .0.as_millis())]
    Overdue(Duration),
    /// The process is being stopped.
    #[error("the process is being stopped")]
    Stopped,
}

impl<E: Display> Clone for LoadError<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Value(error) => Self::Value(error.clone()),
            Self::Loader(error) => Self::Loader(Arc::clone(error)),
            Self::OtherLoader(text) => Self::OtherLoader(Arc::clone(text)),
            Self::Panicked(text) => Self::Panicked(Arc::clone(text)),
            Self::NotLoaded(error) => Self::NotLoaded(Arc::clone(error)),
            Self::Overdue(waited) => Self::Overdue(*waited),
            Self::Stopped => Self::Stopped,
        }
    }
}

/// Why a value was not put.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PutValueError {
    /// The cache could not be asked.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The value can't be encoded.
    #[error("the value can't be encoded: {0}")]
    Encode(BoxError),
    /// A surrogate key can't be used, or there are too many.
    #[error("{0}")]
    SurrogateKey(String),
    /// It may not be stored.
    #[error(transparent)]
    Put(#[from] PutError),
}

impl From<KeyTooLong> for PutValueError {
    fn from(error: KeyTooLong) -> Self {
        Self::Value(error.into())
    }
}
