//! `Cache-Status` (RFC 9211): what the cache did, for clients, logs and metrics alike.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sfv::{Integer, ItemSerializer, TokenRef, key_ref, string_ref, token_ref};

/// The field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went on to the origin (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FwdReason {
    /// The cache is configured not to answer it.
    Bypass,
    /// The method's semantics ask for it.
    Method,
    /// Nothing is stored for the target.
    UriMiss,
    /// Something is stored for the target, for other values of the selecting fields.
    VaryMiss,
    /// Nothing that could answer is stored, and it is not told why.
    Miss,
    /// What is stored was fresh, and the client's directives ask for more.
    Request,
    /// What is stored was stale.
    Stale,
    /// What is stored is a part, and not the part that was asked for.
    Partial,
}

impl FwdReason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Bypass,
        Self::Method,
        Self::UriMiss,
        Self::VaryMiss,
        Self::Miss,
        Self::Request,
        Self::Stale,
        Self::Partial,
    ];

    /// The stable word for it in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }

    const fn token(self) -> &'static TokenRef {
        token_ref(self.as_str())
    }
}

/// How a request was answered. `hit` and `fwd` exclude each other (section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// From what is stored, without asking the origin.
    Hit,
    /// By the cache itself: there was nothing to serve, and the origin was not to be asked. Neither `hit` nor `fwd`.
    Refused,
    /// The origin was asked.
    Fwd {
        /// Why.
        reason: FwdReason,
        /// The origin's status code, where it answered and the client was not sent the same one (section 2.3).
        status: Option<StatusCode>,
        /// Whether the response was stored (section 2.5).
        stored: bool,
        /// Whether the request shared another one's fetch (section 2.6).
        collapsed: bool,
    },
}

impl Outcome {
    /// A forwarded request of which nothing else is known yet.
    pub const fn fwd(reason: FwdReason) -> Self {
        Self::Fwd { reason, status: None, stored: false, collapsed: false }
    }

    /// The stable word for it in logs and metrics: `hit`, `refused`, or the reason.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Refused => "refused",
            Self::Fwd { reason, .. } => reason.as_str(),
        }
    }
}

/// One cache's member of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheStatus<'a> {
    /// Name of the cache.
    pub cache: &'a str,
    /// What it did.
    pub outcome: Outcome,
    /// Freshness lifetime left in seconds, negative when stale (section 2.4).
    pub ttl_secs: Option<i64>,
    /// The cache key (section 2.7).
    pub key: Option<&'a str>,
    /// More, in one word where possible (section 2.8).
    pub detail: Option<&'a str>,
}

impl<'a> CacheStatus<'a> {
    /// The member of `cache` with nothing but the outcome.
    pub const fn new(cache: &'a str, outcome: Outcome) -> Self {
        Self { cache, outcome, ttl_secs: None, key: None, detail: None }
    }

    /// The member as a structured item. What can't be in one is replaced by `?`.
    pub fn to_value(&self) -> HeaderValue {
        HeaderValue::try_from(self.text()).unwrap_or_else(|_| HeaderValue::from_static("sandbar"))
    }

    /// Adds the member behind those of the caches nearer to the origin (section 2).
    pub fn append_to(&self, fields: &mut HeaderMap) {
        fields.append(CACHE_STATUS, self.to_value());
    }

    fn text(&self) -> String {
        let item = ItemSerializer::new();
        let mut item = match TokenRef::from_str(self.cache) {
            Ok(token) => item.bare_item(token),
            Err(_) => item.bare_item(&*printable(self.cache)),
        };
        item = match self.outcome {
            Outcome::Hit => item.parameter(key_ref("hit"), true),
            Outcome::Refused => item,
            Outcome::Fwd { reason, status, stored, collapsed } => {
                let mut fwd = item.parameter(key_ref("fwd"), reason.token());
                if let Some(status) = status {
                    fwd = fwd.parameter(key_ref("fwd-status"), status.as_u16());
                }
                if stored {
                    fwd = fwd.parameter(key_ref("stored"), true);
                }
                if collapsed {
                    fwd = fwd.parameter(key_ref("collapsed"), true);
                }
                fwd
            }
        };
        if let Some(ttl) = self.ttl_secs.and_then(|ttl_secs| Integer::try_from(ttl_secs).ok()) {
            item = item.parameter(key_ref("ttl"), ttl);
        }
        if let Some(key) = self.key {
            item = item.parameter(key_ref("key"), &*printable(key));
        }
        let item = match self.detail.map(|detail| (detail, TokenRef::from_str(detail))) {
            Some((_, Ok(token))) => item.parameter(key_ref("detail"), token),
            Some((detail, Err(_))) => item.parameter(key_ref("detail"), &*printable(detail)),
            None => item,
        };
        item.finish()
    }
}

/// `text` as an sf-string, which is ASCII without control characters: a line feed of a cache key becomes a space, any
/// other character outside becomes `?`.
fn printable(text: &str) -> sfv::String {
    let shown = |c: char| match c {
        ' '..='~' => c,
        '\n' => ' ',
        _ => '?',
    };
    let text: String = text.chars().map(shown).collect();
    sfv::String::from_string(text).unwrap_or_else(|_| string_ref("?").to_owned())
}
