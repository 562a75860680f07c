//! The handle of a cache: all that an operator does over the gateway's API.

use std::sync::Arc;

use http::Response;
use sandbar_base::memory_budget::{Content, MemoryBudgetStats, Reserved};
use sandbar_http::key::Target;
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use sandbar_policy::{Binding, BoundInfo, Role};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::makers::Makers;
use super::{Builder, ChangeError, StoreError, TellError, UnknownTenant};
use crate::body::Body;
use crate::cache::{Cache, PurgeReport};
use crate::events::Events;
use crate::fleet::FleetReport;
use crate::layer::{CacheLayer, CacheService};
use crate::memory_budget::keeper::Keeper;
use crate::tenant::{Tenant, TenantReport};
use crate::tier::TierHealth;
use crate::values::{self, Codec, Postcard, ValueError, Values};

/// A cache and its tenants, made by [`Sandbar::builder`]. Cheap to clone: all clones are the same cache.
///
/// It is there before anything is layered. It has to be made, and is to be used, inside a Tokio runtime.
#[derive(Clone)]
pub struct Sandbar {
    pub(super) cache: Cache,
    pub(super) makers: Arc<Makers>,
    pub(super) kept: Arc<Kept>,
}

/// What lives for as long as a handle or a service of the cache does.
pub(super) struct Kept {
    /// Shrinks L1 where the machine runs short of memory; none where the cache has no bound of memory.
    pub(super) _keeper: Option<Keeper>,
    /// The charge for the cache's own tables.
    pub(super) _tables: Reserved,
}

/// The state of the cache: all that the gateway's `/metrics` shows, as values. Counters count since the start: rates are
/// differences of two states.
///
/// A tenant's [`counters`](TenantReport::counters) name themselves and say what they mean
/// ([`CounterValues::each`](crate::tenant::counters::CounterValues::each)), for a program that hands them to a metrics library
/// of its own; the times from requests to their answers are there as histograms
/// ([`CounterValues::latency`](crate::tenant::counters::CounterValues::latency)). All of it is `Serialize`.
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
    /// The fleet as this node sees it; none where it has joined none.
    pub fleet: Option<FleetReport>,
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

    /// Purges what an event of another system makes invalid, as the tenant's invalidation policy says: see [`Cache::event`].
    ///
    /// # Errors
    /// When there is no such tenant, or it is not certain that all of it is purged.
    pub async fn event(&self, tenant: &str, topic: &str, payload: &[u8]) -> Result<PurgeReport, TellError> {
        Ok(self.cache.event(&self.tenant(tenant)?, topic, payload).await?)
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

    /// What is stored for `target` (path and query) on `site` (scheme and authority), if it may be used as it is; the origin is
    /// not asked: see [`Cache::get`].
    ///
    /// # Errors
    /// When there is no such tenant, or `site` and `target` make no key.
    pub async fn get(&self, tenant: &str, site: &str, target: &str) -> Result<Option<Response<Body>>, StoreError> {
        Ok(self.cache.get(&self.tenant(tenant)?, site, target).await?)
    }

    /// Purges what is stored for `target` on `site`, with all its variants: see [`Cache::delete`].
    ///
    /// # Errors
    /// When there is no such tenant, or `site` and `target` make no key.
    pub async fn delete(&self, tenant: &str, site: &str, target: &str) -> Result<PurgeReport, StoreError> {
        Ok(self.cache.delete(&self.tenant(tenant)?, site, target).await?)
    }

    /// Values of a tenant under a name, without HTTP, for any type that postcard carries: see [`values`](crate::values). Another
    /// version of the type takes another [`Postcard::version`] ([`Self::values_in`]).
    ///
    /// # Errors
    /// When there is no such tenant, or `name` is none.
    pub fn values<T>(&self, tenant: &str, name: &str) -> Result<Values<T>, ValueError>
    where
        T: Serialize + DeserializeOwned + Send + Sync + 'static,
    {
        self.values_in(tenant, name, Postcard::default())
    }

    /// Like [`Self::values`], encoded in a way of the program's own.
    ///
    /// # Errors
    /// As for [`Self::values`], and when the codec's name is none.
    pub fn values_in<T, C>(&self, tenant: &str, name: &str, codec: C) -> Result<Values<T, C>, ValueError>
    where
        T: Send + Sync + 'static,
        C: Codec<T>,
    {
        self.cache.tenant(tenant).ok_or_else(|| ValueError::NoTenant(tenant.into()))?;
        let kept = values::Kept { cache: self.cache.clone(), alive: Arc::clone(&self.kept) as _ };
        Ok(Values::new(kept, tenant, name, codec)?)
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

    /// Reads what happens to entries of all tenants from now on, through a channel that has room for `capacity` events, one at
    /// least; beyond that they are lost, and counted. An event takes about 200 bytes while it waits.
    pub fn events(&self, capacity: usize) -> Events {
        self.cache.events(capacity)
    }

    /// Like [`Self::events`], for one tenant alone. The reader ends with the tenant.
    ///
    /// # Errors
    /// When there is no such tenant.
    pub fn events_of(&self, tenant: &str, capacity: usize) -> Result<Events, UnknownTenant> {
        Ok(self.cache.events_of(&*self.tenant(tenant)?, capacity))
    }

    /// The present state. It takes a lock of each shard for a moment: to be called once a second rather than once a request.
    pub fn stats(&self) -> Stats {
        Stats {
            tenants: self.cache.tenants().all().iter().map(|tenant| tenant.report()).collect(),
            l2: self.cache.l2_health(),
            memory: self.cache.memory_budget().stats(),
            purges_pending: self.cache.purges_pending(),
            fleet: self.cache.fleet_report(),
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
