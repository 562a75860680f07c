//! A token that is taken before the database is asked, so that what is put afterwards brings back nothing that is older than a
//! purge or another put.

use std::sync::Arc;

use super::codec::{Codec, Postcard};
use super::error::{PutValueError, ValueError};
use super::fresh::Fresh;
use super::handle::Values;
use crate::cached::Began;
use crate::request::CacheRequest;
use crate::write::{Fate, Replaced};

/// The moment before a program asks its database, for one key: made by [`Values::begin`].
///
/// What is put with it afterwards is stored only if the key was neither purged nor put meanwhile: by this program, another node
/// or an operator.
pub struct Reservation<T, C = Postcard> {
    values: Values<T, C>,
    request: Arc<CacheRequest>,
    began: Began,
}

impl<T: Send + Sync + 'static, C: Codec<T>> Reservation<T, C> {
    /// Stores what was read (cache-aside). Nothing is purged.
    ///
    /// # Errors
    /// When the value may not be stored.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn fill(self, value: impl Into<Fresh<T>>) -> Result<Fate, PutValueError> {
        let loaded = self.values.stored(value.into())?;
        Ok(self.values.writer().fill_value(self.request, loaded, self.began).await?)
    }

    /// Purges the key, after its source was written, and stores the new value (write-through). Of writes that overlap neither is
    /// left, on one node or on several of a fleet: which of them came last is known at the source alone. All writers of a key
    /// have to use it: a [`Values::delete`] on another node is not seen where it comes while this is under way.
    ///
    /// # Errors
    /// When the value may not be stored. The key is purged all the same, unless the value can't be encoded.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn replace(self, value: impl Into<Fresh<T>>) -> Result<Replaced, PutValueError> {
        let loaded = self.values.stored(value.into())?;
        Ok(self.values.writer().replace_value(self.request, loaded, self.began).await?)
    }
}

impl<T: Send + Sync + 'static, C: Codec<T>> Values<T, C> {
    /// To be called before a database is asked for what is to be put then: see [`Reservation`].
    ///
    /// # Errors
    /// When the tenant is gone, or the key is too long.
    pub fn begin(&self, key: impl AsRef<[u8]>) -> Result<Reservation<T, C>, ValueError> {
        let tenant = self.of.shelf.tenant()?;
        let key = self.of.shelf.key(&tenant, key.as_ref())?;
        let request = self.of.shelf.request(&tenant, key);
        let began = self.of.shelf.store().begin(&request);
        Ok(Reservation { values: self.clone(), request, began })
    }
}

impl<T, C> std::fmt::Debug for Reservation<T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reservation").field("key", &self.request.key).finish_non_exhaustive()
    }
}
