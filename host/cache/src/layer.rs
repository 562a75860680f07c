//! The cache as a tower layer: in front of any service, inside any gateway.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use sandbar::body::{self, Body};
//! use sandbar::CacheLayer;
//! use sandbar::tenant::config::TenantConfig;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), sandbar::body::BoxError> {
//! let origin = service_fn(|_request: Request<Body>| async {
//!     let response = Response::builder().header("cache-control", "max-age=60");
//!     Ok::<_, Infallible>(response.body(body::full("hello")).expect("a valid response"))
//! });
//! let service = ServiceBuilder::new().layer(CacheLayer::new(TenantConfig::default())?).service(origin);
//!
//! let request = || Request::get("http://shop.example/").body(body::empty());
//! let first = service.clone().oneshot(request()?).await?;
//! assert!(first.headers()["cache-status"].to_str()?.contains("fwd=uri-miss"));
//! # http_body_util::BodyExt::collect(first.into_body()).await?;
//! # service.cache().drain().await;
//! let second = service.clone().oneshot(request()?).await?;
//! assert!(second.headers()["cache-status"].to_str()?.contains("hit"));
//! # Ok(())
//! # }
//! ```

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use sandbar_base::clock::{Clock, SystemClock};
use sandbar_policy::TenantPolicies;
use tower::{Layer, Service, ServiceExt};

use crate::body::{self, Body, BoxError};
use crate::cache::{Cache, CacheLimits, CacheParts};
use crate::origin::{Origin, OriginError};
use crate::tenant::config::TenantConfig;
use crate::tenant::{Settings, SettingsError, Tenant};
use crate::tier::BarrierStore;
use crate::tier::Tier;

/// Puts a cache in front of a service, which becomes its origin.
#[derive(Clone)]
pub struct CacheLayer {
    config: TenantConfig,
    clock: Arc<dyn Clock>,
    limits: CacheLimits,
    l2: Option<Arc<dyn Tier>>,
    barriers: Option<Arc<dyn BarrierStore>>,
}

impl CacheLayer {
    /// A cache in memory with native policies.
    ///
    /// # Errors
    /// When a setting of the tenant is wrong. Its hosts and its origin are ignored.
    pub fn new(config: TenantConfig) -> Result<Self, SettingsError> {
        Settings::try_from(&config)?;
        Ok(Self { config, clock: Arc::new(SystemClock), limits: CacheLimits::default(), l2: None, barriers: None })
    }

    /// Reads time from `clock` instead of the system's clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the cache's bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: CacheLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Adds a tier below L1; purges are recorded in it too.
    #[must_use]
    pub fn with_l2<T: Tier + BarrierStore>(mut self, l2: Arc<T>) -> Self {
        self.l2 = Some(Arc::clone(&l2) as Arc<dyn Tier>);
        self.barriers = Some(l2);
        self
    }
}

impl<S> Layer<S> for CacheLayer
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    type Service = CacheService;

    fn layer(&self, origin: S) -> CacheService {
        let origin = Arc::new(ServiceOrigin { service: origin });
        let policies = TenantPolicies::native(&self.config.name);
        let tenant = Tenant::new(&self.config, policies, origin, Arc::clone(&self.clock))
            .expect("the settings were checked when the layer was made");
        let cache = Cache::new(CacheParts {
            tenants: vec![Arc::clone(&tenant)],
            l2: self.l2.clone(),
            barriers: self.barriers.clone(),
            clock: Arc::clone(&self.clock),
            limits: self.limits.clone(),
        });
        CacheService { cache, tenant }
    }
}

/// One tenant's cache as a service. It never fails: failures are responses.
#[derive(Clone)]
pub struct CacheService {
    cache: Cache,
    tenant: Arc<Tenant>,
}

impl CacheService {
    /// A service that answers a tenant's requests from a cache.
    pub const fn new(cache: Cache, tenant: Arc<Tenant>) -> Self {
        Self { cache, tenant }
    }

    /// The cache: to purge, to drain.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The tenant: its policies, its counters.
    pub const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }
}

impl<B> Service<Request<B>> for CacheService
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (cache, tenant) = (self.cache.clone(), Arc::clone(&self.tenant));
        async move { Ok(cache.respond(&tenant, request.map(body::boxed)).await) }.boxed()
    }
}

/// A service as an origin.
struct ServiceOrigin<S> {
    service: S,
}

impl<S> Origin for ServiceOrigin<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        let broken = move |error: S::Error| OriginError::Broken {
            origin: std::any::type_name::<S>().into(),
            reason: error.into().to_string(),
        };
        self.service.clone().oneshot(request).map(move |result| result.map_err(broken)).boxed()
    }
}
