//! The handle of a program's values.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sandbar_http::purge::{Purge, PurgeMode, Scope};

use super::address::{Address, BadName};
use super::codec::{Codec, Postcard};
use super::error::{PutValueError, ValueError};
use super::fresh::Fresh;
use super::keep::Keep;
use super::shape::Shape;
use super::shelf::{Kept, Shelf};
use crate::cache::PurgeReport;
use crate::cached::Form;
use crate::explain::Explanation;
use crate::fill::load::Loaded;
use crate::store::found::Found;
use crate::write::Writer;

/// Values of type `T` of one tenant, under one name: made by [`Sandbar::values`](crate::Sandbar::values). Cheap to clone.
///
/// A key is a string or any other bytes, [`KEY_BYTES_MAX`](super::KEY_BYTES_MAX) at most. All methods work with the settings that
/// the tenant has when they are called, and fail once it is removed.
pub struct Values<T, C = Postcard> {
    pub(super) of: Arc<Of<T, C>>,
    pub(super) keep: Arc<Keep>,
}

pub(super) struct Of<T, C> {
    pub(super) shelf: Shelf,
    pub(super) shape: Arc<Shape<T, C>>,
}

/// Values are fresh for a minute where nothing else is said.
const FRESH_FOR: Duration = Duration::from_secs(60);

impl<T: Send + Sync + 'static, C: Codec<T>> Values<T, C> {
    pub(crate) fn new(kept: Kept, tenant: &str, name: &str, codec: C) -> Result<Self, BadName> {
        let address = Address::new(name, codec.name(), codec.version())?;
        let shape = Arc::new(Shape::new(name, codec));
        let shelf = Shelf::new(kept, tenant, address, Arc::clone(&shape) as Arc<dyn Form>);
        Ok(Self { of: Arc::new(Of { shelf, shape }), keep: Arc::new(Keep::fresh_for(FRESH_FOR)) })
    }

    /// A handle of the same values that keeps what it loads and puts like this; without it they are fresh for a minute. What a
    /// loader says of its value ([`Fresh::keep`]) comes first.
    #[must_use]
    pub fn keeping(&self, keep: Keep) -> Self {
        Self { of: Arc::clone(&self.of), keep: Arc::new(keep) }
    }

    /// Stores a value, in place of what is there, in all its versions: that is purged first, and the report says what became of
    /// the purge on other nodes. On this node the value is stored in any case, as far as there is memory. The last of several puts counts; where the value
    /// was read from, or written to, a database before, [`Self::begin`] makes sure that it is not older than what it replaces.
    ///
    /// # Errors
    /// When the value may not be stored; nothing has changed then.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: impl Into<Fresh<T>>) -> Result<PurgeReport, PutValueError> {
        let tenant = self.of.shelf.tenant()?;
        let key = self.of.shelf.key(&tenant, key.as_ref())?;
        let loaded = self.stored(value.into())?;
        Ok(self.writer().put_value(self.of.shelf.request(&tenant, key), loaded).await?)
    }

    /// Purges a value, in all its versions: no read that begins after this gets it, on this node; what is promised of others,
    /// the report says.
    ///
    /// # Errors
    /// When the tenant is gone, or the key is too long.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<PurgeReport, ValueError> {
        let scope = self.of.shelf.address.scope_of(key.as_ref())?;
        self.purge(scope, PurgeMode::Hard).await
    }

    /// Makes a value stale (soft purge): it may still be given as [`Keep`] allows it for stale ones.
    ///
    /// # Errors
    /// As for [`Self::delete`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn expire(&self, key: impl AsRef<[u8]>) -> Result<PurgeReport, ValueError> {
        let scope = self.of.shelf.address.scope_of(key.as_ref())?;
        self.purge(scope, PurgeMode::Soft).await
    }

    /// Purges all values under this name whose keys begin so: with an empty prefix all of them. By surrogate key, and together
    /// with what is stored of HTTP, [`Sandbar::purge`](crate::Sandbar::purge) does it.
    ///
    /// # Errors
    /// As for [`Self::delete`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn purge_prefix(&self, prefix: impl AsRef<[u8]>, mode: PurgeMode) -> Result<PurgeReport, ValueError> {
        let scope = self.of.shelf.address.scope_of_prefix(prefix.as_ref())?;
        self.purge(scope, mode).await
    }

    /// Where a value is stored now, for how long, and what the next caller gets. Changes nothing.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub async fn explain(&self, key: impl AsRef<[u8]>) -> Result<Explanation, ValueError> {
        let shelf = &self.of.shelf;
        let tenant = shelf.tenant()?;
        let key = shelf.key(&tenant, key.as_ref())?;
        Ok(shelf.cache.explain_request(&shelf.request(&tenant, key)).await)
    }

    async fn purge(&self, scope: Scope, mode: PurgeMode) -> Result<PurgeReport, ValueError> {
        Ok(self.of.shelf.cache.purge(&self.of.shelf.tenant()?, &[Purge { scope, mode }]).await)
    }

    pub(super) fn writer(&self) -> &Arc<Writer> {
        self.of.shelf.writer()
    }

    /// A value as it is stored.
    pub(super) fn stored(&self, fresh: Fresh<T>) -> Result<Loaded, PutValueError> {
        self.of.shape.stored(fresh, &self.keep)
    }
}

impl<T: Send + Sync + 'static, C: Codec<T>> Values<T, C> {
    /// The value that L1 has, fresh or not, unless it is purged.
    pub(super) fn known(&self, key: &[u8]) -> Option<Arc<T>> {
        let tenant = self.of.shelf.tenant().ok()?;
        let key = self.of.shelf.key(&tenant, key).ok()?;
        match self.of.shelf.hit(&tenant, &key) {
            Ok(hit) => value_of(hit.leave.what()),
            Err(no_hit) => value_of(&no_hit.basis?),
        }
    }
}

/// The value that an entry of this very type holds.
pub(super) fn value_of<T: Send + Sync + 'static>(found: &Found) -> Option<Arc<T>> {
    let value = found.cached().decoded()?.value.as_ref()?;
    Arc::clone(value).downcast().ok()
}

impl<T, C> Clone for Values<T, C> {
    fn clone(&self) -> Self {
        Self { of: Arc::clone(&self.of), keep: Arc::clone(&self.keep) }
    }
}

impl<T, C> fmt::Debug for Values<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("address", &self.of.shelf.address).field("keep", &self.keep).finish()
    }
}
