//! An origin that is asked over HTTP/1.1 or HTTP/2, with pooled connections, a deadline for each phase, and bodies that
//! are streamed both ways: a slow reader slows the origin down, not memory.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use sandbar::body;
//! use sandbar::origin::Origin;
//! use sandbar::origin::http::{HttpOrigin, OriginConfig};
//!
//! let origin = HttpOrigin::new(&OriginConfig::new("http://127.0.0.1:3000".parse()?))?;
//! let response = origin.fetch(http::Request::get("http://shop.example/a?b=c").body(body::empty())?).await?;
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "http-origin")]
mod address;
#[cfg(feature = "http-origin")]
mod bad;
#[cfg(feature = "http-origin")]
mod balance;
#[cfg(feature = "http-origin")]
mod checks;
#[cfg(feature = "http-origin")]
mod client;
mod config;
#[cfg(feature = "http-origin")]
mod connect;
#[cfg(feature = "http-origin")]
mod download;
#[cfg(feature = "http-origin")]
mod ejection;
#[cfg(feature = "http-origin")]
mod endpoint;
#[cfg(feature = "http-origin")]
mod exchange;
#[cfg(feature = "http-origin")]
mod health;
#[cfg(feature = "http-origin")]
mod interim;
#[cfg(feature = "http-origin")]
mod link;
#[cfg(feature = "http-origin")]
mod lookups;
#[cfg(feature = "http-origin")]
mod outcome;
#[cfg(feature = "http-origin")]
mod reach;
#[cfg(feature = "http-origin")]
mod reason;
#[cfg(feature = "http-origin")]
mod renewal;
#[cfg(feature = "http-origin")]
mod resolve;
#[cfg(feature = "http-origin")]
mod route;
mod server;
#[cfg(feature = "http-origin")]
mod servers;
#[cfg(feature = "http-origin")]
mod target;
#[cfg(test)]
#[cfg(feature = "http-origin")]
mod tests;
#[cfg(feature = "http-origin")]
mod tls;
#[cfg(feature = "http-origin")]
mod upload;
mod url;
#[cfg(feature = "http-origin")]
mod visit;

#[cfg(feature = "http-origin")]
pub use self::bad::BadOrigin;
#[cfg(feature = "http-origin")]
pub use self::client::HttpOrigin;
pub use self::config::{
    BadCheck, CheckPath, EjectConfig, HealthCheckConfig, HostHeader, OriginConfig, Protocol, StatusRange, url_or_table,
};
#[cfg(feature = "http-origin")]
pub use self::resolve::{Resolve, SystemResolver};
pub use self::server::{BadServer, Server};
pub use self::url::{BadOriginUrl, OriginUrl};

/// Bytes that an HTTP/2 origin may send on a stream before they are read. The cache charges as much for an exchange:
/// windows that grow by themselves could reach 16 MiB. A response moves at this many bytes a round trip: 5 MB/s over 50
/// ms.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 256 << 10;

/// Bytes that are read from an HTTP/1.1 connection at once, and that the head of a response may have. Pieces of a body
/// are as large, so this is also by how much a body that is not stored exceeds its window.
#[cfg(feature = "http-origin")]
const READ_BYTES: usize = 64 << 10;
