//! A value as a loader brings it, or as it is put.

use std::sync::Arc;

use super::keep::Keep;

/// A value from its source, or the word that there is none, with how to keep it where that is not as the handle says.
///
/// A `T`, an `Arc<T>` and an `Option<T>` can be turned into it, so that a loader can return those.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fresh<T> {
    pub(super) value: Option<Arc<T>>,
    pub(super) keep: Option<Keep>,
}

impl<T> Fresh<T> {
    /// This value.
    pub fn value(value: impl Into<Arc<T>>) -> Self {
        Self { value: Some(value.into()), keep: None }
    }

    /// There is no value.
    pub const fn absent() -> Self {
        Self { value: None, keep: None }
    }

    /// To be kept like this, whatever the handle says.
    pub fn keep(self, keep: Keep) -> Self {
        Self { keep: Some(keep), ..self }
    }
}

impl<T> From<T> for Fresh<T> {
    fn from(value: T) -> Self {
        Self::value(value)
    }
}

impl<T> From<Arc<T>> for Fresh<T> {
    fn from(value: Arc<T>) -> Self {
        Self::value(value)
    }
}

impl<T> From<Option<T>> for Fresh<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(Self::absent, Self::value)
    }
}

/// What the cache has for a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup<T> {
    /// The value.
    Value(Arc<T>),
    /// That there is none at the source.
    Absent,
    /// Nothing that may be used.
    Miss,
}

impl<T> Lookup<T> {
    /// The value, if there is one.
    pub fn into_value(self) -> Option<Arc<T>> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Miss => None,
        }
    }

    pub(super) fn of(known: Option<Arc<T>>) -> Self {
        known.map_or(Self::Absent, Self::Value)
    }
}

impl<T> Clone for Lookup<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Value(value) => Self::Value(Arc::clone(value)),
            Self::Absent => Self::Absent,
            Self::Miss => Self::Miss,
        }
    }
}
