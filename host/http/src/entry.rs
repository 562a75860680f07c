//! The entries that the tiers store: a response (RFC 9111 section 2) with the plan that was made for it, or the lists
//! of field names that select among a key's variants.

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

/// What a tier stores under a cache key.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a response: a box would cost each an allocation")]
pub enum Entry {
    /// A stored response.
    Response(StoredResponse),
    /// The responses of this primary key vary: each is stored under a variant key of one of these sets of selecting
    /// fields.
    Variants(Variants),
}

/// A stored response: the whole, or one or several parts of it where the status is 206.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResponse {
    /// Text of the cache key it is stored under; on a lookup it is compared with the key that was asked for.
    pub key: Arc<str>,
    /// Status code; 206 where only parts are stored.
    pub status: StatusCode,
    /// Fields, without the hop-by-hop ones (RFC 9111 section 3.1).
    pub fields: HeaderMap,
    /// Content: all of it, or the part that `Content-Range` names. Empty where there are `parts`. Content that a tier
    /// or a client holds is charged to the node's memory.
    pub body: Content,
    /// Content of a 206 that was combined from several parts. `Content-Range` names the run that holds the newest part.
    pub parts: Option<Arc<Parts>>,
    /// When the request for the response was sent (`request_time`, RFC 9111 section 4.2.3).
    pub requested: Timestamp,
    /// When the response was received or last freshened (`response_time`, RFC 9111 section 4.2.3).
    pub received: Timestamp,
    /// `corrected_initial_age` (RFC 9111 section 4.2.3).
    pub initial_age: Duration,
    /// The time the origin took to its first byte.
    pub fetch_time: Duration,
    /// In which tiers and for how long the response is kept and served.
    pub plan: Plan,
    /// The origin's directives that hold on every reuse, whatever the plan says.
    pub directives: Directives,
    /// The tenant's purge sequence before the origin was asked: a purge with a higher sequence whose scope holds this
    /// entry makes the entry invisible.
    pub sequence: u64,
    /// Digest of the freshness policy that made the plan; none where it was the native default.
    pub policy: Option<Digest>,
    /// Version of the response, where its class keeps versions.
    pub version: Option<Version>,
}

/// The sets of field names by which the variants of a primary key have been selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variants {
    /// Text of the primary key.
    pub key: Arc<str>,
    /// The sets, the newest first, at most [`Variants::SETS_MAX`]; the names of each are in lower case and sorted.
    pub sets: Vec<Vec<String>>,
    /// The tenant's purge sequence when this entry was stored.
    pub sequence: u64,
}

impl Variants {
    /// How many different `Vary` fields are remembered for a key; the oldest is forgotten first.
    pub const SETS_MAX: usize = 8;
}

impl StoredResponse {
    /// How many bytes of content are stored.
    pub fn body_bytes(&self) -> u64 {
        self.parts.as_ref().map_or(self.body.len() as u64, |parts| parts.bytes())
    }

    /// `current_age` (RFC 9111 section 4.2.3). Where `now` is before `received`, no time counts as passed.
    pub fn age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(now.saturating_since(self.received))
    }

    /// When the freshness lifetime ends; `received` where the response was stale when it came.
    pub fn expires(&self) -> Timestamp {
        let left = Duration::from_millis(self.plan.freshness_lifetime_ms).saturating_sub(self.initial_age);
        self.received.saturating_add(left)
    }
}

impl Entry {
    /// Text of the cache key that the entry is stored under.
    pub fn key(&self) -> &Arc<str> {
        match self {
            Self::Response(response) => &response.key,
            Self::Variants(variants) => &variants.key,
        }
    }

    /// The tenant's purge sequence that the entry was made under.
    pub const fn sequence(&self) -> u64 {
        match self {
            Self::Response(response) => response.sequence,
            Self::Variants(variants) => variants.sequence,
        }
    }

    /// What the entry costs in memory, in bytes: the struct, its heap and an allowance for the maps that hold it.
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
