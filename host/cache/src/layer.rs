//! The cache as a tower layer: in front of any service, inside any gateway.

mod by;
mod front;

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http::{HeaderName, Request, Response, StatusCode};
use sandbar_http::semantics::cache_status::{CacheStatus, Outcome};
use tower::{Layer, Service, ServiceExt};

use self::by::By;
use self::front::Front;
use crate::body::{self, Body, BoxError};
use crate::cache::{CACHE, Cache};
use crate::origin::behind::Behind;
use crate::origin::{Origin, OriginError};
use crate::tenant::Tenant;

/// Puts a cache in front of a service, which is the origin of its tenants: a tower layer, which
/// [`Sandbar::layer`](crate::Sandbar::layer) makes.
///
/// What is layered takes a `Request<B>` with any body of bytes, and answers with a `Response<Body>`, which is a plain
/// [`http_body::Body`]. The service behind it is asked with the library's [`Body`], as a refresh behind an answer has no
/// client whose body it could use: an axum `Router` or a route of it, a hyper service, a reverse proxy take that as it is,
/// others by tower's `map_request`.
///
/// All layers of a cache share their tenants' keys: two services that answer for the same URL of a tenant are taken for one. A
/// router that takes a prefix off the path before a layer sees it (axum's `nest`) makes the URLs of two services the same:
/// [`Self::under`] says what the prefix was. The protection of an origin is a tenant's too, all its services together:
/// those that fail often open one breaker (`protect.breaker`), and an idempotent request without content that a service failed
/// on is sent again (`protect.retry`).
///
/// A connection that switches to another protocol (`101`, WebSockets) can't pass through a layer: the service behind is not
/// given the client's connection. Keep such routes outside, or name an HTTP origin in the tenant's settings and the protocol in
/// its class (`upgrade`).
///
/// The request that it is asked with has the extensions of the client's request (path parameters of a router, what layers in
/// front have found out), for a refresh those of the hit behind which it is made. They are not part of the cache key. A response
/// that depends on them has to say so as one that depends on a cookie has to: `private`, `no-store`, or a `Vary` field.
///
/// By default the tenant of a request is the one whose hosts match. A request of no tenant goes to the service as it is,
/// and so does its response.
#[derive(Clone)]
pub struct CacheLayer {
    cache: Cache,
    by: By,
    front: Front,
    kept: KeptAlive,
}

/// What has to live for as long as the cache is used.
type KeptAlive = Arc<dyn Any + Send + Sync>;

impl CacheLayer {
    pub(crate) fn new(cache: Cache, kept: KeptAlive) -> Self {
        Self { cache, by: By::Host, front: Front::default(), kept }
    }

    /// The scheme that clients use, where something in front of the program takes TLS off: it is a part of every key, and
    /// no client can choose another. Without it the scheme is the request's own, `http` where that says none: over TLS,
    /// requests in HTTP/1.1 and in HTTP/2 then have different keys.
    #[must_use]
    pub fn scheme(mut self, scheme: http::uri::Scheme) -> Self {
        self.front.scheme = Some(scheme);
        self
    }

    /// Says what a router in front has taken off the path, such as `/admin` for what is nested there: it is put back for the
    /// key and for purges, and the service is asked without it, as without the cache.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.front.under = prefix.trim_end_matches('/').into();
        self
    }

    /// Takes the tenant whose name is in a request field; the field should be one that no client can set.
    #[must_use]
    pub fn by_header(self, name: HeaderName) -> Self {
        self.by(move |head| Some(head.headers.get(&name)?.to_str().ok()?.to_owned()))
    }

    /// Takes the tenant whose name the closure answers with; none where it answers with none, or with no tenant's name.
    #[must_use]
    pub fn by(mut self, tenant: impl Fn(&http::request::Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.by = By::Name(Arc::new(tenant));
        self
    }
}

impl<S, R> Layer<S> for CacheLayer
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Service = CacheService;

    fn layer(&self, service: S) -> CacheService {
        let Self { cache, by, front, kept } = self.clone();
        let behind = Behind { service: Arc::new(ServiceOrigin { service }), under: Arc::clone(&front.under) };
        CacheService { cache, by, front, behind: Some(behind), _kept: kept }
    }
}

/// A cache as a service. It never fails: what goes wrong is a response.
#[derive(Clone)]
pub struct CacheService {
    cache: Cache,
    by: By,
    front: Front,
    /// The service that the layer was put in front of.
    behind: Option<Behind>,
    _kept: KeptAlive,
}

impl CacheService {
    /// One tenant of a cache as a service.
    pub fn new(cache: Cache, tenant: Arc<Tenant>) -> Self {
        Self { cache, by: By::One(tenant), front: Front::default(), behind: None, _kept: Arc::new(()) }
    }

    pub(crate) fn by_host(cache: Cache, kept: KeptAlive) -> Self {
        Self { cache, by: By::Host, front: Front::default(), behind: None, _kept: kept }
    }

    /// The cache: to purge, to drain.
    pub const fn cache(&self) -> &Cache {
        &self.cache
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (mut head, content) = request.into_parts();
        let through = Through(self.cache.id());
        if head.extensions.get::<Through>() == Some(&through) {
            // A layer of this cache further out has looked already, and waits for this answer.
            return self.answer_without(Request::from_parts(head, content)).await;
        }
        let sent = head.uri.clone();
        let site = self.front.site(&mut head);
        let Some(tenant) = self.by.tenant(&self.cache, site.as_ref(), &head) else {
            head.uri = sent;
            return self.answer_without(Request::from_parts(head, content)).await;
        };
        if let Some(site) = site {
            head.extensions.insert(site);
        }
        if let Some(behind) = self.behind {
            head.extensions.insert(behind);
            head.extensions.insert(through);
        }
        self.cache.respond(&tenant, Request::from_parts(head, content)).await
    }

    /// Answers a request of no tenant.
    async fn answer_without(self, request: Request<Body>) -> Response<Body> {
        let Some(Behind { service: origin, .. }) = self.behind else {
            // RFC 9110 section 15.5.20: this server can't answer for that authority.
            return refused(StatusCode::MISDIRECTED_REQUEST, "unknown-host");
        };
        origin.fetch(request).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the service behind the cache failed");
            refused(StatusCode::BAD_GATEWAY, error.reason())
        })
    }
}

fn refused(status: StatusCode, detail: &'static str) -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = status;
    let said = CacheStatus { detail: Some(detail), ..CacheStatus::new(CACHE, Outcome::Refused) };
    said.append_to(response.headers_mut());
    response
}

impl<B> Service<Request<B>> for CacheService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        async move { Ok(service.answer(request.map(body::boxed)).await) }.boxed()
    }
}

/// The cache whose layer a request has come through: an extension of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Through(usize);

/// A service as an origin. A panic in it is an error of the origin.
struct ServiceOrigin<S> {
    service: S,
}

impl<S, R> Origin for ServiceOrigin<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        let broken = |reason: String| OriginError::Broken { origin: "behind the layer".to_owned(), reason };
        let answer = AssertUnwindSafe(self.service.clone().oneshot(request)).catch_unwind();
        let of_origin = move |answer: Result<Result<Response<R>, S::Error>, _>| match answer {
            Ok(Ok(response)) => Ok(response.map(body::boxed)),
            Ok(Err(error)) => Err(broken(error.into().to_string())),
            Err(_) => Err(broken("the service panicked".to_owned())),
        };
        answer.map(of_origin).boxed()
    }
}
