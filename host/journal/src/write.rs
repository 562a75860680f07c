//! Writes: what is given to a journal, and what it hands out.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use sandbar_base::{KeyHash, Timestamp};

use crate::error::AppendError;
use crate::format::body::{self, About};

/// Bytes of a tenant's name at most.
const TENANT_BYTES_MAX: usize = 255;
/// Bytes of a key at most.
const KEY_BYTES_MAX: usize = 64 << 10;
/// Bytes of an idempotency key at most.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// The number of a write: writes that were acknowledged later have higher ones. No number is given out twice, in the
/// whole life of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A write that is to be held until it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Whose it is; at most 255 bytes.
    pub tenant: Arc<str>,
    /// What it changes; at most 64 KiB. Writes of a tenant with the same key are handed out one at a time, in order.
    pub key: Bytes,
    /// What is to be delivered.
    pub content: Bytes,
    /// By what its receiver tells a repetition; at most 255 bytes.
    pub idempotency_key: String,
    /// When it was made.
    pub at: Timestamp,
    /// Whether it sets the whole state of its key. It then absorbs those right before it that do so too, have the same
    /// author and were never handed out: they are never delivered.
    pub replaces: bool,
    /// Stands for who wrote it, as far as absorbing goes: what one may write may be refused to another, and would then take
    /// a write along that was acknowledged.
    pub author: u64,
    /// Stands for the client whose share of the tenant's bounds it takes; none where that is nobody's.
    pub client: Option<NonZeroU64>,
}

/// A write that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldWrite {
    /// Its number.
    pub seq: Seq,
    /// What was given to [`append`](crate::Journal::append).
    pub write: Write,
}

impl Write {
    /// The write as the body of a record.
    pub(crate) fn encode(&self, bytes_max: u32) -> Result<Bytes, AppendError> {
        let within = |what, bytes: usize, bytes_max: usize| match bytes > bytes_max {
            true => Err(AppendError::TooLarge { what, bytes: bytes as u64, bytes_max: bytes_max as u64 }),
            false => Ok(()),
        };
        within("tenant's name", self.tenant.len(), TENANT_BYTES_MAX)?;
        within("key", self.key.len(), KEY_BYTES_MAX)?;
        within("idempotency key", self.idempotency_key.len(), IDEMPOTENCY_KEY_BYTES_MAX)?;
        within("content", self.content.len(), bytes_max as usize)?;
        let about = About {
            tenant: &self.tenant,
            key: &self.key,
            idempotency_key: &self.idempotency_key,
            at: self.at,
            replaces: self.replaces,
            author: self.author,
            client: self.client,
            death: None,
        };
        let body = body::write(&about, &self.content);
        within("write", body.len(), bytes_max as usize)?;
        Ok(body)
    }

    /// The write that the body of a record holds; none where it holds none.
    pub(crate) fn decode(body: &Bytes) -> Option<Self> {
        let (about, content) = body::read(body)?;
        Some(Self {
            tenant: about.tenant.into(),
            key: body.slice_ref(about.key),
            content: body.slice(content..),
            idempotency_key: about.idempotency_key.to_owned(),
            at: about.at,
            replaces: about.replaces,
            author: about.author,
            client: about.client,
        })
    }
}

/// What stands for a tenant's key in memory. Two keys for which it is the same can't be made on purpose.
pub(crate) fn hash_of(tenant: &str, key: &[u8]) -> KeyHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(tenant.len() as u64).to_le_bytes()).update(tenant.as_bytes()).update(key);
    KeyHash(u128::from_le_bytes(crate::bytes_at::part(hasher.finalize().as_bytes(), 0)))
}
