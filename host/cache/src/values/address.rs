//! Where a value is kept: its key as a target, under a tenant's scope that no request over HTTP has.
//!
//! ```text
//! shop~values
//! app://values
//! /prices/tea
//! codec: postcard 0
//! ```
//! The first line of a key that comes over HTTP is the tenant's own scope, so that neither can be read as the other. The second
//! and the third are what purges name, which reach both.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sandbar_http::key::{CacheKey, Target, TargetPrefix};
use sandbar_http::purge::Scope;

/// The site that all values are on.
pub const SITE: &str = "app://values";

/// The longest key, in bytes. Escaped it may be three times as long.
pub const KEY_BYTES_MAX: usize = 1024;

/// The longest name of values, or of a codec, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// What ends the scope of a tenant in the keys of its values.
const SCOPE: &str = "values";

/// Bytes of a key that stand for themselves. `!` is escaped, as it marks what would be a dot segment.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b',')
    .remove(b'=')
    .remove(b'+');

/// A name of values, or of a codec, that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of values: it takes 1 to {NAME_BYTES_MAX} letters of ASCII, digits, '-', '_' and '.'")]
pub struct BadName(String);

/// A key that has too many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key has {key_bytes} bytes, at most {KEY_BYTES_MAX} may be: hash what is longer")]
pub struct KeyTooLong {
    /// How many it has.
    pub key_bytes: usize,
}

/// The name that values are kept under, and the form that they are kept in.
#[derive(Debug)]
pub(super) struct Address {
    name: Box<str>,
    codec: String,
}

impl Address {
    pub(super) fn new(name: &str, codec: &str, version: u32) -> Result<Self, BadName> {
        for name in [name, codec] {
            if !is_name(name) {
                return Err(BadName(name.chars().take(NAME_BYTES_MAX).collect()));
            }
        }
        Ok(Self { name: name.into(), codec: format!("{codec} {version}") })
    }

    /// The cache key of a value.
    pub(super) fn key(&self, tenant_scope: &str, key: &[u8]) -> Result<CacheKey, KeyTooLong> {
        let target_bytes = 2 * key.len() + self.name.len();
        let mut text = String::with_capacity(tenant_scope.len() + SITE.len() + target_bytes + self.codec.len() + 24);
        text.push_str(tenant_scope);
        let _ = write!(text, "{}{SCOPE}\n{SITE}\n", CacheKey::AFTER_TENANT);
        self.push_target(&mut text, key)?;
        let _ = write!(text, "\ncodec: {}", self.codec);
        Ok(CacheKey::stored_as(&text.into()))
    }

    /// What a purge of one value names: all its versions.
    pub(super) fn scope_of(&self, key: &[u8]) -> Result<Scope, KeyTooLong> {
        let mut target = String::new();
        self.push_target(&mut target, key)?;
        Ok(Scope::Target(Target::of_key(SITE, &target)))
    }

    /// What a purge of all values names whose keys begin so; some more where the beginning ends in a dot segment.
    pub(super) fn scope_of_prefix(&self, prefix: &[u8]) -> Result<Scope, KeyTooLong> {
        let last = prefix.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let whole = if is_dots(last) { &prefix[..prefix.len() - last.len()] } else { prefix };
        let mut target = String::new();
        self.push_target(&mut target, whole)?;
        Ok(Scope::Prefix(TargetPrefix::new(Some(SITE), &target).expect("the site is one")))
    }

    fn push_target(&self, text: &mut String, key: &[u8]) -> Result<(), KeyTooLong> {
        if key.len() > KEY_BYTES_MAX {
            return Err(KeyTooLong { key_bytes: key.len() });
        }
        text.push('/');
        text.push_str(&self.name);
        for segment in key.split(|byte| *byte == b'/') {
            text.push('/');
            if is_dots(segment) {
                text.push('!');
            }
            text.extend(percent_encode(segment, ESCAPED));
        }
        Ok(())
    }
}

/// A segment that a URL would resolve, so that another target would be purged (RFC 3986 section 5.2.4).
fn is_dots(segment: &[u8]) -> bool {
    matches!(segment, b"." | b"..")
}

fn is_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_fine) && !is_dots(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn address() -> Address {
        Address::new("prices", "postcard", 3).expect("a name")
    }

    const KEYS: [&[u8]; 16] = [
        b"", b"tea", b"a/b", b"a%2Fb", b"a/../b", b"b", b"..", b".", b"!..", b"%2E%2E", b"a\nb", b"\0", b"?x", b"a b",
        b"\xff", b"/",
    ];

    #[test]
    fn each_key_is_a_key_of_its_own_and_holds_four_lines() {
        let keys: HashSet<_> = KEYS.iter().map(|key| address().key("t", key).unwrap().text().to_owned()).collect();
        assert_eq!(keys.len(), KEYS.len());
        assert!(keys.iter().all(|key| key.split('\n').count() == 4 && key.is_ascii()), "{keys:?}");
        let tea = address().key("t~1", b"tea").unwrap();
        assert_eq!(tea.text(), "t~1~values\napp://values\n/prices/tea\ncodec: postcard 3");
        assert_eq!((tea.tenant(), tea.site(), tea.target()), ("t", SITE, "/prices/tea"));
    }

    #[test]
    fn purges_reach_a_key_and_what_begins_so() {
        let scopes: HashSet<_> = KEYS.iter().map(|key| address().scope_of(key).unwrap()).collect();
        assert_eq!(scopes.len(), KEYS.len(), "no purge is one of another key");
        let covers = |prefix: &[u8], key: &[u8]| {
            let (Scope::Prefix(prefix), Scope::Target(target)) =
                (address().scope_of_prefix(prefix).unwrap(), address().scope_of(key).unwrap())
            else {
                panic!("other scopes")
            };
            prefix.covers(&target)
        };
        for key in KEYS {
            assert!((0..=key.len()).all(|end| covers(&key[..end], key)), "{key:?}");
        }
        assert!(!covers(b"a/", b"b") && !covers(b"te", b"b"));
        let other = Address::new("price", "postcard", 3).unwrap();
        assert_ne!(other.scope_of(b"s/tea").unwrap(), address().scope_of(b"tea").unwrap());
    }

    #[test]
    fn what_is_too_long_or_no_name_is_refused_with_the_bound() {
        let error = address().key("t", &[b'a'; KEY_BYTES_MAX + 1]).unwrap_err().to_string();
        assert!(error.contains("1025") && error.contains("1024"), "{error}");
        address().key("t", &[0; KEY_BYTES_MAX]).unwrap();
        for name in ["", ".", "..", "a/b", "a b", "a\n", "\u{e9}", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(Address::new(name, "postcard", 0).is_err(), "{name:?}");
        }
    }
}
