//! The HTTP origin: which connections a request may use, and which authority and target it gets.

use std::path::PathBuf;

use ::http::uri::Authority;
use ::http::{HeaderValue, Request, Response, Uri, header};
use futures_util::future::BoxFuture;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::Upload;
use super::connect::Dial;
use super::{HostHeader, OriginConfig, Protocol, READ_BYTES, STREAM_WINDOW_BYTES, exchange};
use crate::body::Body;
use crate::origin::{Origin, OriginError};

/// Why an origin can't be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadOrigin {
    /// The certificates to trust could not be read.
    #[error("tls_ca_file {file:?} could not be read: {reason}; it must hold certificates in PEM form")]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate to show to the origin, or its key, can't be used.
    #[error(
        "{setting} {file:?} can't be used: {reason}; tls_cert_file and tls_key_file must hold a certificate and its key in PEM form"
    )]
    OwnFile {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// This machine trusts no certificates, so no `https` origin can be reached.
    #[error(
        "this machine trusts no certificates, so no https origin can be reached; install its CA certificates (the \
         package ca-certificates) or name a tls_ca_file"
    )]
    NoRoots,
    /// TLS could not be set up.
    #[error("TLS could not be set up: {reason}")]
    Tls {
        /// The error of rustls.
        reason: String,
    },
}

/// The HTTP/2 window of a whole connection: as much as its streams may have together, so that none waits for another.
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;

/// An HTTP origin.
pub struct HttpOrigin {
    pub(super) config: OriginConfig,
    pub(super) name: String,
    pub(super) pooled: Client<Dial, Upload>,
    /// Makes a new connection for each request: a retry must not get another broken one.
    pub(super) fresh: Client<Dial, Upload>,
    /// Makes a new HTTP/1.1 connection for a request that is to switch to another protocol: HTTP/2 has no `Upgrade`.
    pub(super) switching: Client<Dial, Upload>,
}

impl HttpOrigin {
    /// An origin with these settings. Nothing is connected before the first request.
    ///
    /// # Errors
    /// When there is no way to trust an `https` origin.
    pub fn new(config: &OriginConfig) -> Result<Self, BadOrigin> {
        let (dial, is_http2) = (Dial::new(config)?, config.http == Protocol::Http2);
        let client = |dial: &Dial, http2_only, idle_connections_max| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(config.keep_idle.get())
                .pool_max_idle_per_host(idle_connections_max)
                .http1_max_buf_size(READ_BYTES)
                // RFC 9112 section 5.1: a proxy "MUST remove any such whitespace from a response message before forwarding".
                .http1_allow_spaces_after_header_name_in_responses(true)
                // The default of hyper is 100.
                .http1_max_headers(config.fields_max.as_usize())
                .http2_max_header_list_size(u32::try_from(READ_BYTES).unwrap_or(u32::MAX))
                .http2_only(http2_only)
                .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
                .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES);
            builder.build(dial.clone())
        };
        Ok(Self {
            name: config.url.to_string(),
            pooled: client(&dial, is_http2, config.idle_connections_max.as_usize()),
            fresh: client(&dial, is_http2, 0),
            switching: client(&Dial::new(&OriginConfig { http: Protocol::Http1, ..config.clone() })?, false, 0),
            config: config.clone(),
        })
    }

    /// The origin's URL, as it stands in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects once and says what went wrong, for a warning at the start.
    ///
    /// # Errors
    /// When no TCP connection could be made within the connect deadline.
    pub async fn probe(&self) -> Result<(), OriginError> {
        let authority = self.config.url.authority();
        let port = authority.port_u16().unwrap_or(if self.config.url.is_https() { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let connecting = tokio::net::TcpStream::connect((host, port));
        match tokio::time::timeout(self.config.connect_deadline.get(), connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(OriginError::Connect { origin: self.name.clone(), reason: error.to_string() }),
            Err(_) => Err(self.missed("connect", self.config.connect_deadline.get())),
        }
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

    pub(super) fn broken(&self, reason: String) -> OriginError {
        OriginError::Broken { origin: self.name.clone(), reason }
    }

    pub(super) fn missed(&self, what: &'static str, deadline: std::time::Duration) -> OriginError {
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        OriginError::Deadline { origin: self.name.clone(), what, deadline_ms }
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
        Box::pin(exchange::exchange(self, request))
    }
}
