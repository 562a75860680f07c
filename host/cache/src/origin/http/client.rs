//! The HTTP origin: which addresses it is at, and which authority and target a request gets.

use std::sync::{Arc, OnceLock};

use ::http::uri::Authority;
use ::http::{HeaderValue, Request, Response, Uri, header};
use futures_util::future::{BoxFuture, FutureExt, select_ok};
use sandbar_base::Digest;
use sandbar_base::clock::{Clock, SystemClock};
use tokio::runtime::Handle;

use super::bad::BadOrigin;
use super::checks::Checks;
use super::exchange;
use super::resolve::{Resolve, SystemResolver};
use super::servers::Servers;
use super::tls::Tls;
use super::{HostHeader, OriginConfig, Protocol};
use crate::body::Body;
use crate::origin::{Origin, OriginError, OriginReport};

/// An HTTP origin.
pub struct HttpOrigin {
    pub(super) config: Arc<OriginConfig>,
    pub(super) name: Arc<str>,
    pub(super) servers: Arc<Servers>,
    files: Option<Digest>,
    checks: OnceLock<Checks>,
}

impl HttpOrigin {
    /// An origin with these settings, which takes time from the system's clock and names from the system's resolver.
    /// Nothing is connected before the first request.
    ///
    /// # Errors
    /// When there is no way to trust an `https` origin.
    pub fn new(config: &OriginConfig) -> Result<Self, BadOrigin> {
        Self::within(config, Arc::new(SystemClock), Arc::new(SystemResolver))
    }

    /// The same with a clock and a resolver of the program's own. Deadlines of requests are kept by Tokio's clock.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn within(config: &OriginConfig, clock: Arc<dyn Clock>, resolver: Arc<dyn Resolve>) -> Result<Self, BadOrigin> {
        let (tls, config) = (Tls::new(config)?, Arc::new(config.clone()));
        let files = tls.files;
        let servers = Servers::new(Arc::clone(&config), tls, clock, resolver);
        Ok(Self { name: config.url.to_string().into(), servers, config, files, checks: OnceLock::new() })
    }

    /// The origin's URL, as it stands in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects once and says what went wrong, for a warning at the start.
    ///
    /// # Errors
    /// When no connection to any of the addresses could be made within the connect deadline.
    pub async fn probe(&self) -> Result<(), OriginError> {
        let deadline = self.config.connect_deadline.get();
        let probing = async {
            let addresses = self.servers.addresses().await.map_err(|reason| self.unreachable(reason))?;
            let each = addresses.iter().map(|one| {
                let told = move |error: std::io::Error| self.unreachable(self.told_at(one, error.to_string()));
                async move { one.address.probe().await.map_err(told) }.boxed()
            });
            select_ok(each).await.map(|_| ())
        };
        tokio::time::timeout(deadline, probing).await.unwrap_or_else(|_| Err(self.missed("connect", deadline)))
    }

    /// Points a request at the origin.
    ///
    /// The authority of the URI becomes `:authority` on HTTP/2, where it must be the host that is asked for (RFC 9113
    /// section 8.3.1), and names the pool of connections on both; so on plain HTTP/1.1, where `Host` does the asking,
    /// it stays the origin's and all hosts share one pool.
    pub(super) fn address<B>(&self, request: &mut Request<B>) -> Result<(), OriginError> {
        let own = self.config.url.authority().clone();
        let host = match self.config.host_header {
            HostHeader::Preserve => asked_authority(request).unwrap_or_else(|| own.clone()),
            HostHeader::Origin => own.clone(),
        };
        let may_be_h2 =
            self.config.http == Protocol::Http2 || (self.config.http == Protocol::Auto && self.config.url.is_https());
        let host_field = HeaderValue::from_str(host.as_str()).map_err(|error| self.broken(error.to_string()))?;
        request.headers_mut().insert(header::HOST, host_field);
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = self
            .config
            .url
            .at(if may_be_h2 { host } else { own }, target)
            .ok_or_else(|| self.broken(format!("{target:?} can't be joined to its URL")))?;
        *request.version_mut() = ::http::Version::HTTP_11;
        Ok(())
    }

    /// What went wrong, with the address where the URL does not show it.
    pub(super) fn told_at(&self, endpoint: &super::endpoint::Endpoint, reason: String) -> String {
        if self.servers.is_one_known() { reason } else { format!("{}: {reason}", endpoint.address) }
    }

    pub(super) fn unreachable(&self, reason: String) -> OriginError {
        OriginError::Connect { origin: self.name.to_string(), reason }
    }

    pub(super) fn broken(&self, reason: String) -> OriginError {
        OriginError::Broken { origin: self.name.to_string(), reason }
    }

    pub(super) fn missed(&self, what: &'static str, deadline: std::time::Duration) -> OriginError {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        OriginError::Deadline { origin: self.name.to_string(), what, deadline_ms }
    }
}

/// The host that was asked for: the URI's authority, else `Host`.
pub(super) fn asked_authority<B>(request: &Request<B>) -> Option<Authority> {
    let uri: &Uri = request.uri();
    let field = || request.headers().get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    uri.authority().cloned().or_else(field)
}

impl Origin for HttpOrigin {
    fn fetch(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, OriginError>> {
        self.start();
        Box::pin(exchange::exchange(self, request))
    }

    /// Begins to check the addresses, where they are to be checked; outside of a Tokio runtime, the first request does.
    fn start(&self) {
        if self.checks.get().is_some() {
            return;
        }
        if let Some(config) = self.config.health_check.as_ref().filter(|_| Handle::try_current().is_ok()) {
            self.checks.get_or_init(|| Checks::begin(Arc::clone(&self.servers), config.clone()));
        }
    }

    fn report(&self) -> OriginReport {
        self.servers.report()
    }

    fn files(&self) -> Option<Digest> {
        self.files
    }
}
