//! Where responses come from: an HTTP server ([`http`]), or a closure ([`loader`]).

pub mod http;
pub mod loader;

use futures_util::future::BoxFuture;

use crate::body::Body;

/// Answers requests that the cache can't.
pub trait Origin: Send + Sync + 'static {
    /// Sends a request and answers as soon as the fields of the response are there; its body is streamed. A body that
    /// breaks off ends with an error.
    ///
    /// # Errors
    /// When no response came.
    fn fetch(&self, request: ::http::Request<Body>) -> BoxFuture<'_, Result<::http::Response<Body>, OriginError>>;
}

/// Why an origin gave no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// No connection could be made.
    #[error("could not connect to the origin {origin}: {reason}")]
    Connect {
        /// The origin's URL.
        origin: String,
        /// What the network said.
        reason: String,
    },
    /// A deadline passed.
    #[error("the origin {origin} missed its {what} deadline of {deadline_ms} ms")]
    Deadline {
        /// The origin's URL.
        origin: String,
        /// `connect`, `request-body`, `first-byte`, `idle-body` or `total`.
        what: &'static str,
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the origin {origin} broke off: {reason}")]
    Broken {
        /// The origin's URL.
        origin: String,
        /// What went wrong.
        reason: String,
    },
    /// The origin is protected from more requests at the moment.
    #[error("the origin {origin} is not asked for now: {reason}")]
    Refused {
        /// The origin's URL.
        origin: String,
        /// Which protection said so.
        reason: String,
    },
}

impl OriginError {
    /// The stable word for it in `Cache-Status`, logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "origin-unreachable",
            Self::Deadline { .. } => "origin-timeout",
            Self::Broken { .. } => "origin-broken",
            Self::Refused { .. } => "origin-protected",
        }
    }

    /// Whether it is a timeout, which is answered with 504 rather than 502 (RFC 9110 section 15.6.5).
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Deadline { .. })
    }
}
