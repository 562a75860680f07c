//! From a request to its cache key (RFC 9111 section 2), and to the request that is sent to the origin.
//!
//! Nothing that is not in the key may change what is stored: a request that may be answered from the cache is forwarded
//! with the target that the key holds, and without the fields by which clients talk an origin into another host, path
//! or method (CVE-2026-2836 and its many relatives).

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::header::{COOKIE, HOST};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, Uri};
use serde::{Deserialize, Serialize};

use crate::key::CacheKey;

/// What joins the key beyond tenant, scheme, authority, path and query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyRules {
    /// Whether query parameters are sorted by name: `?b=1&a=2` becomes `?a=2&b=1`.
    pub sort_query: bool,
    /// Query parameters that are dropped; a name may end in `*`: `utm_*`.
    pub ignore_params: Vec<String>,
    /// If not empty, the only query parameters that are kept.
    pub keep_params: Vec<String>,
    /// Header fields whose value joins the key.
    pub fields: Vec<String>,
    /// Cookies whose value joins the key.
    pub cookies: Vec<String>,
}

/// A request's key, and what the key says of it.
#[derive(Clone, Debug)]
pub struct Keyed {
    /// The primary key.
    pub key: CacheKey,
    /// Scheme and authority, in lower case, without the scheme's own port.
    pub site: String,
    /// Path and query, as they stand in the key.
    pub target: String,
}

/// Why a request has no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// RFC 9110 section 7.2: a server must know the host.
    #[error("the request names no host")]
    NoHost,
    /// RFC 9112 section 3.2: more than one `Host` field, or one that is no authority.
    #[error("the request's Host field is not a single valid authority")]
    BadHost,
    /// RFC 9112 section 3.2.2: the target's authority and `Host` differ.
    #[error("the request's target and its Host field name different hosts")]
    HostMismatch,
}

impl NoKey {
    /// The stable word for it in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoHost => "no-host",
            Self::BadHost => "bad-host",
            Self::HostMismatch => "host-mismatch",
        }
    }
}

/// The key of a request. The scheme is the target's, else `scheme`.
///
/// # Errors
/// When the request does not say clearly which host it is for.
pub fn keyed(tenant: &str, rules: &KeyRules, uri: &Uri, fields: &HeaderMap, scheme: &str) -> Result<Keyed, NoKey> {
    let site = site(uri, fields, scheme)?;
    let target = target(rules, uri);
    let primary = CacheKey::new(tenant, &site, &target);
    let extras = extras(rules, fields);
    let key = if extras.is_empty() {
        primary
    } else {
        primary.variant(extras.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    };
    Ok(Keyed { key, site, target })
}

/// Scheme and authority of a request, in lower case, without the scheme's own port.
///
/// # Errors
/// As [`keyed`].
pub fn site(uri: &Uri, fields: &HeaderMap, scheme: &str) -> Result<String, NoKey> {
    let scheme = uri.scheme_str().unwrap_or(scheme).to_ascii_lowercase();
    let host = host(fields)?;
    let authority = match (uri.authority(), host) {
        (Some(target), Some(host)) if normal(target, &scheme) != normal(&host, &scheme) => {
            return Err(NoKey::HostMismatch);
        }
        (Some(target), _) => normal(target, &scheme),
        (None, Some(host)) => normal(&host, &scheme),
        (None, None) => return Err(NoKey::NoHost),
    };
    Ok(format!("{scheme}://{authority}"))
}

fn host(fields: &HeaderMap) -> Result<Option<Authority>, NoKey> {
    let mut hosts = fields.get_all(HOST).iter();
    let Some(first) = hosts.next() else { return Ok(None) };
    if hosts.next().is_some() {
        return Err(NoKey::BadHost);
    }
    let authority: Authority = first.as_bytes().try_into().map_err(|_| NoKey::BadHost)?;
    if authority.host().is_empty() || authority.as_str().contains('@') {
        return Err(NoKey::BadHost);
    }
    Ok(Some(authority))
}

/// RFC 9110 section 4.2.3: host names are case-insensitive and the scheme's own port is as good as none.
fn normal(authority: &Authority, scheme: &str) -> String {
    let own_port = if scheme == "https" { 443 } else { 80 };
    let host = authority.host().trim_end_matches('.').to_ascii_lowercase();
    match authority.port_u16() {
        Some(port) if port != own_port => format!("{host}:{port}"),
        _ => host,
    }
}

/// Path and query as they join the key.
fn target(rules: &KeyRules, uri: &Uri) -> String {
    let path_and_query = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let Some((path, query)) = path_and_query.split_once('?') else { return path_and_query.into() };
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
        query.split('&').filter(|param| !param.is_empty() && rules.keeps(name_of(param))).collect();
    if rules.sort_query {
        // A stable sort: the order of values of one name can matter to an origin. The end of a name is looked for once,
        // not in each comparison.
        params.sort_by_cached_key(|param| name_of(param));
    }
    params.join("&").into()
}

fn name_of(param: &str) -> &str {
    param.split_once('=').map_or(param, |(name, _)| name)
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

/// The configured fields and cookies with their values. Absent and empty are told apart.
fn extras(rules: &KeyRules, fields: &HeaderMap) -> Vec<(String, String)> {
    let names: BTreeSet<_> = rules.fields.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut extras = Vec::with_capacity(names.len() + rules.cookies.len());
    for name in names {
        let values: Vec<_> =
            fields.get_all(&name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        if !values.is_empty() {
            extras.push((name, values.join(", ")));
        }
    }
    for name in &rules.cookies {
        if let Some(value) = cookie(fields, name) {
            extras.push((format!("cookie {name}"), value));
        }
    }
    extras
}

fn cookie(fields: &HeaderMap, name: &str) -> Option<String> {
    let lines = fields.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Fields by which a client may talk an origin into another host, path, scheme or method, without being in the key.
const UNKEYED: [&str; 14] = [
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
];

/// Removes the fields that are not in the key but might change the response, unless the rules put them into the key.
pub fn strip_unkeyed(rules: &KeyRules, fields: &mut HeaderMap) {
    for name in UNKEYED {
        if !rules.fields.iter().any(|keyed| keyed.eq_ignore_ascii_case(name)) {
            fields.remove(HeaderName::from_static(name));
        }
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
        keyed("t", rules, &uri.parse().unwrap(), &map, "http").map(|keyed| keyed.key.text().to_owned())
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
    }

    #[test]
    fn no_part_of_a_key_reaches_into_the_next() {
        let a = CacheKey::new("t", "http://h", "/a");
        let b = CacheKey::new("t\nhttp://h", "", "/a");
        assert_ne!(a, b);
    }
}
