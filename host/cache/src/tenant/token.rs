//! Tokens of a tenant: what somebody may do who is not its operator. They are kept hashed: no file that the gateway reads or
//! shows lets anybody act for their owners.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sandbar_base::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// A `[[tenant.token]]` table: a token, and what it is good for. `sandbar token` makes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TokenConfig {
    /// Whose token it is; logs name it.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<TokenScope>,
    /// The hash of the token.
    pub hash: TokenHash,
    /// From when on it is refused, such as `2027-01-31T00:00:00Z`; never where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenScope {
    /// The methods `PURGE` and `SOFTPURGE` on the tenant's own hosts.
    Purge,
}

/// The hash of a token: `blake3:` and 64 hexadecimal digits. A token has at least 128 bits that nobody can guess, so one plain
/// hash is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash(blake3::Hash);

/// A moment, as RFC 3339 writes it, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry(Timestamp);

const KIND: &str = "blake3:";

impl TokenHash {
    /// The hash of a token.
    pub fn of(token: &[u8]) -> Self {
        Self(blake3::hash(token))
    }
}

impl Default for TokenHash {
    /// A hash that no token has, as far as anybody knows.
    fn default() -> Self {
        Self(blake3::Hash::from_bytes([0; 32]))
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{KIND}{}", self.0.to_hex())
    }
}

impl FromStr for TokenHash {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let hash = text.strip_prefix(KIND).and_then(|hex| blake3::Hash::from_hex(hex).ok());
        hash.map(Self).ok_or_else(|| {
            "it is no hash of a token; `sandbar token` makes a token and its hash, \"blake3:\" and 64 hexadecimal digits"
                .to_owned()
        })
    }
}

impl Expiry {
    /// So long after `now`, in whole seconds.
    pub fn after(now: Timestamp, span: Duration) -> Self {
        let at = now.saturating_add(span);
        Self(Timestamp::from_millis(at.as_millis() / 1000 * 1000))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(self.0.as_millis())))
    }
}

impl FromStr for Expiry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no moment in UTC; write one such as \"2027-01-31T00:00:00Z\"");
        let at = humantime::parse_rfc3339(text).map_err(|_| wrong())?;
        let since = at.duration_since(UNIX_EPOCH).map_err(|_| wrong())?;
        // What can be written has four digits for the year.
        let millis = u64::try_from(since.as_millis()).map_err(|_| wrong())?;
        Ok(Self(Timestamp::from_millis(millis)))
    }
}

sandbar_base::serde_as_text!(TokenHash, Expiry);

/// Why a request may not do what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAllowed {
    /// It has no token, or none that the tenant knows.
    Unknown,
    /// Its token is not valid any more.
    Expired,
}

impl NotAllowed {
    /// The reason in one word, for `Cache-Status`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "token-unknown",
            Self::Expired => "token-expired",
        }
    }
}

/// Whether one of the tokens allows this at all, expired or not.
pub(crate) fn is_given(tokens: &[TokenConfig], scope: TokenScope) -> bool {
    tokens.iter().any(|token| token.scopes.contains(&scope))
}

/// The token by which a request may do this: that of its field `Authorization: Bearer TOKEN` (RFC 6750 section 2.1).
pub(crate) fn allowed<'a>(
    tokens: &'a [TokenConfig],
    scope: TokenScope,
    fields: &HeaderMap,
    now: Timestamp,
) -> Result<&'a TokenConfig, NotAllowed> {
    let given = fields.get(AUTHORIZATION).and_then(|field| {
        let (scheme, token) = field.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
    });
    let hash = TokenHash::of(given.ok_or(NotAllowed::Unknown)?);
    // Hashes of BLAKE3 are compared in constant time. Of several tokens with that hash one may do.
    let mut known = tokens.iter().filter(|token| token.hash == hash && token.scopes.contains(&scope)).peekable();
    known.peek().ok_or(NotAllowed::Unknown)?;
    known.find(|token| token.expires.is_none_or(|Expiry(at)| now < at)).ok_or(NotAllowed::Expired)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn fields(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, authorization.parse().expect("a value"))])
    }

    #[test]
    fn only_a_known_token_that_is_valid_and_has_the_scope_allows_something() {
        let token = |name: &str, token: &[u8], scopes: &[TokenScope], expires: Option<&str>| TokenConfig {
            name: name.into(),
            scopes: scopes.iter().copied().collect(),
            hash: TokenHash::of(token),
            expires: expires.map(|at| at.parse().expect("a moment")),
        };
        let purge = [TokenScope::Purge];
        let tokens = [
            token("ci", b"sesame", &purge, None),
            token("old", b"stale", &purge, Some("2020-01-01T00:00:00Z")),
            token("new", b"fresh", &purge, Some("2099-01-01T00:00:00Z")),
            token("idle", b"idle", &[], None),
        ];
        for (authorization, allows) in [
            ("Bearer sesame", Ok("ci")),
            ("bearer  sesame", Ok("ci")),
            ("Bearer fresh", Ok("new")),
            ("Bearer stale", Err(NotAllowed::Expired)),
            ("Bearer idle", Err(NotAllowed::Unknown)),
            ("Bearer sesam", Err(NotAllowed::Unknown)),
            ("Bearer ", Err(NotAllowed::Unknown)),
            ("Basic sesame", Err(NotAllowed::Unknown)),
            ("B", Err(NotAllowed::Unknown)),
        ] {
            let found = allowed(&tokens, TokenScope::Purge, &fields(authorization), NOW);
            assert_eq!(found.map(|token| token.name.as_str()), allows, "{authorization}");
        }
        assert_eq!(allowed(&tokens, TokenScope::Purge, &HeaderMap::new(), NOW), Err(NotAllowed::Unknown));
        assert!(is_given(&tokens, TokenScope::Purge) && !is_given(&tokens[3..], TokenScope::Purge));
    }

    #[test]
    fn hashes_and_moments_are_texts() {
        let hash = TokenHash::of(b"sesame");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for wrong in ["", "sesame", "blake3:", "blake3:00", &hash.to_string()[7..]] {
            assert!(wrong.parse::<TokenHash>().is_err(), "{wrong}");
        }
        let at: Expiry = "2027-01-31T00:00:00Z".parse().expect("a moment");
        assert_eq!(at.to_string(), "2027-01-31T00:00:00Z");
        assert_eq!(Expiry::after(NOW, Duration::from_millis(1500)).to_string(), "2027-01-15T08:00:01Z");
        for wrong in ["", "2027-01-31", "tomorrow", "1969-12-31T00:00:00Z", "2027-13-31T00:00:00Z"] {
            assert!(wrong.parse::<Expiry>().is_err(), "{wrong}");
        }
    }
}
