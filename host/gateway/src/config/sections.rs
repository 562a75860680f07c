//! The small sections of the settings: `[gateway]`, `[admin]`, `[l1]`, `[limits]` and `[log]`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use sandbar::setting::{Count, DAY, GIB, HOUR, KIB, MIB, MS, Size, Span};
use sandbar_http::client::TrustedProxies;
use serde::{Deserialize, Serialize};

use super::address::address;
use super::{AccessLogConfig, LogFilter, Secret, TlsConfig};

/// `[gateway]`: the listener for clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenConfig {
    /// The address for what comes without TLS, in HTTP/1.1 and HTTP/2. Default `127.0.0.1:8080`; port 0 takes a free one.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The scheme of what comes without TLS: `https` where a proxy in front of the gateway terminates TLS. It is part of
    /// every cache key; what comes over TLS has `https`.
    pub scheme: Scheme,
    /// The host that an HTTP/1.0 request without `Host` is taken to ask for, where a tenant has `*`. No tenant may have
    /// it by name. Default `no-host.invalid`.
    pub default_host: String,
    /// Whether interim responses of the origin (`103 Early Hints` and the like) are passed on to HTTP/1.1 clients.
    /// Default yes.
    pub interim_responses: bool,
    /// Proxies in front of the gateway, as IP addresses or networks: the address that they name in `Forwarded` or
    /// `X-Forwarded-For` is the client. Default none: the client is the peer of the connection.
    pub trusted_proxies: TrustedProxies,
    /// Proxies that pass connections of clients on, as IP addresses or networks: each connection from them begins with
    /// a header of the PROXY protocol, version 1 or 2, which names the client. Default none: no connection does.
    pub proxy_protocol_from: TrustedProxies,
    /// `[gateway.tls]`: the listener for clients that speak TLS. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// `http`.
    #[default]
    Http,
    /// `https`.
    Https,
}

impl Scheme {
    /// The scheme as the type of the `http` crate.
    pub fn to_uri(self) -> http::uri::Scheme {
        match self {
            Self::Http => http::uri::Scheme::HTTP,
            Self::Https => http::uri::Scheme::HTTPS,
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            scheme: Scheme::Http,
            default_host: "no-host.invalid".to_owned(),
            interim_responses: true,
            trusted_proxies: TrustedProxies::default(),
            proxy_protocol_from: TrustedProxies::default(),
            tls: None,
        }
    }
}

/// `[admin]`: the listener for operators, with the admin API, the metrics and the dashboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminConfig {
    /// Whether there is an admin listener at all. Default yes.
    pub enabled: bool,
    /// The address. Default `127.0.0.1:8081`. Beyond loopback a token is required.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The bearer token. Better kept in a file or in the environment (`SANDBAR_ADMIN_TOKEN`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// A file that holds the token and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// How many tenants `/metrics` names, those with the most requests first; all others are summed. Default 100.
    pub metrics_tenants_max: Count<0, 100_000>,
    /// `[admin.tls]`: the listener for operators that speak TLS. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: (Ipv4Addr::LOCALHOST, 8081).into(),
            token: None,
            token_file: None,
            metrics_tenants_max: Count::of(100),
            tls: None,
        }
    }
}

/// `[l1]`: the tier in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct L1Config {
    /// What the shares of all tenants may add up to; what they leave is for the tenants without a share. Default 1 GiB.
    pub total: Size<{ 64 * KIB }, { 1 << 50 }>,
}

impl Default for L1Config {
    fn default() -> Self {
        Self { total: Size::of(GIB) }
    }
}

/// `[limits]`: what clients may use up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Open connections of clients; further ones wait to be accepted. Default 8192.
    pub connections_max: Count<1, 1_000_000>,
    /// Size of a request's head. Default 64 KiB.
    pub head_max: Size<{ 8 * KIB }, { 16 * MIB }>,
    /// Number of fields of a request. Default 128.
    pub fields_max: Count<16, 10_000>,
    /// Time for a request's head, and for the first bytes of a connection. Default 10 s.
    pub head_deadline: Span<MS, HOUR>,
    /// Requests under way on one HTTP/2 connection. Default 200.
    pub streams_max: Count<1, 1_000_000>,
    /// Size of the content of one request to the admin API. Default 16 MiB.
    pub admin_body_max: Size<KIB, { 4 * GIB }>,
    /// Time for requests under way when the gateway is stopped. Default 30 s.
    pub grace: Span<0, DAY>,
    /// Time for a new process to get ready to take this one's place. Default 5 minutes.
    pub upgrade_deadline: Span<MS, HOUR>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections_max: Count::of(8192),
            head_max: Size::of(64 * KIB),
            fields_max: Count::of(128),
            head_deadline: Span::of(Duration::from_secs(10)),
            streams_max: Count::of(200),
            admin_body_max: Size::of(16 * MIB),
            grace: Span::of(Duration::from_secs(30)),
            upgrade_deadline: Span::of(Duration::from_secs(300)),
        }
    }
}

/// `[log]`: the log, on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// The filter: `info`, `debug`, `sandbar=debug,warn`. `--log` and the environment's `SANDBAR_LOG` take precedence.
    pub level: LogFilter,
    /// How lines are written.
    pub format: LogFormat,
    /// `[log.access]`: a line for each request, in a log of its own. `true` is short for a table with its defaults.
    pub access: AccessLogConfig,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
