//! `Cache-Status` (RFC 9211): what the cache did, for clients, logs and metrics alike.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use sfv::{Integer, ItemSerializer, TokenRef, key_ref, string_ref, token_ref};

/// The name of the response field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Why a request went on to the origin (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FwdReason {
    /// The cache is configured not to answer the request.
    Bypass,
    /// The method's semantics require forwarding.
    Method,
    /// Nothing is stored for the target.
    UriMiss,
    /// Something is stored for the target, for other values of the selecting fields.
    VaryMiss,
    /// No stored response could answer, for a reason that is not distinguished further.
    Miss,
    /// The stored response was fresh, but the client's directives did not allow its use.
    Request,
    /// The stored response was stale.
    Stale,
    /// The stored response is a part without the range that was asked for.
    Partial,
}

impl FwdReason {
    /// All reasons, in the order of their declaration.
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

    /// The stable word for this reason in `Cache-Status`, logs and metrics.
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
    /// From a stored response, without asking the origin.
    Hit,
    /// By a response of the cache's own: it had nothing to serve, and was not to ask the origin. Neither `hit` nor
    /// `fwd`.
    Refused,
    /// The origin was asked.
    Fwd {
        /// Why the request was forwarded.
        reason: FwdReason,
        /// The origin's status code, where it answered and the client was not sent the same one (section 2.3).
        status: Option<StatusCode>,
        /// Whether the response was stored (section 2.5).
        stored: bool,
        /// Whether the request was collapsed with another one's fetch (section 2.6).
        collapsed: bool,
    },
}

impl Outcome {
    /// The outcome of a forwarded request whose response is not known yet: not stored, not collapsed.
    pub const fn fwd(reason: FwdReason) -> Self {
        Self::Fwd { reason, status: None, stored: false, collapsed: false }
    }

    /// The stable word for the outcome in logs and metrics: `hit`, `refused`, or the reason for forwarding.
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
    /// Name of the cache, which begins the member.
    pub cache: &'a str,
    /// How the cache answered: the `hit` or `fwd` parameters.
    pub outcome: Outcome,
    /// Freshness lifetime left in seconds, negative when stale (section 2.4).
    pub ttl_secs: Option<i64>,
    /// The cache key (section 2.7).
    pub key: Option<&'a str>,
    /// Further information, in one word where possible (section 2.8).
    pub detail: Option<&'a str>,
}

impl<'a> CacheStatus<'a> {
    /// A member for `cache` with the outcome alone.
    pub const fn new(cache: &'a str, outcome: Outcome) -> Self {
        Self { cache, outcome, ttl_secs: None, key: None, detail: None }
    }

    /// The member as a structured item. Characters that an item can't hold are replaced by `?`.
    pub fn to_value(&self) -> HeaderValue {
        HeaderValue::try_from(self.text()).unwrap_or_else(|_| HeaderValue::from_static("sandbar"))
    }

    /// Appends the member to the field, after those of the caches nearer to the origin (section 2).
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

/// `text` as an sf-string, which is ASCII without control characters: a line feed (in a cache key) becomes a space, any
/// other character becomes `?`.
fn printable(text: &str) -> sfv::String {
    let shown = |c: char| match c {
        ' '..='~' => c,
        '\n' => ' ',
        _ => '?',
    };
    let text: String = text.chars().map(shown).collect();
    sfv::String::from_string(text).unwrap_or_else(|_| string_ref("?").to_owned())
}
