//! Values with a source of truth behind them: read through the cache, and written through it.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;

use super::backing::{Change, Expected, Outcome, Row, Store, StoreError};
use super::codec::{Codec, Postcard};
use super::error::{LoadError, ValueError};
use super::fresh::Fresh;
use super::handle::Values;
#[cfg(doc)]
use super::keep::Keep;
use super::reservation::Reservation;
use crate::cache::PurgeReport;
use crate::errand;
use crate::write::Fate;

/// Values with a store behind them, made by [`Values::backed_by`]. Cheap to clone.
///
/// What the cache does not have is read from the store; a write goes to the store first, and then into the cache. Whoever else writes to
/// the store has to give a row another version with each write, and to purge what is cached of it, or to wait for its lifetime
/// to end.
pub struct Backed<T, S, C = Postcard> {
    values: Values<Row<T>, C>,
    store: Arc<S>,
}

/// What became of a write that the store has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What the store did.
    pub outcome: Outcome,
    /// Whether the cache has the new value or, where a key was removed, none. [`Fate::Overtaken`] says that it has none although
    /// the store may have one: of writes that overlap, the store alone knows which came last.
    pub fate: Fate,
    /// What became of the purge of the old value on other nodes.
    pub purge: PurgeReport,
}

/// Why a write has failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The cache could not be asked; nothing was written.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The store failed. As the write may have been made, what was cached is purged.
    #[error("{error}")]
    Store {
        /// The store's error.
        error: StoreError,
        /// What became of the purge.
        purge: Box<PurgeReport>,
    },
    /// The process is being stopped; the write may have been made.
    #[error("the process is being stopped")]
    Stopped,
}

impl<T: Send + Sync + 'static, C: Codec<Row<T>>> Values<Row<T>, C> {
    /// These values with a store behind them.
    pub fn backed_by<S: Store<T>>(&self, store: impl Into<Arc<S>>) -> Backed<T, S, C> {
        Backed { values: self.clone(), store: store.into() }
    }
}

impl<T: Send + Sync + 'static, S: Store<T>, C: Codec<Row<T>>> Backed<T, S, C> {
    /// The values without their store: to purge, expire and explain them.
    pub const fn values(&self) -> &Values<Row<T>, C> {
        &self.values
    }

    /// The value, from the cache or the store; `None` where the store has none. All callers who want one key wait for one read.
    ///
    /// Where the cache has one that is no longer fresh, its version alone is read, and the value again only if that is another.
    ///
    /// # Errors
    /// As for [`Values::get_or_load`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn get(&self, key: &str) -> Result<Option<Arc<Row<T>>>, LoadError<StoreError>> {
        let (values, store, wanted) = (self.values.clone(), Arc::clone(&self.store), [key.to_owned()]);
        let load = async move || {
            let [key] = &wanted;
            if let Some(known) = values.known(key.as_bytes()) {
                match store.versions(&wanted).await?.get(key) {
                    Some(version) if *version == known.version => return Ok(Fresh::value(known)),
                    Some(_) => {}
                    None => return Ok(Fresh::absent()),
                }
            }
            Ok(store.read(&wanted).await?.remove(key).map_or_else(Fresh::absent, Fresh::value))
        };
        self.values.get_or_load(key, load).await
    }

    /// Several values: those that the cache does not have come with one read of the store. A key that is not in the answer has
    /// no value.
    ///
    /// # Errors
    /// As for [`Self::get`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn get_many(
        &self,
        keys: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<HashMap<String, Arc<Row<T>>>, LoadError<StoreError>> {
        let store = Arc::clone(&self.store);
        let load = move |keys: Vec<String>| {
            let store = Arc::clone(&store);
            async move { store.read(&keys).await }
        };
        self.values.get_or_load_many(keys.into_iter().map(Into::into), load).await
    }

    /// Writes a value to the store, and then into the cache.
    ///
    /// # Errors
    /// As for [`Self::write`].
    ///
    /// # Panics
    /// As for [`Self::write`].
    pub async fn put(&self, key: &str, value: T, expected: Expected) -> Result<Written, WriteError> {
        self.one(Change { key: key.to_owned(), value: Some(value), expected }).await
    }

    /// Removes a value from the store, and then from the cache, which knows from then on that there is none, where [`Keep`] says
    /// so ([`Keep::absent_for`]).
    ///
    /// # Errors
    /// As for [`Self::write`].
    ///
    /// # Panics
    /// As for [`Self::write`].
    pub async fn delete(&self, key: &str, expected: Expected) -> Result<Written, WriteError> {
        self.one(Change { key: key.to_owned(), value: None, expected }).await
    }

    async fn one(&self, change: Change<T>) -> Result<Written, WriteError> {
        self.write(vec![change]).await.pop().unwrap_or(Err(WriteError::Stopped))
    }

    /// Makes several changes in one call of the store, and says of each what became of it, in their order. It goes on where its
    /// caller goes away.
    ///
    /// What a change has made is in the cache afterwards, unless another write of the key overlapped. After a conflict, or where
    /// the store failed, what was cached is purged: it may be older than what the store has. Where other nodes can't be told of that
    /// purge it is tried again, as any purge is.
    ///
    /// # Errors
    /// For a change when the store failed, or the cache could not be asked.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn write(&self, changes: Vec<Change<T>>) -> Vec<Result<Written, WriteError>> {
        let (backed, len) = (self.clone(), changes.len());
        let tasks = &self.values.writer().tasks;
        let stopped = || (0..len).map(|_| Err(WriteError::Stopped)).collect();
        errand::done(tasks, async move { backed.write_whole(changes).await }, stopped).await
    }

    async fn write_whole(self, changes: Vec<Change<T>>) -> Vec<Result<Written, WriteError>> {
        // Taken before the store is asked: what is purged or written from then on outranks what this writes.
        let begun: Vec<_> = changes.iter().map(|change| self.values.begin(&change.key)).collect();
        let (mut taken, mut reserved) = (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len()));
        let mut results: Vec<Option<Result<Written, WriteError>>> = Vec::with_capacity(changes.len());
        for (change, begun) in changes.into_iter().zip(begun) {
            match begun {
                Ok(reservation) => {
                    reserved.push((results.len(), reservation));
                    taken.push(change);
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error.into()))),
            }
        }
        let outcomes = AssertUnwindSafe(self.store.write(&taken)).catch_unwind().await.unwrap_or_default();
        // A store that says less than it was asked has failed for the rest.
        let unsaid = || Err(StoreError::Broken("it did not say what became of the write".into()));
        let outcomes = outcomes.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        for ((change, (place, reservation)), outcome) in taken.into_iter().zip(reserved).zip(outcomes) {
            results[place] = Some(self.settle(change, reservation, outcome.unwrap_or_else(unsaid)).await);
        }
        results.into_iter().map(|result| result.unwrap_or(Err(WriteError::Stopped))).collect()
    }

    /// Brings the cache to what the store has made of a change.
    async fn settle(
        &self,
        change: Change<T>,
        reservation: Reservation<Row<T>, C>,
        outcome: Result<Outcome, StoreError>,
    ) -> Result<Written, WriteError> {
        let Change { key, value, .. } = change;
        let removed = value.is_none();
        let fresh = match (&outcome, value) {
            (Ok(Outcome::Done(Some(version))), Some(value)) => Some(Fresh::value(Row { value, version: *version })),
            (Ok(Outcome::Done(None)), None) if self.values.keep.keeps_absent() => Some(Fresh::absent()),
            _ => None,
        };
        if let (Ok(outcome), Some(fresh)) = (&outcome, fresh) {
            match reservation.replace(fresh).await {
                Ok(replaced) => return Ok(Written { outcome: *outcome, fate: replaced.fate, purge: replaced.purge }),
                Err(error) => tracing::warn!(key, %error, "what was written can't be cached"),
            }
        }
        let purge = self.values.delete(&key).await?;
        match outcome {
            // Nothing is there, and nothing is cached.
            Ok(outcome @ Outcome::Done(_)) if removed => Ok(Written { outcome, fate: Fate::Stored, purge }),
            Ok(outcome) => Ok(Written { outcome, fate: Fate::Overtaken, purge }),
            Err(error) => Err(WriteError::Store { error, purge: Box::new(purge) }),
        }
    }
}

impl<T, S, C> Clone for Backed<T, S, C> {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), store: Arc::clone(&self.store) }
    }
}

impl<T, S, C> fmt::Debug for Backed<T, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backed").field("values", &self.values).finish_non_exhaustive()
    }
}
