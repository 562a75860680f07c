//! Settings of an HTTP origin, and its URL.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};
use sandbar_http::key::site_of;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::setting::{Count, DAY, HOUR, MS, Span};

/// Settings of an HTTP origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginConfig {
    /// The origin's URL: `http://` or `https://`, a host, and optionally a path that all requests begin with.
    pub url: OriginUrl,
    /// Which version of HTTP the origin is asked in. Default: as TLS negotiates, HTTP/1.1 without TLS.
    #[serde(default)]
    pub http: Protocol,
    /// Which host name the origin is asked for. Default: the one that the client asked for.
    #[serde(default)]
    pub host_header: HostHeader,
    /// Name resolution, TCP and TLS together may take this long. Default 3 s.
    #[serde(default = "defaults::connect_deadline")]
    pub connect_deadline: Span<MS, HOUR>,
    /// From the end of the request to the first byte of the response. Default 30 s.
    #[serde(default = "defaults::first_byte_deadline")]
    pub first_byte_deadline: Span<MS, DAY>,
    /// Between two parts of a body, in either direction. Default 30 s.
    #[serde(default = "defaults::idle_body_deadline")]
    pub idle_body_deadline: Span<MS, DAY>,
    /// From the beginning of the request to the last byte of the response. Default 1 h.
    #[serde(default = "defaults::total_deadline")]
    pub total_deadline: Span<MS, { 30 * DAY }>,
    /// How long an idle connection is kept: less than the origin keeps it (Node.js: 5 s), or requests are lost on
    /// connections that it is just closing. Default 4 s; 0 s keeps none.
    #[serde(default = "defaults::keep_idle")]
    pub keep_idle: Span<0, DAY>,
    /// Idle connections kept at most. Default 128; 0 keeps none.
    #[serde(default = "defaults::idle_connections_max")]
    pub idle_connections_max: Count<0, 65_535>,
    /// Fields of a response at most; a response with more counts as broken. Default 512.
    #[serde(default = "defaults::fields_max")]
    pub fields_max: Count<16, 10_000>,
    /// PEM file with certificates to trust beside those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca_file: Option<PathBuf>,
    /// PEM file with the certificate that the origin is shown, where it asks for one. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the key of that certificate, without a passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
}

mod defaults {
    use std::time::Duration;

    use crate::setting::{Count, DAY, HOUR, MS, Span};

    pub(super) const fn connect_deadline() -> Span<MS, HOUR> {
        Span::of(Duration::from_secs(3))
    }
    pub(super) const fn first_byte_deadline() -> Span<MS, DAY> {
        Span::of(Duration::from_secs(30))
    }
    pub(super) const fn idle_body_deadline() -> Span<MS, DAY> {
        Span::of(Duration::from_secs(30))
    }
    pub(super) const fn total_deadline() -> Span<MS, { 30 * DAY }> {
        Span::of(Duration::from_secs(3600))
    }
    pub(super) const fn keep_idle() -> Span<0, DAY> {
        Span::of(Duration::from_secs(4))
    }
    pub(super) const fn idle_connections_max() -> Count<0, 65_535> {
        Count::of(128)
    }
    pub(super) const fn fields_max() -> Count<16, 10_000> {
        Count::of(512)
    }
}

impl OriginConfig {
    /// The defaults for an origin at `url`.
    pub const fn new(url: OriginUrl) -> Self {
        Self {
            url,
            http: Protocol::Auto,
            host_header: HostHeader::Preserve,
            connect_deadline: defaults::connect_deadline(),
            first_byte_deadline: defaults::first_byte_deadline(),
            idle_body_deadline: defaults::idle_body_deadline(),
            total_deadline: defaults::total_deadline(),
            keep_idle: defaults::keep_idle(),
            idle_connections_max: defaults::idle_connections_max(),
            fields_max: defaults::fields_max(),
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
        }
    }
}

/// Reads an origin that is written as its URL alone, or as a table of settings: for use in `deserialize_with`.
///
/// # Errors
/// When it is neither, or a setting is wrong.
pub fn url_or_table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OriginConfig>, D::Error> {
    struct UrlOrTable;

    impl<'de> serde::de::Visitor<'de> for UrlOrTable {
        type Value = OriginConfig;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the URL of an origin, or a table with at least its `url`")
        }

        fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<OriginConfig, E> {
            url.parse().map(OriginConfig::new).map_err(E::custom)
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<OriginConfig, A::Error> {
            OriginConfig::deserialize(serde::de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_any(UrlOrTable).map(Some)
}

/// Which version of HTTP an origin is asked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// The version that TLS negotiates (ALPN); HTTP/1.1 without TLS.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2; without TLS it is taken for granted that the origin speaks it (RFC 9113 section 3.3).
    #[serde(rename = "2")]
    Http2,
}

/// Which host name an origin is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostHeader {
    /// The one the client asked for.
    #[default]
    Preserve,
    /// The one of the origin's URL.
    Origin,
}

/// The URL of an origin: scheme, authority and the path that all requests begin with.
#[derive(Clone, PartialEq, Eq)]
pub struct OriginUrl {
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    /// The path, without a slash at the end; empty where there is none.
    pub(super) base: String,
}

/// Why a text is not the URL of an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not the URL of an origin: {reason}; write it like http://127.0.0.1:3000 or https://example.com/base"
)]
pub struct BadOriginUrl {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: String,
}

impl OriginUrl {
    /// `http` or `https`.
    pub const fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host, and port where there is one.
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whether the origin is asked over TLS.
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether the URL leads to an address that this machine listens at. Names other than `localhost` are not resolved:
    /// they are taken to lead elsewhere.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        let host = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = self.authority.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 });
        let listened = address.ip().to_canonical();
        let is_local = listened.is_loopback() || listened.is_unspecified();
        let is_here = match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
            // An unspecified address stands for this machine, and is dialled by a loopback address.
            Ok(ip) => {
                ip == listened || is_local && ip.is_unspecified() || listened.is_unspecified() && ip.is_loopback()
            }
            Err(_) => host.eq_ignore_ascii_case("localhost") && is_local,
        };
        port == address.port() && is_here
    }
}

impl FromStr for OriginUrl {
    type Err = BadOriginUrl;

    fn from_str(text: &str) -> Result<Self, BadOriginUrl> {
        // What stands before the last `@` may be a password.
        let shown = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("…@{rest}"));
        let bad = |reason: &str| BadOriginUrl { text: shown.clone(), reason: reason.to_owned() };
        if text.contains('#') {
            return Err(bad("it has a fragment, which is never sent"));
        }
        let uri: Uri = text.parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(|| bad("the scheme is missing"))?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(bad(&format!("the scheme {scheme} is neither http nor https")));
        }
        let authority = parts.authority.ok_or_else(|| bad("the host is missing"))?;
        if authority.host().is_empty() {
            return Err(bad("the host is missing"));
        }
        if authority.as_str().contains('@') {
            return Err(bad("it holds a user name, which is not sent"));
        }
        if site_of(&format!("{scheme}://{authority}")).is_err() || authority.port_u16() == Some(0) {
            return Err(bad("its host and port are none"));
        }
        let target = parts.path_and_query;
        if target.as_ref().is_some_and(|target| target.query().is_some()) {
            return Err(bad("it has a query, which can't be joined to the requests' own"));
        }
        let base = target.map_or(String::new(), |target| target.path().trim_end_matches('/').to_owned());
        Ok(Self { scheme, authority, base })
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base)
    }
}

impl fmt::Debug for OriginUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OriginUrl({self})")
    }
}

impl Serialize for OriginUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OriginUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        match (text.parse::<OriginUrl>(), expected) {
            (Ok(url), Ok(printed)) => assert_eq!(url.to_string(), printed),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (parsed, expected) => panic!("{text}: {parsed:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn urls_are_taken_or_refused_with_the_reason() {
        check("http://127.0.0.1:3000", Ok("http://127.0.0.1:3000"));
        check("https://example.com/", Ok("https://example.com"));
        check("https://example.com/shop/", Ok("https://example.com/shop"));
        check("http://[::1]:80", Ok("http://[::1]:80"));
        check("example.com:80", Err("the scheme is missing"));
        check("ftp://example.com", Err("neither http nor https"));
        check("http://example.com?a=b", Err("it has a query"));
        check("http://example.com/#top", Err("it has a fragment"));
        check("http://user:secret@example.com", Err("user name"));
        check("/path", Err("the scheme is missing"));
        check("http://", Err("is not the URL of an origin"));
        check("http://exa mple.com", Err("is not the URL of an origin"));
        for authority in ["a:0", "a:65536", "a:80a", "a:-1", "%61"] {
            check(&format!("http://{authority}"), Err("is not the URL of an origin"));
        }
    }

    #[test]
    fn an_origin_is_a_url_or_a_table() {
        #[derive(Deserialize)]
        struct Tenant {
            #[serde(deserialize_with = "url_or_table")]
            origin: Option<OriginConfig>,
        }
        let read = |text: &str| toml::from_str::<Tenant>(text).map(|tenant| tenant.origin);
        let url = OriginConfig::new("http://a.example".parse().expect("a URL"));
        assert_eq!(read(r#"origin = "http://a.example""#).expect("an origin"), Some(url.clone()));
        let table = r#"origin = { url = "http://a.example", http = "2", connect_deadline = "1s" }"#;
        let other = OriginConfig {
            http: Protocol::Http2,
            connect_deadline: Span::of(std::time::Duration::from_secs(1)),
            ..url
        };
        assert_eq!(read(table).expect("an origin"), Some(other));
        let error = read(r#"origin = { url = "http://a.example", speed = 1 }"#).map(|_| ()).expect_err("unknown");
        assert!(error.to_string().contains("unknown field `speed`"), "{error}");
    }

    #[test]
    fn an_address_that_is_listened_at_is_known_in_every_form() {
        let at = |host: &str, listened: &str| {
            let url: OriginUrl = format!("http://{host}:7").parse().expect("a URL");
            url.is_at(listened.parse().expect("an address"))
        };
        for (host, listened) in [
            ("127.0.0.1", "127.0.0.1:7"),
            ("[::ffff:127.0.0.1]", "127.0.0.1:7"),
            ("0.0.0.0", "127.0.0.1:7"),
            ("[::]", "[::1]:7"),
            ("127.0.0.2", "0.0.0.0:7"),
            ("localhost", "[::]:7"),
        ] {
            assert!(at(host, listened), "{host} {listened}");
        }
        for (host, listened) in [("127.0.0.1", "127.0.0.1:8"), ("127.0.0.2", "127.0.0.1:7"), ("a", "127.0.0.1:7")] {
            assert!(!at(host, listened), "{host} {listened}");
        }
    }
}
