//! The site of a request: scheme and authority, parsed once and normalised to one spelling (RFC 9110 section 4.2.3, RFC
//! 3986 section 6.2).

use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, Method, Uri};

use super::NoKey;

/// Scheme and authority of a request, in lower case, without the scheme's default port, such as `https://shop.example`.
///
/// The code that routes a request has to know its site. It can leave the `Site` among the request's extensions: where
/// the request's URI is on that site, the cache takes it from there and parses nothing again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site(String);

impl Site {
    /// The site of a request. `scheme` counts where the URI has none.
    ///
    /// # Errors
    /// When the target and `Host` name no host, a malformed one, or different ones.
    pub fn of(uri: &Uri, fields: &HeaderMap, scheme: &str) -> Result<Self, NoKey> {
        Self::under(uri.scheme_str().unwrap_or(scheme), uri, fields)
    }

    /// The site of a request that came under `scheme`, whatever its URI says.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn under(scheme: &str, uri: &Uri, fields: &HeaderMap) -> Result<Self, NoKey> {
        let scheme = scheme.to_ascii_lowercase();
        let normal = |authority: &str| authority_of(authority, &scheme);
        let target = uri.authority().map(|authority| normal(authority.as_str())).transpose()?;
        let host = host(fields)?.map(normal).transpose()?;
        let authority = match (target, host) {
            (Some(target), Some(host)) if target != host => return Err(NoKey::HostMismatch),
            (Some(authority), _) | (None, Some(authority)) => authority,
            (None, None) => return Err(NoKey::NoHost),
        };
        Ok(Self(format!("{scheme}://{authority}")))
    }

    /// Scheme and authority as they stand in the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The authority: host, and the port where it is not the scheme's default.
    pub fn authority(&self) -> &str {
        self.parts().1
    }

    /// Whether an absolute URI names this site in the same spelling.
    pub fn has(&self, uri: &Uri) -> bool {
        let (scheme, authority) = self.parts();
        uri.scheme_str() == Some(scheme) && uri.authority().map(Authority::as_str) == Some(authority)
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once("://").unwrap_or_default()
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// A scheme with an authority, such as `http://Example.COM:080`, normalised as in keys.
///
/// # Errors
/// When `text` is no scheme with a valid authority.
pub fn site_of(text: &str) -> Result<String, NoKey> {
    let (scheme, authority) = text.split_once("://").ok_or(NoKey::NoHost)?;
    let scheme = scheme.to_ascii_lowercase();
    authority_of(authority, &scheme).map(|authority| format!("{scheme}://{authority}"))
}

/// Whether a request's target has a form that its method may have: "authority-form is only used for CONNECT requests" (RFC
/// 9112 section 3.2.3), "asterisk-form is only used for a server-wide OPTIONS request" (section 3.2.4).
///
/// # Errors
/// When the method may not have a target of this form.
pub fn check_form(method: &Method, uri: &Uri) -> Result<(), NoKey> {
    let is_authority = uri.scheme().is_none() && uri.authority().is_some();
    match uri.path() {
        _ if is_authority => Err(NoKey::BadTarget),
        "*" if *method != Method::OPTIONS || uri.query().is_some() => Err(NoKey::BadTarget),
        "*" => Ok(()),
        path if path.starts_with('/') => Ok(()),
        _ => Err(NoKey::BadTarget),
    }
}

fn host(fields: &HeaderMap) -> Result<Option<&str>, NoKey> {
    let mut hosts = fields.get_all(HOST).iter();
    let Some(first) = hosts.next() else { return Ok(None) };
    if hosts.next().is_some() {
        return Err(NoKey::BadHost);
    }
    first.to_str().map(Some).map_err(|_| NoKey::BadHost)
}

/// Host and port, normalised. RFC 9110 section 4.2.3: host names are case-insensitive, and the scheme's default port is
/// equivalent to none; section 4.2.4: user information is treated "as an error".
fn authority_of(text: &str, scheme: &str) -> Result<String, NoKey> {
    let (host, port) = match text.find(']') {
        Some(end) => text.split_at(end + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let own_port = if scheme == "https" { 443 } else { 80 };
    let host = normal_host(host)?;
    match port_of(port)? {
        Some(port) if port != own_port => Ok(format!("{host}:{port}")),
        _ => Ok(host),
    }
}

/// RFC 3986 section 3.2.3: a port is a colon and any number of digits, even zero. `u16::from_str` would accept a sign.
fn port_of(text: &str) -> Result<Option<u16>, NoKey> {
    let Some(digits) = text.strip_prefix(':') else {
        return if text.is_empty() { Ok(None) } else { Err(NoKey::BadHost) };
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoKey::BadHost);
    }
    if digits.is_empty() { Ok(None) } else { digits.parse().map(Some).map_err(|_| NoKey::BadHost) }
}

/// A host name or address, normalised. Other characters that RFC 3986 section 3.2.2 would allow (`%41`, `!`, `,` and
/// the like) occur in no host name, and two recipients could read them differently.
fn normal_host(host: &str) -> Result<String, NoKey> {
    if let Some(inner) = host.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']').and_then(|inner| inner.parse().ok()).ok_or(NoKey::BadHost)?;
        return Ok(format!("[{address}]"));
    }
    // A fully qualified name may end in a dot; this cache takes the name with and without the dot for the same.
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if name.is_empty() || name.ends_with('.') || !name.bytes().all(is_allowed) {
        return Err(NoKey::BadHost);
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_site_has_one_spelling() {
        for (text, expected) in [
            ("http://a.test", "http://a.test"),
            ("HTTP://A.Test:80", "http://a.test"),
            ("http://a.test:080", "http://a.test"),
            ("http://a.test:", "http://a.test"),
            ("http://a.test.", "http://a.test"),
            ("http://a.test.:0081", "http://a.test:81"),
            ("https://a.test:443", "https://a.test"),
            ("https://a.test:80", "https://a.test:80"),
            ("http://[::0001]:80", "http://[::1]"),
            ("http://[2001:DB8::1]:81", "http://[2001:db8::1]:81"),
            ("http://10.0.0.1:65535", "http://10.0.0.1:65535"),
            ("http://_x~1.test", "http://_x~1.test"),
        ] {
            assert_eq!(site_of(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_refused() {
        for authority in [
            "",
            ".",
            "a..",
            "a:80a",
            "a:+80",
            "a:-1",
            "a:99999",
            "a:65536",
            "a: 80",
            "a:80:80",
            "u@a",
            "u:p@a",
            "a b",
            "a,b",
            "a/b",
            "%61",
            "a*",
            "[::1",
            "::1]",
            "[::1]80",
            "[::g]",
            "[fe80::1%25lo]",
            "[v1.x]",
            "[]",
            ":80",
        ] {
            assert_eq!(site_of(&format!("http://{authority}")), Err(NoKey::BadHost), "{authority:?}");
        }
        assert_eq!(site_of("a.test"), Err(NoKey::NoHost));
    }

    #[test]
    fn a_target_has_a_form_of_its_method() {
        let check = |method: Method, uri: &str| check_form(&method, &uri.parse().expect("a URI"));
        for (method, uri) in [
            (Method::GET, "/"),
            (Method::GET, "//a"),
            (Method::GET, "http://a.test?x"),
            (Method::GET, "http://a.test"),
            (Method::OPTIONS, "*"),
        ] {
            assert_eq!(check(method, uri), Ok(()), "{uri}");
        }
        for (method, uri) in [(Method::GET, "*"), (Method::POST, "*"), (Method::GET, "a.test:80"), (Method::GET, "x")] {
            assert_eq!(check(method, uri), Err(NoKey::BadTarget), "{uri}");
        }
    }
}
