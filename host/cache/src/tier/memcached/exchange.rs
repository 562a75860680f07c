//! What is asked of a server in one exchange, and what may become of it.

use std::sync::Arc;

use bytes::Bytes;
use sandbar_base::memory_budget::{MemoryBudget, Reserved};

use super::wire::Unfit;

/// A request.
#[derive(Debug)]
pub(super) enum Job<'a> {
    /// The values of these keys.
    Get(&'a [String]),
    /// Storing a value: what comes first of it, and the rest.
    Set { key: &'a str, first: &'a [u8], rest: &'a [u8], lifetime_s: u32 },
    /// Removing a key.
    Remove(&'a str),
}

/// What has become of a request.
#[derive(Debug)]
pub(super) enum Done {
    /// In the order of the keys.
    Values(Vec<Fetched>),
    /// It is stored, or removed.
    Changed,
}

/// What a server has under a key.
#[derive(Debug)]
pub(super) enum Fetched {
    Nothing,
    Value(Bytes, Reserved),
    /// More than is read.
    TooLarge,
    /// There is no memory for it.
    NoRoom,
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The connection broke, or was closed; `untouched` where nothing of a reply had come.
    #[error("{reason}")]
    Lost { reason: String, untouched: bool },
    /// What the server says is none of its protocol, or the server is none that can be used.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The server refused this one request.
    #[error("it refused: {0}")]
    Refused(String),
}

/// Bounds of what is read.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    pub(super) value_bytes_max: usize,
    pub(super) budget: Arc<MemoryBudget>,
}
