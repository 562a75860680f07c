//! Opens connections to one address, below TLS and HTTP.

use std::future::{Ready, ready};
use std::io;
use std::iter::{Once, once};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tower::Service;

use super::address::Address;
use super::link::Link;
use crate::body::BoxError;

/// After how long of silence a connection is probed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Opens connections to one address, whatever URI is asked for.
#[derive(Clone)]
pub(super) enum Reach {
    Tcp(HttpConnector<Fixed>),
    Unix(Arc<Path>),
}

impl Reach {
    /// Connections to `address`; whoever asks for one sets the deadline.
    pub(super) fn new(address: &Address) -> Self {
        match address {
            Address::Tcp(address) => {
                let mut tcp = HttpConnector::new_with_resolver(Fixed(*address));
                tcp.set_nodelay(true);
                tcp.set_keepalive(Some(KEEPALIVE));
                Self::Tcp(tcp)
            }
            Address::Unix(path) => Self::Unix(Arc::clone(path)),
        }
    }
}

impl Service<Uri> for Reach {
    type Response = TokioIo<Link>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<TokioIo<Link>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_ready(context).map_err(Into::into),
            Self::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        match self {
            Self::Tcp(tcp) => {
                // A name without a port: the address that it leads to has one.
                let connecting = tcp.call(Uri::from_static("http://address"));
                async move { Ok(TokioIo::new(Link::Tcp(connecting.await?.into_inner()))) }.boxed()
            }
            Self::Unix(path) => {
                let path = Arc::clone(path);
                async move { Ok(TokioIo::new(Link::Unix(UnixStream::connect(path).await?))) }.boxed()
            }
        }
    }
}

/// Leads every name to one address.
#[derive(Clone, Debug)]
pub(super) struct Fixed(SocketAddr);

impl Service<Name> for Fixed {
    type Response = Once<SocketAddr>;
    type Error = io::Error;
    type Future = Ready<io::Result<Once<SocketAddr>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(once(self.0)))
    }
}
