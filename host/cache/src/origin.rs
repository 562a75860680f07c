//! Where responses come from: an HTTP server ([`http`]), or a closure ([`loader`]); and the protection of either from
//! too many requests ([`shield`]).

pub(crate) mod behind;
mod fault;
pub mod http;
#[doc(hidden)]
pub mod loader;
mod report;
pub mod shield;
mod sound;
mod store;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sandbar_base::Digest;
use sandbar_http::semantics::leave::Joined;
use sandbar_http::semantics::sound::Unsound;

pub use self::fault::{ClientFault, Fault};
pub use self::report::{AddressReport, OriginReport};
use self::shield::Refusal;
#[doc(hidden)]
pub use self::sound::Sound;
pub use self::store::StoreResult;
use crate::body::Body;

/// Answers requests that the cache can't.
pub trait Origin: Send + Sync + 'static {
    /// Sends a request and returns as soon as the head of the response is there; its body is streamed. A body that
    /// breaks off ends with an error.
    ///
    /// # Errors
    /// When no response came.
    fn fetch(&self, request: ::http::Request<Body>) -> BoxFuture<'_, Result<::http::Response<Body>, OriginError>>;

    /// Sends writes, and says of each what became of it: as many results, in the order of the writes. Writes of one target are
    /// made in their order; one that fails keeps none of the others from being made.
    ///
    /// By default each is a request by itself, several at the same time. An origin that takes many writes at once, such as a database,
    /// does better.
    fn store(&self, writes: Vec<::http::Request<Bytes>>) -> BoxFuture<'_, Vec<StoreResult>> {
        Box::pin(store::each(self, writes))
    }

    /// The origin is put to use: whatever goes on beside requests, such as checks, begins. It ends when the origin is
    /// dropped.
    fn start(&self) {}

    /// What operators should see of it, where it has addresses.
    fn report(&self) -> OriginReport {
        OriginReport::default()
    }

    /// A digest of the files, such as certificates, that were read when it was made; `None` where none were. Where they have
    /// changed since, an origin of the same settings is made anew with them.
    #[doc(hidden)]
    fn files(&self) -> Option<Digest> {
        None
    }
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
        /// The network's error.
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
    /// A response came that can't be trusted: its framing, or what it says of its content, is contradictory, or it does
    /// not answer the request.
    #[error("the response of the origin {origin} is refused: {why}")]
    Unsound {
        /// The origin's URL, or the tenant's name.
        origin: String,
        /// What is wrong with the response.
        why: Unsound,
    },
    /// The origin is protected from more requests at the moment.
    #[error("the origin {origin} is not asked now: {refusal}")]
    Refused {
        /// The origin's URL, or the tenant's name.
        origin: String,
        /// Which protection refused the request.
        refusal: Refusal,
        /// After how long it is worth asking again.
        retry_after: Duration,
    },
}

/// Whether a client waits for the response: an extension of the request to an [`Origin`]. Without it, one does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[doc(hidden)]
pub enum Urgency {
    /// A client waits.
    #[default]
    Awaited,
    /// Nobody waits: the request is refused if it can't be sent at once.
    Background,
}

/// How far a request has come: an extension of the request to an [`Origin`]. Clones stand for the same request.
#[derive(Clone, Debug, Default)]
#[doc(hidden)]
pub struct Progress(Arc<Course>);

#[derive(Debug, Default)]
struct Course {
    stage: AtomicU8,
    /// Whether it was given up because a response took too long.
    is_overdue: AtomicBool,
    /// Numbers of the addresses that the request was at.
    #[cfg(feature = "http-origin")]
    been_at: parking_lot::Mutex<Vec<u64>>,
}

impl Progress {
    const SENT: u8 = 1;
    const ANSWERED: u8 = 2;

    /// Notes that the request leaves the last queue in front of the origin.
    pub fn is_sent(&self) {
        self.0.stage.fetch_max(Self::SENT, Ordering::SeqCst);
    }

    /// Notes that the head of the response is there, or that the request has failed.
    pub(crate) fn is_answered(&self) {
        self.0.stage.fetch_max(Self::ANSWERED, Ordering::SeqCst);
    }

    /// At what point of this request a waiter joins that comes now.
    pub(crate) fn joined_now(&self) -> Joined {
        match self.0.stage.load(Ordering::SeqCst) {
            0 => Joined::BeforeSent,
            Self::SENT => Joined::WhileAsked,
            _ => Joined::AfterAnswered,
        }
    }

    /// Notes that the request is given up, as no response came in the time that there was.
    fn is_given_up(&self) {
        self.0.is_overdue.store(true, Ordering::SeqCst);
    }

    /// Whether the request was given up for that.
    #[cfg(feature = "http-origin")]
    fn was_given_up(&self) -> bool {
        self.0.is_overdue.load(Ordering::SeqCst)
    }

    /// Notes that the request is sent to the address of this number.
    #[cfg(feature = "http-origin")]
    fn is_at(&self, address: u64) {
        self.0.been_at.lock().push(address);
    }

    /// Whether the request was at the address of this number.
    #[cfg(feature = "http-origin")]
    fn was_at(&self, address: u64) -> bool {
        self.0.been_at.lock().contains(&address)
    }
}

/// What is held for as long as a connection lasts that has switched to another protocol: an extension of the response.
#[derive(Clone)]
pub struct Lasting {
    _held: Arc<dyn Send + Sync>,
}

impl Lasting {
    /// Holds this until the connection has ended.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self { _held: Arc::new(held) }
    }
}

impl std::fmt::Debug for Lasting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lasting")
    }
}

impl OriginError {
    /// The stable word for the error in `Cache-Status`, logs and metrics.
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

    /// Whose fault the error is. Only the origin's own faults are held against it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Connect { .. } | Self::Deadline { .. } | Self::Broken { .. } | Self::Unsound { .. } => Fault::Origin,
            Self::Client(_) => Fault::Client,
            Self::Refused { .. } => Fault::Nobody,
        }
    }

    /// After how long it is worth asking again (`Retry-After`, RFC 9110 section 10.2.3), where that is known.
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

    /// Whether the error is about the client that asked, not about the origin: another client might have got a place.
    pub(crate) const fn is_about_the_client(&self) -> bool {
        matches!(self, Self::Refused { refusal: Refusal::QueueFull | Refusal::QueueDeadline, .. })
    }

    /// Whether it is a timeout, which is answered with 504 rather than 502 (RFC 9110 section 15.6.5).
    pub const fn is_timeout(&self) -> bool {
        matches!(self, Self::Deadline { .. })
    }
}
