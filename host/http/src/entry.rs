//! What the tiers store: a response (RFC 9111 section 2) with the plan that was made for it, or the list of the field
//! names that select among a key's variants.

mod byte_range;
mod parts;
mod version;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use sandbar_base::Digest;
use sandbar_base::Timestamp;
use sandbar_base::memory_budget::Content;
use serde::{Deserialize, Serialize};

pub use self::byte_range::ByteRange;
pub use self::parts::Parts;
pub use self::version::{Version, VersionKind};
pub use crate::plan::Directives;
use crate::plan::Plan;

/// What a key leads to.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a response: a box would cost each an allocation")]
pub enum Entry {
    /// A stored response.
    Response(StoredResponse),
    /// The responses of this key vary: look further, under one of these sets of selecting fields.
    Variants(Variants),
}

/// A response as it was stored: whole, or a part of it where the status is 206, or several.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResponse {
    /// Text of the cache key it was stored under; what is read is compared with what was asked for.
    pub key: Arc<str>,
    /// Status code.
    pub status: StatusCode,
    /// Fields, without the hop-by-hop ones (RFC 9111 section 3.1).
    pub fields: HeaderMap,
    /// Content: all of it, or the part that `Content-Range` names. Empty where there are `parts`. What a tier or a client holds
    /// of it is charged to the node's memory.
    pub body: Content,
    /// Content of a 206 that was put together of several parts. `Content-Range` names the run that the newest is in.
    pub parts: Option<Arc<Parts>>,
    /// When the request that got it was sent (`request_time`, RFC 9111 section 4.2.3).
    pub requested: Timestamp,
    /// When it was received or last freshened (`response_time`, RFC 9111 section 4.2.3).
    pub received: Timestamp,
    /// `corrected_initial_age` (RFC 9111 section 4.2.3).
    pub initial_age: Duration,
    /// The time the origin took to its first byte.
    pub fetch_time: Duration,
    /// What the host does with it.
    pub plan: Plan,
    /// What its origin insists on, whatever the plan says.
    pub directives: Directives,
    /// The tenant's purge sequence before the origin was asked: a purge with a higher one, for a scope that holds this
    /// entry, makes it invisible.
    pub sequence: u64,
    /// Digest of the freshness policy that made the plan; none where it was the native default.
    pub policy: Option<Digest>,
    /// Its version, where its class keeps any.
    pub version: Option<Version>,
}

/// The sets of field names, in lower case and sorted, that have selected among a key's variants, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants {
    /// Text of the primary key.
    pub key: Arc<str>,
    /// At most [`Variants::SETS_MAX`] sets.
    pub sets: Vec<Vec<String>>,
    /// The purge sequence when it was stored.
    pub sequence: u64,
}

impl Variants {
    /// How many different `Vary` fields a key may have had before the oldest is forgotten.
    pub const SETS_MAX: usize = 8;
}

impl StoredResponse {
    /// How many bytes of content are stored.
    pub fn body_bytes(&self) -> u64 {
        self.parts.as_ref().map_or(self.body.len() as u64, |parts| parts.bytes())
    }

    /// `current_age` (RFC 9111 section 4.2.3). Time that seems to run backwards counts as none.
    pub fn age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(now.saturating_since(self.received))
    }

    /// When its freshness lifetime ends.
    pub fn expires(&self) -> Timestamp {
        let left = Duration::from_millis(self.plan.freshness_lifetime_ms).saturating_sub(self.initial_age);
        self.received.saturating_add(left)
    }
}

impl Entry {
    /// Text of the cache key it was stored under.
    pub fn key(&self) -> &Arc<str> {
        match self {
            Self::Response(response) => &response.key,
            Self::Variants(variants) => &variants.key,
        }
    }

    /// The purge sequence it was made under.
    pub const fn sequence(&self) -> u64 {
        match self {
            Self::Response(response) => response.sequence,
            Self::Variants(variants) => variants.sequence,
        }
    }

    /// What it costs to keep in memory, in bytes: the struct, its heap and an allowance for the maps that hold it.
    pub fn weight_bytes(&self) -> u64 {
        const ALLOCATION: usize = 16;
        let heap = match self {
            Self::Response(response) => {
                let fields: usize =
                    response.fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 2 * 48).sum();
                let surrogate_keys: usize =
                    response.plan.surrogate_keys.iter().map(|key| key.len() + size_of::<String>() + ALLOCATION).sum();
                let parts = response.parts.as_ref().map_or(0, |parts| parts.weight_bytes());
                response.body.len() + fields + surrogate_keys + parts + 2 * ALLOCATION
            }
            Self::Variants(variants) => {
                variants.sets.iter().flatten().map(|name| name.len() + size_of::<String>() + ALLOCATION).sum()
            }
        };
        (size_of::<Self>() + self.key().len() + ALLOCATION + heap) as u64
    }
}
