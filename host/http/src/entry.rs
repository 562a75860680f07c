//! What the tiers store: a response (RFC 9111 section 2) with the plan that was made for it, or the list of the field
//! names that select among a key's variants.

mod parts;
mod version;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use sandbar_base::Digest;
use sandbar_base::Timestamp;
use sandbar_base::memory_budget::Content;
use serde::{Deserialize, Serialize};

pub use self::parts::Parts;
pub use self::version::{Version, VersionKind};
pub use crate::plan::Directives;
use crate::plan::Plan;
use crate::semantics::validator::can_be_validated;

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

    /// When it is of no further use: the end of its freshness lifetime and of its longest stale window. Where it can be
    /// validated, at least `keep_for_validation` after its lifetime: a 304 is much cheaper than the whole response.
    pub fn useless_after(&self, keep_for_validation: Duration) -> Timestamp {
        let stale_ms = self.plan.stale_while_revalidate_ms.max(self.plan.stale_if_error_ms);
        let window = Duration::from_millis(stale_ms);
        let kept =
            if can_be_validated(self.status, &self.fields, self.received) { keep_for_validation } else { window };
        self.expires().saturating_add(window.max(kept))
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

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::plan::EarlyRefresh;

    fn stored(fields: &[(&'static str, &'static str)], stale_if_error_secs: u64) -> StoredResponse {
        let plan = Plan {
            l1: true,
            l2: true,
            freshness_lifetime_ms: 60_000,
            stale_while_revalidate_ms: 0,
            stale_if_error_ms: stale_if_error_secs * 1000,
            early_refresh: EarlyRefresh::Never,
            surrogate_keys: Vec::new(),
        };
        StoredResponse {
            key: Arc::from("k"),
            status: StatusCode::OK,
            fields: fields.iter().map(|(n, v)| (n.parse().unwrap(), HeaderValue::from_static(v))).collect(),
            body: Content::default(),
            parts: None,
            requested: Timestamp::from_millis(0),
            received: Timestamp::from_millis(0),
            initial_age: Duration::ZERO,
            fetch_time: Duration::ZERO,
            plan,
            directives: Directives::default(),
            sequence: 0,
            policy: None,
            version: None,
        }
    }

    #[test]
    fn what_can_be_validated_is_of_use_for_longer() {
        let keep = Duration::from_secs(600);
        for (fields, stale_if_error_secs, useless_after_secs) in [
            (&[][..], 0, 60),
            (&[], 100, 160),
            (&[("etag", "\"a\"")], 0, 660),
            (&[("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")], 100, 660),
            (&[("etag", "\"a\"")], 1000, 1060),
        ] {
            let stored = stored(fields, stale_if_error_secs);
            assert_eq!(stored.useless_after(keep), Timestamp::from_millis(useless_after_secs * 1000), "{fields:?}");
        }
    }
}
