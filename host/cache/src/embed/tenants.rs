//! Tenants that come, change and go while requests run.

use std::sync::Arc;

use super::handle::Sandbar;
use super::{BuildError, UnknownTenant};
use crate::tenant::config::TenantConfig;

impl Sandbar {
    /// Adds a tenant while requests run, or gives the tenant of that name other settings: it keeps what it has stored and what
    /// is bound, and requests under way end as they began. Changed key rules purge it.
    ///
    /// A tenant that was removed and is added again finds nothing of what was stored before. Across restarts only the program
    /// knows that: it has to say so with [`TenantConfig::incarnation`].
    ///
    /// # Errors
    /// When anything is wrong with the settings, or another tenant has one of the hosts; nothing has changed then.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn put_tenant(&self, config: TenantConfig) -> Result<(), BuildError> {
        let (cache, makers) = (self.cache.clone(), Arc::clone(&self.makers));
        to_its_end(move || makers.put(&cache, config)).await
    }

    /// Removes a tenant while requests run: new ones find it no more, those under way end well, and its memory is given back.
    ///
    /// # Errors
    /// When there is no such tenant.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub async fn remove_tenant(&self, name: &str) -> Result<(), UnknownTenant> {
        let (cache, makers, name) = (self.cache.clone(), Arc::clone(&self.makers), name.to_owned());
        to_its_end(move || makers.remove(&cache, &name)).await
    }
}

/// Makes a change where blocking is allowed, and to its end even where nobody waits for it any more: a tenant is never there
/// by half.
async fn to_its_end<T: Send + 'static>(change: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(change).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
