//! What the tiers store: a response (RFC 9111 section 2) with the plan that was made for it, or the list of the field
//! names that select among a key's variants.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::policy::Digest;
use crate::policy::freshness::Plan;

/// What a key leads to.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a response: a box would cost each an allocation")]
pub enum Entry {
    /// A stored response.
    Response(StoredResponse),
    /// The responses of this key vary: look further, under one of these sets of selecting fields.
    Variants(Variants),
}

/// A response as it was stored. The body is whole, or is the part that `Content-Range` names where the status is 206.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResponse {
    /// Text of the cache key it was stored under; what is read is compared with what was asked for.
    pub key: Arc<str>,
    /// Status code.
    pub status: StatusCode,
    /// Fields, without the hop-by-hop ones (RFC 9111 section 3.1).
    pub fields: HeaderMap,
    /// Content.
    pub body: Bytes,
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
}

/// Response directives that the host executes on every reuse (RFC 9111 section 5.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directives {
    /// `no-cache` without field names: never reused without validation.
    pub no_cache: bool,
    /// `must-revalidate`, `proxy-revalidate` or `s-maxage`: never reused stale, not even when the origin fails.
    pub must_revalidate: bool,
    /// `immutable` (RFC 8246).
    pub immutable: bool,
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
    /// `current_age` (RFC 9111 section 4.2.3). Time that seems to run backwards counts as none.
    pub fn age(&self, now: Timestamp) -> Duration {
        self.initial_age.saturating_add(now.saturating_since(self.received))
    }

    /// When its freshness lifetime ends.
    pub fn expires(&self) -> Timestamp {
        let left = Duration::from_millis(self.plan.freshness_lifetime_ms).saturating_sub(self.initial_age);
        self.received.saturating_add(left)
    }

    /// When it is of no further use: the end of its freshness lifetime and of its longest stale window.
    pub fn useless_after(&self) -> Timestamp {
        let stale_ms = self.plan.stale_while_revalidate_ms.max(self.plan.stale_if_error_ms);
        self.expires().saturating_add(Duration::from_millis(stale_ms))
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
                response.body.len() + fields + surrogate_keys + 2 * ALLOCATION
            }
            Self::Variants(variants) => {
                variants.sets.iter().flatten().map(|name| name.len() + size_of::<String>() + ALLOCATION).sum()
            }
        };
        (size_of::<Self>() + self.key().len() + ALLOCATION + heap) as u64
    }
}
