//! Targets: the resources that purges, unsafe methods and HEAD updates name, with all spellings of one resource
//! normalised to one.
//!
//! A cache key holds path and query as the origin is asked for them: `/%7Eme` and `/~me` have two entries, and the
//! origin may tell them apart. An invalidation of one of them reaches both (RFC 9110 section 4.2.3: they are
//! equivalent). Only this module makes a [`Target`] or a [`TargetPrefix`], so that none is compared before it is
//! normalised.

use std::borrow::Cow;

use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

use super::dot_segments::without_dots;
use super::site::{Site, site_of};
use super::{KeyRules, NoKey, path_and_query};

/// A resource: site, path and query, normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Recorded")]
pub struct Target {
    site: Box<str>,
    target: Box<str>,
}

/// A target as it was serialised, perhaps by another version of this program, which did not normalise it.
#[derive(Deserialize)]
struct Recorded {
    site: Box<str>,
    target: Box<str>,
}

impl From<Recorded> for Target {
    fn from(recorded: Recorded) -> Self {
        Self::equivalent(&recorded.site, &recorded.target)
    }
}

impl Target {
    /// Bytes of its text.
    pub fn bytes(&self) -> usize {
        self.site.len() + self.target.len()
    }

    /// The resource that an absolute URL names, by the key rules of its tenant.
    ///
    /// # Errors
    /// When `url` is no absolute URL with a valid host.
    pub fn of_url(rules: &KeyRules, url: &str) -> Result<Self, NoKey> {
        let uri: Uri = url.parse().map_err(|_| NoKey::BadTarget)?;
        // `a.test` alone would be an authority.
        uri.scheme().ok_or(NoKey::BadTarget)?;
        let site = Site::of(&uri, &HeaderMap::new(), "http")?.into_string();
        Ok(Self::equivalent(&site, &path_and_query(rules, &uri)))
    }

    /// The resource of `target` (path and query) on `site` (scheme and authority), by the key rules of its tenant.
    ///
    /// # Errors
    /// When `site` and `target` make no URL.
    pub fn on_site(rules: &KeyRules, site: &str, target: &str) -> Result<Self, NoKey> {
        Self::of_url(rules, &format!("{site}{}", escaped(target)))
    }

    /// The resource of a cache key, given the key's own site and target.
    pub fn of_key(site: &str, target: &str) -> Self {
        Self::equivalent(site, target)
    }

    fn equivalent(site: &str, target: &str) -> Self {
        Self { site: site.into(), target: escaped(&equivalent(target)).into() }
    }

    /// Scheme and authority, in the one spelling that keys have.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// Path and query, normalised.
    pub fn path_and_query(&self) -> &str {
        &self.target
    }
}

/// All resources whose path and query begin with a prefix, on one site or on all.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "RecordedPrefix")]
pub struct TargetPrefix {
    site: Option<Box<str>>,
    prefix: Box<str>,
}

/// A prefix as it was serialised, like [`Recorded`].
#[derive(Deserialize)]
struct RecordedPrefix {
    site: Option<Box<str>>,
    prefix: Box<str>,
}

impl From<RecordedPrefix> for TargetPrefix {
    fn from(recorded: RecordedPrefix) -> Self {
        // A site has always been serialised in the spelling that keys have.
        Self { site: recorded.site, prefix: normal_prefix(&recorded.prefix).into() }
    }
}

impl TargetPrefix {
    /// Bytes of its text.
    pub fn bytes(&self) -> usize {
        self.site.as_ref().map_or(0, |site| site.len()) + self.prefix.len()
    }

    /// The resources whose path and query begin with `prefix`, on `site` (scheme and authority) or else on every site.
    ///
    /// # Errors
    /// When `site` is no scheme with a valid authority.
    pub fn new(site: Option<&str>, prefix: &str) -> Result<Self, NoKey> {
        let site = site.map(site_of).transpose()?.map(Into::into);
        Ok(Self { site, prefix: normal_prefix(prefix).into() })
    }

    /// The resources of one site whose URLs begin with `url`: scheme, authority, and the beginning of a path.
    ///
    /// # Errors
    /// When `url` does not begin with a scheme and a valid authority.
    pub fn of_url(url: &str) -> Result<Self, NoKey> {
        let (scheme, rest) = url.split_once("://").ok_or(NoKey::BadTarget)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        Self::new(Some(&format!("{scheme}://{authority}")), if path.is_empty() { "/" } else { path })
    }

    /// The site; absent where the prefix holds for every site.
    pub fn site(&self) -> Option<&str> {
        self.site.as_deref()
    }

    /// The beginning of path and query, normalised.
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    /// Whether `target` is one of these resources.
    pub fn covers(&self, target: &Target) -> bool {
        self.site.as_deref().is_none_or(|of| of == &*target.site) && target.target.starts_with(&*self.prefix)
    }
}

/// [`equivalent`] for a prefix. Dots in the last segment of a path are kept, as they may begin a longer name.
fn normal_prefix(prefix: &str) -> String {
    let (path, query) = prefix.split_once('?').map_or((prefix, None), |(path, query)| (path, Some(query)));
    let whole = path.rfind('/').map_or(0, |slash| slash + 1);
    let (whole, begun) = path.split_at(if query.is_some() { path.len() } else { whole });
    let query = query.map_or(String::new(), |query| format!("?{}", spelled(query)));
    escaped(&format!("{}{}{query}", equivalent(whole), spelled(begun))).into()
}

/// Path and query, normalised: all equivalent spellings become the same (RFC 3986 sections 6.2.2 and 6.2.3).
pub fn equivalent(target: &str) -> Cow<'_, str> {
    if !target.contains('%') && !target.contains("/.") {
        return target.into();
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = without_dots(&spelled(path));
    query.map_or(path.clone(), |query| format!("{path}?{}", spelled(query))).into()
}

/// `text` with its percent-encoding normalised. RFC 3986 section 6.2.2.2: "percent-encoded octets that correspond to
/// unreserved characters [...] should be normalized by decoding"; section 6.2.2.1: the digits of the others "should be
/// normalized to use uppercase letters".
pub fn spelled(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return text.into();
    }
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        let octet = rest.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(octet) = octet else {
            normal.push('%');
            rest = &rest[at + 1..];
            continue;
        };
        match u8::from_str_radix(octet, 16).map(char::from) {
            Ok(c) if c.is_ascii_alphanumeric() || "-._~".contains(c) => normal.push(c),
            _ => {
                normal.push('%');
                normal.push_str(&octet.to_ascii_uppercase());
            }
        }
        rest = &rest[at + 3..];
    }
    normal.push_str(rest);
    normal.into()
}

/// `text` with the bytes that no URI can hold percent-encoded: clients send them either way (RFC 3986 section 2.1, RFC
/// 3987 section 3.1).
fn escaped(text: &str) -> Cow<'_, str> {
    let is_foreign = |byte: u8| !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&byte);
    if !text.bytes().any(is_foreign) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_foreign(byte) {
            escaped.push('%');
            escaped.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
        } else {
            escaped.push(char::from(byte));
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_resource_are_one_target() {
        let sorted = KeyRules { sort_query: true, ignore_params: vec!["utm_*".into()], ..KeyRules::default() };
        for (rules, urls) in [
            (
                KeyRules::default(),
                &["http://a.test/~x", "http://A.TEST:80/%7Ex", "http://a.test:080/%7ex", "http://a.test./b/../~x"][..],
            ),
            (KeyRules::default(), &["http://a.test/", "http://a.test", "HTTP://a.test/."]),
            (KeyRules::default(), &["http://a.test/?x", "http://a.test?x", "http://a.test?x#f"]),
            (KeyRules::default(), &["http://a.test/%2F%3f", "http://a.test/%2f%3F"]),
            (KeyRules::default(), &["http://a.test/\u{e9}|?{}", "http://a.test/%c3%A9%7c?%7B%7d"]),
            (
                sorted,
                &[
                    "http://a.test/p?a=1&b=2",
                    "http://a.test/p?b=2&a=1",
                    "http://a.test/p?utm_x=1&b=2&a=1",
                    "http://a.test/p?b=2&%75tm_x&a=1",
                ],
            ),
        ] {
            let targets: Vec<_> = urls.iter().map(|url| Target::of_url(&rules, url).expect("a URL")).collect();
            for (target, url) in targets.iter().zip(urls) {
                assert_eq!(target, &targets[0], "{url}");
            }
        }
    }

    #[test]
    fn what_a_response_names_may_hold_what_no_url_can() {
        let on_site = |target| Target::on_site(&KeyRules::default(), "http://a.test", target).expect("a target");
        assert_eq!(on_site("/a b<\u{e9}>"), on_site("/a%20b%3c%C3%a9%3E"));
    }

    #[test]
    fn others_are_others() {
        let target = |url| Target::of_url(&KeyRules::default(), url).expect("a URL");
        for (a, b) in [
            ("http://a.test/a", "http://a.test/A"),
            ("http://a.test/a", "https://a.test/a"),
            ("http://a.test/a", "http://a.test:81/a"),
            ("http://a.test/a/b", "http://a.test/a%2Fb"),
            ("http://a.test/a", "http://a.test/a?"),
            ("http://a.test/a", "http://a.test//a"),
            ("http://a.test/a?b=1&a=2", "http://a.test/a?a=2&b=1"),
            ("http://a.test/%zz", "http://a.test/%ZZ"),
        ] {
            assert_ne!(target(a), target(b));
        }
        for url in ["/a", "a.test", "http://u@a.test/", "http://a.test:80a/", "http://a b/", "nonsense"] {
            assert!(Target::of_url(&KeyRules::default(), url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_prefix_covers_every_spelling() {
        let covers = |site, prefix: &str, url: &str| {
            let target = Target::of_url(&KeyRules::default(), url).expect("a URL");
            TargetPrefix::new(site, prefix).expect("a prefix").covers(&target)
        };
        for (site, prefix, url) in [
            (None, "/", "http://a.test?x"),
            (None, "/%7Em", "http://a.test/~me"),
            (None, "/~m", "http://a.test/%7Eme"),
            (None, "/.", "http://a.test/.well-known/x"),
            (None, "/b/../a", "http://a.test/ab"),
            (None, "/a?b", "http://a.test/a?b=1"),
            (Some("HTTP://A.test:080"), "/a", "http://a.test/ab"),
            (None, "/\u{e9}", "http://a.test/%C3%A9a"),
        ] {
            assert!(covers(site, prefix, url), "{prefix} {url}");
        }
        for (site, prefix, url) in [
            (None, "/.", "http://a.test/a"),
            (None, "/a", "http://a.test/b/a"),
            (Some("http://b.test"), "/", "http://a.test/"),
        ] {
            assert!(!covers(site, prefix, url), "{prefix} {url}");
        }
        assert!(TargetPrefix::new(Some("a.test"), "/").is_err());
    }

    #[test]
    fn a_recorded_target_reads_back_as_it_was() {
        let target = Target::of_url(&KeyRules::default(), "http://a.test/%7Ex").expect("a URL");
        let text = serde_json::to_string(&target).expect("JSON");
        assert_eq!(text, r#"{"site":"http://a.test","target":"/~x"}"#);
        assert_eq!(serde_json::from_str::<Target>(&text).expect("a target"), target);
        let old = r#"{"site":"http://a.test","target":"/%7Ex"}"#;
        assert_eq!(serde_json::from_str::<Target>(old).expect("a target"), target, "as another version wrote it");
        let prefix = serde_json::from_str::<TargetPrefix>(r#"{"site":null,"prefix":"/%7Ex"}"#).expect("a prefix");
        assert!(prefix.covers(&target));
    }
}
