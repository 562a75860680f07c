//! The cache as a part of another program: [`Sandbar::builder`] makes one, and the handle that it gives can do everything
//! that an operator does over the gateway's API.
//!
//! ```
//! use http::{Request, Response};
//! use sandbar::Sandbar;
//! use sandbar::barrier::Purge;
//! use sandbar::body::{self, Body, BoxError};
//! use sandbar::policy::{Binding, Role};
//! use sandbar::tenant::config::TenantConfig;
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let shop = TenantConfig { hosts: vec!["shop.example".into()], ..TenantConfig::named("shop") };
//! let sandbar = Sandbar::builder().tenant(shop).build()?;
//!
//! let origin = service_fn(async |_request: Request<Body>| {
//!     Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(body::full("hello"))?)
//! });
//! let service = sandbar.layer().layer(origin);
//! let request = || Request::get("http://shop.example/").body(body::empty());
//! let first = service.clone().oneshot(request()?).await?;
//! assert!(first.headers()["cache-status"].to_str()?.contains("fwd=uri-miss"));
//! # http_body_util::BodyExt::collect(first.into_body()).await?;
//! # while sandbar.cache().under_way() > 0 { tokio::task::yield_now().await; }
//! let second = service.clone().oneshot(request()?).await?;
//! assert!(second.headers()["cache-status"].to_str()?.contains("hit"));
//!
//! sandbar.bind("shop", Binding::stock(Role::Eviction, "lru").native()).await?;
//! sandbar.purge("shop", &[Purge::everything()]).await?;
//! sandbar.drain().await;
//! # Ok(())
//! # }
//! ```

mod builder;
mod error;
mod opener;
mod tenants;

use std::sync::Arc;

use http::Response;
use sandbar_base::memory_budget::{Content, MemoryBudgetStats, Reserved};
use sandbar_http::key::Target;
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use sandbar_policy::{Binding, BoundInfo, Role};
use serde::Serialize;

pub use self::builder::Builder;
pub use self::error::{BuildError, ChangeError, StoreError, UnknownTenant};
use self::tenants::Makers;
use crate::cache::{Cache, PurgeReport};
use crate::layer::{CacheLayer, CacheService};
use crate::memory_budget::keeper::Keeper;
use crate::tenant::{Tenant, TenantReport};
use crate::tier::TierHealth;

/// A cache and its tenants, made by [`Sandbar::builder`]. Cheap to clone: all clones are the same cache.
///
/// It is there before anything is layered. It has to be made, and is to be used, inside a Tokio runtime.
#[derive(Clone)]
pub struct Sandbar {
    cache: Cache,
    makers: Arc<Makers>,
    kept: Arc<Kept>,
}

/// What lives for as long as a handle or a service of the cache does.
struct Kept {
    /// Shrinks L1 where the machine runs short of memory; none where the cache has no bound of memory.
    _keeper: Option<Keeper>,
    /// The charge for the cache's own tables.
    _tables: Reserved,
}

/// The state of the cache. Counters count since the start: rates are differences of two states.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The tenants, in the order in which the builder was given them.
    pub tenants: Vec<TenantReport>,
    /// Name and health of the L2; none for a cache in memory alone.
    pub l2: Option<(&'static str, TierHealth)>,
    /// The memory that the cache has taken, by use.
    pub memory: MemoryBudgetStats,
    /// Purges that have not reached their store or the other nodes yet.
    pub purges_pending: usize,
}

impl Sandbar {
    /// Begins with a cache in memory alone, of one tenant for all hosts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A layer that puts the cache in front of a service, which is the origin of all tenants that have none of their own.
    pub fn layer(&self) -> CacheLayer {
        CacheLayer::new(self.cache.clone(), Arc::clone(&self.kept) as _)
    }

    /// The cache as a service of its own: each tenant's origin is the one that its settings name.
    pub fn service(&self) -> CacheService {
        CacheService::by_host(self.cache.clone(), Arc::clone(&self.kept) as _)
    }

    /// The cache itself, for what is rarely needed.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The tenant of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn tenant(&self, name: &str) -> Result<Arc<Tenant>, UnknownTenant> {
        self.cache.tenant(name).ok_or_else(|| UnknownTenant::among(&self.cache.tenants(), name))
    }

    /// Purges what a tenant has stored: see [`Cache::purge`].
    ///
    /// # Errors
    /// When there is no such tenant.
    pub async fn purge(&self, tenant: &str, purges: &[Purge]) -> Result<PurgeReport, UnknownTenant> {
        Ok(self.cache.purge(&self.tenant(tenant)?, purges).await)
    }

    /// Purges one URL with all its variants. Its scheme is a part of the key: the one of [`CacheLayer::scheme`].
    ///
    /// # Errors
    /// When there is no such tenant, or `url` is no absolute URL.
    pub async fn purge_url(&self, tenant: &str, url: &str, mode: PurgeMode) -> Result<PurgeReport, StoreError> {
        let scope = Scope::Target(Target::of_url(&self.tenant(tenant)?.settings.key, url)?);
        Ok(self.purge(tenant, &[Purge { scope, mode }]).await?)
    }

    /// Stores a response for `target` (path and query) on `site` (scheme and authority): see [`Cache::put`].
    ///
    /// # Errors
    /// When there is no such tenant, the response may not be stored, or `site` and `target` make no key.
    pub async fn put(
        &self,
        tenant: &str,
        site: &str,
        target: &str,
        response: Response<impl Into<Content>>,
    ) -> Result<PurgeReport, StoreError> {
        Ok(self.cache.put(&self.tenant(tenant)?, site, target, response).await?)
    }

    /// Purges what is stored for `target` on `site`, with all its variants: see [`Cache::delete`].
    ///
    /// # Errors
    /// When there is no such tenant, or `site` and `target` make no key.
    pub async fn delete(&self, tenant: &str, site: &str, target: &str) -> Result<PurgeReport, StoreError> {
        Ok(self.cache.delete(&self.tenant(tenant)?, site, target).await?)
    }

    /// Binds a policy while requests run: see [`Tenant::bind`].
    ///
    /// # Errors
    /// When there is no such tenant, or the policy can't be bound; nothing has changed then.
    pub async fn bind(&self, tenant: &str, binding: Binding) -> Result<BoundInfo, ChangeError> {
        Ok(self.tenant(tenant)?.bind(binding).await?)
    }

    /// Binds the configured policy of a role again, or the native default: see [`Tenant::unbind`].
    ///
    /// # Errors
    /// As [`Self::bind`].
    pub async fn unbind(&self, tenant: &str, role: Role) -> Result<BoundInfo, ChangeError> {
        Ok(self.tenant(tenant)?.unbind(role).await?)
    }

    /// The present state.
    pub fn stats(&self) -> Stats {
        Stats {
            tenants: self.cache.tenants().all().iter().map(|tenant| tenant.report()).collect(),
            l2: self.cache.l2_health(),
            memory: self.cache.memory_budget().stats(),
            purges_pending: self.cache.purges_pending(),
        }
    }

    /// Waits for what is under way, so that what was fetched is stored: see [`Cache::drain`]. To be called when the program
    /// stops and no more requests come.
    pub async fn drain(&self) {
        self.cache.drain().await;
    }
}

impl std::fmt::Debug for Sandbar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbar").field("tenants", &self.cache.tenants()).finish_non_exhaustive()
    }
}
