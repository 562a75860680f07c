//! From a request to its cache key (RFC 9111 section 2). The key is made from the fields that the origin sees
//! ([`origin_view`](super::origin_view)) and from the target that the origin is asked for.

mod cache_key;
mod dot_segments;
mod site;
mod target;

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::header::COOKIE;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

use crate::combined::joined_lines;
use crate::twin::twin;

pub use cache_key::CacheKey;
pub(crate) use dot_segments::without_dots;
pub use sandbar_base::KeyHash;
pub use site::{Site, check_form, site_of};
pub use target::{Target, TargetPrefix, equivalent, spelled};

/// What joins the key besides tenant, scheme, authority, path and query; by default nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRules {
    /// Whether query parameters are sorted by name: `?b=1&a=2` becomes `?a=2&b=1`.
    pub sort_query: bool,
    /// Query parameters that are left out of the key; a name may end in `*`: `utm_*`.
    pub ignore_params: Vec<String>,
    /// If not empty, the only query parameters that join the key; names may end in `*`.
    pub keep_params: Vec<String>,
    /// Header fields whose value joins the key.
    pub fields: Vec<String>,
    /// Cookies whose value joins the key.
    pub cookies: Vec<String>,
}

impl KeyRules {
    /// A hash that tells these rules from others; it is the same in each version of this library.
    pub fn digest(&self) -> KeyHash {
        let lists = [&self.ignore_params, &self.keep_params, &self.fields, &self.cookies];
        let lists = lists.map(|list| list.join("\n"));
        KeyHash::of(&format!("{}\n\n{}", self.sort_query, lists.join("\n\n")))
    }
}

/// A request's cache key, with the site and the target that are parts of the key.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The cache key: tenant, site and target, and the fields and cookies that the [`KeyRules`] name.
    pub key: CacheKey,
    /// Scheme and authority, in lower case, without the scheme's default port.
    pub site: String,
    /// Path and query, as they stand in the key.
    pub target: String,
}

/// Why no cache key can be made for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// RFC 9110 section 7.2: a server must know the host.
    #[error("the request names no host")]
    NoHost,
    /// RFC 9112 section 3.2: more than one `Host` field, or a malformed host or port.
    #[error("the request's host is not a single host name or address, with a port or without")]
    BadHost,
    /// RFC 9112 section 3.2.2: the target's authority and `Host` differ.
    #[error("the request's target and its Host field name different hosts")]
    HostMismatch,
    /// RFC 9112 section 3.2: the target's form is not allowed for the method, or the target makes no valid URL.
    #[error("the request's target is none for its method")]
    BadTarget,
}

impl NoKey {
    /// The stable word for this reason in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoHost => "no-host",
            Self::BadHost => "bad-host",
            Self::HostMismatch => "host-mismatch",
            Self::BadTarget => "bad-target",
        }
    }
}

/// The key of a request for `uri` on `site`; `fields` are the request fields that the origin sees.
pub(super) fn keyed(tenant: &str, rules: &KeyRules, site: String, uri: &Uri, fields: &HeaderMap) -> Keyed {
    let target = path_and_query(rules, uri);
    let primary = CacheKey::new(tenant, &site, &target);
    let extras = extras(rules, fields);
    let key = if extras.is_empty() {
        primary
    } else {
        primary.variant(extras.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    };
    Keyed { key, site, target }
}

/// `uri` made absolute: on `site`.
///
/// # Errors
/// When `site` and the target make no URI.
pub(super) fn absolute(uri: Uri, site: &Site) -> Result<Uri, NoKey> {
    let target = sent_target(&uri);
    if site.has(&uri) && matches!(target, Cow::Borrowed(_)) {
        return Ok(uri);
    }
    uri_at(site.as_str(), &target)
}

/// The URI of `target` (path and query, or `*`) on `site` (scheme and authority).
///
/// # Errors
/// When `site` and `target` make no URI.
pub fn uri_at(site: &str, target: &str) -> Result<Uri, NoKey> {
    let (scheme, authority) = site.split_once("://").ok_or(NoKey::NoHost)?;
    let parts = Uri::builder().scheme(scheme).authority(authority).path_and_query(target);
    parts.build().map_err(|_| NoKey::BadTarget)
}

/// Path and query as they were sent. RFC 9110 section 4.2.3: "an empty path component is equivalent to an absolute path of
/// "/"", also where a query follows.
pub fn sent_target(uri: &Uri) -> Cow<'_, str> {
    match uri.path_and_query().map_or("/", PathAndQuery::as_str) {
        sent if sent.starts_with('?') => format!("/{sent}").into(),
        sent => sent.into(),
    }
}

/// Path and query as they join the key.
fn path_and_query(rules: &KeyRules, uri: &Uri) -> String {
    let sent = sent_target(uri);
    let Some((path, query)) = sent.split_once('?') else { return sent.into_owned() };
    match normal_query(rules, query) {
        query if query.is_empty() && rules.touches_query() => path.into(),
        query => format!("{path}?{query}"),
    }
}

fn normal_query<'a>(rules: &KeyRules, query: &'a str) -> Cow<'a, str> {
    if !rules.touches_query() {
        return query.into();
    }
    let mut params: Vec<_> =
        query.split('&').filter(|param| !param.is_empty() && rules.keeps(&name_of(param))).collect();
    if rules.sort_query {
        // A stable sort: the order of values of one name can matter to an origin. Each parameter's name is computed
        // once, not in each comparison.
        params.sort_by_cached_key(|param| name_of(param));
    }
    params.join("&").into()
}

/// The name of a query parameter, its percent-encoding normalised.
fn name_of(param: &str) -> Cow<'_, str> {
    spelled(param.split_once('=').map_or(param, |(name, _)| name))
}

impl KeyRules {
    fn touches_query(&self) -> bool {
        self.sort_query || !self.ignore_params.is_empty() || !self.keep_params.is_empty()
    }

    fn keeps(&self, name: &str) -> bool {
        let among = |patterns: &[String]| {
            patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => pattern == name,
            })
        };
        (self.keep_params.is_empty() || among(&self.keep_params)) && !among(&self.ignore_params)
    }
}

/// The configured fields and cookies with their values. An absent field is left out, an empty one is not: the keys
/// differ.
fn extras(rules: &KeyRules, fields: &HeaderMap) -> Vec<(String, String)> {
    let names: BTreeSet<_> = rules.fields.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut extras = Vec::with_capacity(names.len() + rules.cookies.len());
    for name in names {
        if let Some(value) = joined_lines(&name, fields) {
            extras.push((name, value));
        }
    }
    for name in &rules.cookies {
        if let Some(value) = cookie(fields, name) {
            extras.push((format!("cookie {name}"), value));
        }
    }
    extras
}

/// All values of the cookie `name`: where it occurs several times, some origins take the first, others the last.
/// Cookies whose names an origin could take for `name` count too (PHP decodes names and takes `.` for `_`), with their
/// own names.
fn cookie(fields: &HeaderMap, name: &str) -> Option<String> {
    let same = |other: &str| twin(&spelled(other)) == twin(name);
    let line = joined_lines(COOKIE.as_str(), fields)?;
    let pairs = line.split(';').map(|pair| pair.trim().split_once('=').unwrap_or((pair.trim(), "")));
    let values: Vec<_> = pairs
        .filter(|(other, _)| same(other.trim()))
        .map(|(other, value)| if other == name { value.to_owned() } else { format!("{other}={value}") })
        .collect();
    (!values.is_empty()).then(|| values.join("; "))
}

impl KeyRules {
    /// Whether a field joins the key under `name`, or under a name that an origin may not tell from `name`.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        let name = twin(name);
        self.fields.iter().any(|keyed| twin(keyed) == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn text(rules: &KeyRules, uri: &str, fields: &[(&'static str, &'static str)]) -> Result<String, NoKey> {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_static(value));
        }
        let site = Site::of(&uri.parse().unwrap(), &map, "http")?.into_string();
        Ok(keyed("t", rules, site, &uri.parse().unwrap(), &map).key.text().to_owned())
    }

    #[test]
    fn site_and_target_are_in_the_key() {
        let rules = KeyRules::default();
        let check = |uri: &str, host: &'static str, want: &str| {
            assert_eq!(text(&rules, uri, &[("host", host)]).unwrap(), want);
        };
        check("/a?b=1&a=2", "Example.COM:80", "t\nhttp://example.com\n/a?b=1&a=2");
        check("/a?", "example.com:81", "t\nhttp://example.com:81\n/a?");
        check("https://example.com:443/", "example.com", "t\nhttps://example.com\n/");
        check("/", "example.com.", "t\nhttp://example.com\n/");
        check("http://example.com?x", "example.com", "t\nhttp://example.com\n/?x");
        check("http://example.com", "example.com", "t\nhttp://example.com\n/");
        check("*", "example.com", "t\nhttp://example.com\n*");
    }

    #[test]
    fn a_request_that_is_not_clear_about_its_host_has_no_key() {
        let rules = KeyRules::default();
        assert_eq!(text(&rules, "/", &[]), Err(NoKey::NoHost));
        assert_eq!(text(&rules, "/", &[("host", "a"), ("host", "b")]), Err(NoKey::BadHost));
        assert_eq!(text(&rules, "/", &[("host", "a b")]), Err(NoKey::BadHost));
        assert_eq!(text(&rules, "/", &[("host", "user@a")]), Err(NoKey::BadHost));
        assert_eq!(text(&rules, "http://a/", &[("host", "b")]), Err(NoKey::HostMismatch));
    }

    #[test]
    fn query_rules() {
        let rules =
            KeyRules { sort_query: true, ignore_params: vec!["utm_*".into(), "x".into()], ..Default::default() };
        let check = |uri: &str, want: &str| {
            let text = text(&rules, uri, &[("host", "h")]).unwrap();
            assert_eq!(text.split('\n').nth(2), Some(want));
        };
        check("/p?b=2&utm_source=q&a=1&x=9&b=1", "/p?a=1&b=2&b=1");
        check("/p?utm_source=q", "/p");
        check("/p", "/p");
    }

    #[test]
    fn fields_and_cookies_join_the_key() {
        let rules = KeyRules { fields: vec!["X-Device".into()], cookies: vec!["lang".into()], ..Default::default() };
        let plain = text(&rules, "/", &[("host", "h")]).unwrap();
        let device = text(&rules, "/", &[("host", "h"), ("x-device", "phone")]).unwrap();
        let lang = text(&rules, "/", &[("host", "h"), ("cookie", "id=7; lang=de")]).unwrap();
        assert_eq!(plain, "t\nhttp://h\n/");
        assert_eq!(device, "t\nhttp://h\n/\nx-device: phone");
        assert_eq!(lang, "t\nhttp://h\n/\ncookie lang: de");
        for (cookies, expected) in [
            ("lang=de; lang=en", "de; en"),
            ("lang=en; lang=de", "en; de"),
            ("a=1; l%61ng=de", "l%61ng=de"),
            ("LANG=de; lang=en", "LANG=de; en"),
            ("lang =de", "lang =de"),
            ("lang", ""),
        ] {
            let text = text(&rules, "/", &[("host", "h"), ("cookie", cookies)]).unwrap();
            assert_eq!(text, format!("t\nhttp://h\n/\ncookie lang: {expected}"), "{cookies}");
        }
    }

    #[test]
    fn no_part_of_a_key_reaches_into_the_next() {
        let a = CacheKey::new("t", "http://h", "/a");
        let b = CacheKey::new("t\nhttp://h", "", "/a");
        assert_ne!(a, b);
    }
}
