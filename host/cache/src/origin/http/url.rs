//! The URL of an origin, as its settings hold it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, Scheme};
use sandbar_http::key::site_of;

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

    /// The host, an IPv6 address without its brackets.
    pub(super) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port, which is the scheme's where none is written.
    pub(super) fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// Whether the URL leads to an address that this machine listens at. Names other than `localhost` are not resolved:
    /// they are taken to lead elsewhere.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        leads_to(self.host(), self.port(), address)
    }
}

/// Whether a host (an IPv6 address without its brackets) and a port lead to an address that this machine listens at.
pub(super) fn leads_to(host: &str, port: u16, address: SocketAddr) -> bool {
    let listened = address.ip().to_canonical();
    let is_local = listened.is_loopback() || listened.is_unspecified();
    let is_here = match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        // An unspecified address stands for this machine, and is dialled by a loopback address.
        Ok(ip) => ip == listened || is_local && ip.is_unspecified() || listened.is_unspecified() && ip.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") && is_local,
    };
    port == address.port() && is_here
}

/// A text as errors show it: what stands before the last `@` may be a password.
pub(super) fn without_password(text: &str) -> String {
    text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, rest)| format!("…@{rest}"))
}

impl FromStr for OriginUrl {
    type Err = BadOriginUrl;

    fn from_str(text: &str) -> Result<Self, BadOriginUrl> {
        let shown = without_password(text);
        let bad = |reason: &str| BadOriginUrl { text: shown.clone(), reason: reason.to_owned() };
        if text.contains('#') {
            return Err(bad("it has a fragment, which is never sent"));
        }
        if text.starts_with("unix:") {
            let example = "{ url = \"http://app\", servers = [\"unix:/run/app.sock\"] }";
            return Err(bad(&format!("a Unix socket is one of its servers, as in {example}")));
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

sandbar_base::serde_as_text!(OriginUrl);

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
        check("unix:/run/app.sock", Err("a Unix socket is one of its servers"));
        check("/path", Err("the scheme is missing"));
        check("http://", Err("is not the URL of an origin"));
        check("http://exa mple.com", Err("is not the URL of an origin"));
        for authority in ["a:0", "a:65536", "a:80a", "a:-1", "%61"] {
            check(&format!("http://{authority}"), Err("is not the URL of an origin"));
        }
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
