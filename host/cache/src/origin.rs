//! Where responses come from: an HTTP server ([`http`]), or a closure ([`loader`]); and what keeps a tenant from drowning
//! it ([`shield`]).

mod fault;
pub mod http;
pub mod loader;
pub mod shield;
mod sound;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sandbar_http::semantics::leave::Joined;
use sandbar_http::semantics::sound::Unsound;

pub use self::fault::{ClientFault, Fault};
use self::shield::Refusal;
pub use self::sound::Sound;
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
        /// `connect`, `request-body` (the origin did not take it), `first-byte`, `idle-body`, `fetch` or `total`.
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
    /// The client did something wrong while its request was at the origin, which is not to blame.
    #[error(transparent)]
    Client(ClientFault),
    /// A response came that can't be believed: its framing, or what it says of its content, is contradictory, or it is
    /// no answer to what was asked.
    #[error("the response of the origin {origin} is refused: {why}")]
    Unsound {
        /// The origin's URL, or the tenant's name.
        origin: String,
        /// What is wrong with it.
        why: Unsound,
    },
    /// The origin is protected from more requests at the moment.
    #[error("the origin {origin} is not asked now: {refusal}")]
    Refused {
        /// The origin's URL, or the tenant's name.
        origin: String,
        /// Which protection said so.
        refusal: Refusal,
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// Who waits for a response: an extension of the request to an [`Origin`]. Without it, a client does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Urgency {
    /// A client waits.
    #[default]
    Awaited,
    /// Nobody waits: it is the first to be dropped where the origin has enough to do.
    Background,
}

/// How far a request has come: an extension of the request to an [`Origin`]. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU8>);

impl Progress {
    const SENT: u8 = 1;
    const ANSWERED: u8 = 2;

    /// It leaves the last queue for the origin.
    pub fn is_sent(&self) {
        self.0.fetch_max(Self::SENT, Ordering::SeqCst);
    }

    /// The head of its response is there, or it has failed.
    pub(crate) fn is_answered(&self) {
        self.0.fetch_max(Self::ANSWERED, Ordering::SeqCst);
    }

    /// When a request that comes now to wait for it has come.
    pub(crate) fn joined_now(&self) -> Joined {
        match self.0.load(Ordering::SeqCst) {
            0 => Joined::BeforeSent,
            Self::SENT => Joined::WhileAsked,
            _ => Joined::AfterAnswered,
        }
    }
}

impl OriginError {
    /// The stable word for it in `Cache-Status`, logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Connect { .. } => "origin-unreachable",
            Self::Deadline { .. } => "origin-timeout",
            Self::Broken { .. } => "origin-broken",
            Self::Client(fault) => fault.reason(),
            Self::Unsound { .. } => "origin-unsound",
            Self::Refused { refusal, .. } => refusal.as_str(),
        }
    }

    /// Whose fault it is. Only the origin's own is held against it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Connect { .. } | Self::Deadline { .. } | Self::Broken { .. } | Self::Unsound { .. } => Fault::Origin,
            Self::Client(_) => Fault::Client,
            Self::Refused { .. } => Fault::Nobody,
        }
    }

    /// When it is worth asking again (`Retry-After`, RFC 9110 section 10.2.3), where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether the origin was not even asked.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether it says something of who asked, and not of the origin: for another client there might have been a place.
    pub(crate) const fn is_about_the_client(&self) -> bool {
        matches!(self, Self::Refused { refusal: Refusal::QueueFull | Refusal::QueueDeadline, .. })
    }

    /// Whether it is a timeout, which is answered with 504 rather than 502 (RFC 9110 section 15.6.5).
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Deadline { .. })
    }
}
