//! Opens connections to one address, below TLS and HTTP.

use std::future::{Ready, ready};
use std::io;
use std::iter::{Once, once};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::address::Address;

/// After how long of silence a connection is probed.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A connection.
pub(super) type Link = TokioIo<TcpStream>;

/// Opens connections to one address, whatever URI is asked for.
#[derive(Clone)]
pub(super) struct Reach(HttpConnector<Fixed>);

impl Reach {
    /// TCP alone may take as long as `deadline`.
    pub(super) fn new(address: &Address, deadline: Duration) -> Self {
        let Address::Tcp(address) = address;
        let mut tcp = HttpConnector::new_with_resolver(Fixed(*address));
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(deadline));
        tcp.set_keepalive(Some(KEEPALIVE));
        Self(tcp)
    }
}

impl Service<Uri> for Reach {
    type Response = Link;
    type Error = <HttpConnector<Fixed> as Service<Uri>>::Error;
    type Future = <HttpConnector<Fixed> as Service<Uri>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        // A name without a port: the address that it leads to has one.
        self.0.call(Uri::from_static("http://address"))
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
