//! Connects to the origin, whatever host a request names, and notes for each connection what a retry must know.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::Service;

use super::{BadOrigin, OriginConfig, Protocol, certificate};
use crate::body::BoxError;

/// How long a connection to the first of several addresses is tried before others are tried too (RFC 8305 section 8).
const HAPPY_EYEBALLS: Duration = Duration::from_millis(250);

/// Makes connections to one origin.
#[derive(Clone)]
pub(super) struct Dial {
    inner: HttpsConnector<HttpConnector>,
    origin: Uri,
    deadline: Duration,
}

/// Connecting took too long.
#[derive(Debug, thiserror::Error)]
#[error("connecting took longer than {0:?}")]
pub(super) struct ConnectDeadline(Duration);

impl Dial {
    pub(super) fn new(config: &OriginConfig) -> Result<Self, BadOrigin> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(config.connect_deadline.get()));
        tcp.set_happy_eyeballs_timeout(Some(HAPPY_EYEBALLS));
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        let tls = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls_config(config)?).https_or_http();
        let inner = match config.http {
            Protocol::Auto => tls.enable_all_versions().wrap_connector(tcp),
            Protocol::Http1 => tls.enable_http1().wrap_connector(tcp),
            Protocol::Http2 => tls.enable_http2().wrap_connector(tcp),
        };
        Ok(Self { inner, origin: config.url.to_uri(), deadline: config.connect_deadline.get() })
    }
}

/// Certificates are read only where TLS is spoken: a plain origin works on a machine that has none.
fn tls_config(config: &OriginConfig) -> Result<rustls::ClientConfig, BadOrigin> {
    let roots = if config.url.is_https() { roots(config)? } else { RootCertStore::empty() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BadOrigin::Tls { reason: error.to_string() })?;
    let versions = versions.with_root_certificates(roots);
    match certificate::own(config)? {
        Some((chain, key)) => versions.with_client_auth_cert(chain, key).map_err(|_| certificate::misfit(config)),
        None => Ok(versions.with_no_client_auth()),
    }
}

fn roots(config: &OriginConfig) -> Result<RootCertStore, BadOrigin> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &config.tls_ca_file {
        let unreadable = |reason: String| BadOrigin::CaFile { file: file.clone(), reason };
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
        let before = roots.len();
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(unreadable("there is no certificate in it".to_owned()));
        }
    }
    if roots.is_empty() { Err(BadOrigin::NoRoots) } else { Ok(roots) }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Wire>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Wire>, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, _asked: Uri) -> Self::Future {
        let deadline = self.deadline;
        let connecting = tokio::time::timeout(deadline, self.inner.call(self.origin.clone()));
        Box::pin(async move {
            let stream = connecting.await.map_err(|_| ConnectDeadline(deadline))??;
            Ok(TokioIo::new(Wire { stream: TokioIo::new(stream), story: Arc::default() }))
        })
    }
}

/// A connection to the origin.
pub(super) struct Wire {
    stream: TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>,
    story: Arc<Story>,
}

/// What happened on a connection so far, as far as a retry must know it.
#[derive(Debug, Default)]
struct Story {
    /// Whether anything was ever read.
    answered: AtomicBool,
    /// Whether anything was written after something was read: on HTTP/1.1 that is a second request.
    reused: AtomicBool,
    /// Whether nothing was read since the last write.
    silent: AtomicBool,
}

impl Story {
    fn wrote(&self) {
        if self.answered.load(Ordering::Acquire) {
            self.reused.store(true, Ordering::Release);
        }
        self.silent.store(true, Ordering::Release);
    }

    fn read(&self) {
        self.answered.store(true, Ordering::Release);
        self.silent.store(false, Ordering::Release);
    }
}

/// Whether a connection that failed was a reused one that broke before a byte of the response came: the origin had
/// closed it while the request was on its way. On HTTP/2, where many requests use one connection, any reused one
/// counts.
pub(super) fn died_unanswered(connected: &Connected) -> bool {
    let mut extensions = Extensions::new();
    connected.get_extras(&mut extensions);
    extensions.get::<Arc<Story>>().is_some_and(|story| {
        story.reused.load(Ordering::Acquire) && (connected.is_negotiated_h2() || story.silent.load(Ordering::Acquire))
    })
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        self.stream.inner().connected().extra(Arc::clone(&self.story))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.story.read();
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.story.wrote();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.story.wrote();
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }
}
