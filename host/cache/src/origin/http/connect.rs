//! Connects to one address of the origin, whatever host a request names, and notes for each connection what a retry
//! must know.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Extensions, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower::Service;

use super::address::Address;
use super::link::Link;
use super::reach::Reach;
use super::tls::Tls;
use super::{OriginConfig, Protocol};
use crate::body::BoxError;

/// Makes connections to one address of an origin.
#[derive(Clone)]
pub(super) struct Dial {
    inner: HttpsConnector<Reach>,
    /// The origin's URL: its host is the one that TLS certificates are for.
    origin: Uri,
    /// How long a connection may take, TLS included.
    deadline: Duration,
}

/// Connecting took too long.
#[derive(Debug, thiserror::Error)]
#[error("connecting took longer than {0:?}")]
pub(super) struct ConnectDeadline(Duration);

impl Dial {
    /// Makes connections to one address, over which `http` is spoken.
    pub(super) fn new(config: &OriginConfig, tls: &Tls, http: Protocol, address: &Address) -> Self {
        let reach = Reach::new(address);
        let tls = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls.config()).https_or_http();
        let inner = match http {
            Protocol::Auto => tls.enable_all_versions().wrap_connector(reach),
            Protocol::Http1 => tls.enable_http1().wrap_connector(reach),
            Protocol::Http2 => tls.enable_http2().wrap_connector(reach),
        };
        Self { inner, origin: config.url.to_uri(), deadline: config.connect_deadline.get() }
    }
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
    stream: TokioIo<MaybeHttpsStream<TokioIo<Link>>>,
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
