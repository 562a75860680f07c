//! Cache keys (RFC 9111 section 2): always tenant, scheme, authority, path and query, and the fields and cookies that
//! the tenant's settings add.

use std::fmt;
use std::sync::Arc;

use sandbar_base::KeyHash;

/// A cache key: its canonical text and the hash of it.
///
/// The text is `tenant\nscheme://authority\n/path?query` and, for a variant, `\nname: value` for each selecting field.
/// Tenant, site and target hold no line feed, so none of them can be read as the beginning of the next part. After the
/// tenant's name and a `~` may stand what else sets its keys apart.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheKey {
    hash: KeyHash,
    text: Arc<str>,
}

impl CacheKey {
    /// What ends a tenant's name where more stands in the first line; no tenant's name holds it.
    pub const AFTER_TENANT: char = '~';

    /// The primary key of `target` (path and query) on `site` (scheme and authority). Line feeds are dropped from each.
    pub fn new(tenant: &str, site: &str, target: &str) -> Self {
        let clean = |part: &str| part.replace('\n', "");
        Self::from_text(format!("{}\n{}\n{}", clean(tenant), clean(site), clean(target)))
    }

    /// The key of the variant that `selecting` (lower-case field names with values) selects under this primary key.
    #[must_use]
    pub fn variant<'a>(&self, selecting: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut text = self.text.to_string();
        for (name, value) in selecting {
            text.push('\n');
            text.push_str(name);
            text.push_str(": ");
            text.extend(value.chars().filter(|c| *c != '\n'));
        }
        Self::from_text(text)
    }

    /// The key of a stored entry, made from the key text that the entry carries.
    pub fn stored_as(text: &Arc<str>) -> Self {
        Self { hash: KeyHash::of(text), text: Arc::clone(text) }
    }

    fn from_text(text: String) -> Self {
        Self { hash: KeyHash::of(&text), text: text.into() }
    }

    /// The hash of [`Self::text`], computed once when the key is made.
    pub const fn hash(&self) -> KeyHash {
        self.hash
    }

    /// The canonical text: the parts, each on a line of its own.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The canonical text as an `Arc`, without a copy.
    pub fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The name of the tenant that the key belongs to.
    pub fn tenant(&self) -> &str {
        let line = self.part(0);
        line.split_once(Self::AFTER_TENANT).map_or(line, |(name, _)| name)
    }

    /// Scheme and authority, as in `http://a.test:81`.
    pub fn site(&self) -> &str {
        self.part(1)
    }

    /// Path and query, without the query parameters that the tenant's rules leave out.
    pub fn target(&self) -> &str {
        self.part(2)
    }

    fn part(&self, index: usize) -> &str {
        self.text.split('\n').nth(index).unwrap_or("")
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({:?})", &*self.text)
    }
}
