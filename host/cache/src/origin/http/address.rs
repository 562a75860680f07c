//! One address of an origin.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::{TcpStream, UnixStream};

/// Where connections to an origin go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    Tcp(SocketAddr),
    Unix(Arc<Path>),
}

impl Address {
    /// Connects, and says what went wrong.
    pub(super) async fn probe(&self) -> io::Result<()> {
        match self {
            Self::Tcp(address) => TcpStream::connect(address).await.map(drop),
            Self::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
