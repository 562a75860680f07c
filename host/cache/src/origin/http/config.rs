//! Settings of an HTTP origin.

mod eject;
mod health_check;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::eject::EjectConfig;
pub use self::health_check::{BadCheck, CheckPath, HealthCheckConfig, StatusRange};
use super::server::Server;
use super::url::OriginUrl;
use crate::setting::{Count, DAY, HOUR, Key, MS, SECOND, Span};

/// Servers that an origin may have, and addresses that they may have together.
pub(super) const ADDRESSES_MAX: usize = 256;

/// Settings of an HTTP origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OriginConfig {
    /// The origin's URL: `http://` or `https://`, a host, and optionally a path that all requests begin with.
    pub url: OriginUrl,
    /// Where the origin is reached, over TCP or Unix sockets, if not at the host of its URL: that stays what TLS
    /// certificates are for. Requests are spread over all addresses of all servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// After how long a name that leads to the origin is resolved again. Default 30 s.
    #[serde(default = "defaults::dns_renew")]
    pub dns_renew: Span<SECOND, DAY>,
    /// `[tenant.origin.eject]`: when one of several addresses is left out for a while.
    #[serde(default)]
    pub eject: EjectConfig,
    /// `[tenant.origin.health_check]`: checks of the addresses beside the traffic. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckConfig>,
    /// Which version of HTTP the origin is asked in. Default: as TLS negotiates, HTTP/1.1 without TLS.
    #[serde(default)]
    pub http: Protocol,
    /// Which host name the origin is asked for. Default: the one that the client asked for.
    #[serde(default)]
    pub host_header: HostHeader,
    /// TCP and TLS may take this long, over all addresses that are tried; the resolver as long again, where a request has to
    /// wait for it. Default 3 s.
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
    /// PEM file with the certificate that the origin is shown, and those between it and one that the origin trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the private key of that certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_key_file: Option<PathBuf>,
}

mod defaults {
    use std::time::Duration;

    use crate::setting::{Count, DAY, HOUR, MS, SECOND, Span};

    pub(super) const fn dns_renew() -> Span<SECOND, DAY> {
        Span::of(Duration::from_secs(30))
    }
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
            servers: Vec::new(),
            dns_renew: defaults::dns_renew(),
            eject: EjectConfig::DEFAULT,
            health_check: None,
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

    /// Whether an origin of these settings reads files, which may change where the settings do not.
    #[doc(hidden)]
    pub const fn names_files(&self) -> bool {
        self.tls_ca_file.is_some() || self.tls_cert_file.is_some()
    }

    /// Whether requests to the origin would come to an address that this machine listens at. Names other than
    /// `localhost` are not resolved: they are taken to lead elsewhere.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        if self.servers.is_empty() {
            return self.url.is_at(address);
        }
        self.servers.iter().any(|server| server.is_at(address, self.url.port()))
    }

    /// Checks the settings against each other.
    ///
    /// # Errors
    /// The first setting that can't work: its key, its value, why, and what to do.
    pub fn check(&self) -> Result<(), (Key, String, &'static str, &'static str)> {
        if self.servers.len() > ADDRESSES_MAX {
            let (reason, remedy) = ("there are more than 256", "name a balancer in front of them, or fewer");
            return Err((Key::from("servers"), self.servers.len().to_string(), reason, remedy));
        }
        let twice = |(at, server): &(usize, &Server)| self.servers[..*at].contains(server);
        if let Some((at, server)) = self.servers.iter().enumerate().find(twice) {
            let (reason, remedy) = ("it is named twice", "leave one of them out");
            return Err((Key::from("servers").at(at), format!("\"{server}\""), reason, remedy));
        }
        let identity = [("tls_cert_file", &self.tls_cert_file), ("tls_key_file", &self.tls_key_file)];
        for ((key, file), (_, other)) in identity.into_iter().zip(identity.into_iter().rev()) {
            let Some(file) = file else { continue };
            let why = match (other, self.url.is_https()) {
                (None, _) => ("a certificate and its key go together", "name the file of the other too"),
                (_, false) => {
                    ("the URL is http, where no certificate is shown", "write https in the URL, or leave it out")
                }
                _ => continue,
            };
            return Err((Key::from(key), format!("{file:?}"), why.0, why.1));
        }
        if self.eject.pause_max < self.eject.pause {
            let (reason, remedy) = ("it is shorter than eject.pause", "set eject.pause or more");
            return Err((Key::from("eject.pause_max"), format!("\"{}\"", self.eject.pause_max), reason, remedy));
        }
        if let Some(check) = self.health_check.as_ref().filter(|check| check.timeout.get() > check.interval.get()) {
            let (reason, remedy) = ("it is longer than health_check.interval", "set health_check.interval or less");
            return Err((Key::from("health_check.timeout"), format!("\"{}\"", check.timeout), reason, remedy));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
