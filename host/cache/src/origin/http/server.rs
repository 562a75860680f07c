//! One server of an origin, as its settings name it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use http::uri::Authority;
use sandbar_http::key::site_of;

use super::url::{leads_to, without_password};

/// Where a server of an origin is reached; in text `10.0.0.1:8080`, `[2001:db8::1]:8080`, `app-1.internal` or
/// `unix:/run/app.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Server {
    /// At an IP address, or at all addresses that a name leads to.
    Host {
        /// The address or the name; an IPv6 address without its brackets.
        host: String,
        /// The port; that of the origin's URL where none is named.
        port: Option<u16>,
    },
    /// At a Unix socket, which has this absolute path.
    Socket(PathBuf),
}

/// The longest path that the address of a Unix socket can hold.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Why a text names no server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} names no server: {reason}; write a host and, if it is not the URL's, a port, such as 10.0.0.1:8080, or a \
     socket, such as unix:/run/app.sock"
)]
pub struct BadServer {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Server {
    /// Whether the server is at an address that this machine listens at; `port` is the one of the origin's URL.
    pub(super) fn is_at(&self, address: SocketAddr, url_port: u16) -> bool {
        match self {
            Self::Host { host, port } => leads_to(host, port.unwrap_or(url_port), address),
            Self::Socket(_) => false,
        }
    }

    fn socket(path: &str) -> Result<Self, &'static str> {
        if !path.starts_with('/') || path.starts_with("//") || path.ends_with('/') {
            return Err("the path of a socket is absolute, and no directory");
        }
        if path.len() > SOCKET_PATH_BYTES_MAX || path.contains('\0') {
            return Err("no socket can have that path: 107 bytes at most, and no byte of 0");
        }
        Ok(Self::Socket(path.into()))
    }
}

impl FromStr for Server {
    type Err = BadServer;

    fn from_str(text: &str) -> Result<Self, BadServer> {
        let shown = without_password(text);
        let bad = |reason| BadServer { text: shown.clone(), reason };
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::socket(path).map_err(bad);
        }
        if text.contains("://") {
            return Err(bad("it is a URL, and the origin's own says how servers are asked"));
        }
        if text.contains('@') {
            return Err(bad("it holds a user name, which is not sent"));
        }
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Err(bad("an IPv6 address is written in brackets"));
        }
        let authority = text.parse::<Authority>().map_err(|_| bad("it is no host and no port"))?;
        if site_of(&format!("http://{authority}")).is_err() || authority.port_u16() == Some(0) {
            return Err(bad("it is no host and no port"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self::Host { host, port: authority.port_u16() })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port } => {
                if host.contains(':') {
                    write!(f, "[{host}]")?
                } else {
                    f.write_str(host)?
                }
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

sandbar_base::serde_as_text!(Server);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_taken_or_refused_with_the_reason() {
        let hosts = ["10.0.0.1:8080", "10.0.0.1", "[2001:db8::1]:8080", "[::1]", "app-1.internal", "app:81"];
        for text in hosts.into_iter().chain(["unix:/run/app.sock"]) {
            assert_eq!(text.parse::<Server>().map(|server| server.to_string()), Ok(text.to_owned()));
        }
        for (text, reason) in [
            ("http://10.0.0.1", "it is a URL"),
            ("::1", "in brackets"),
            ("u:secret@h", "user name"),
            ("", "no host"),
            ("a b", "no host"),
            ("a:0", "no host"),
            ("a:99999", "no host"),
            ("a/b", "no host"),
            ("unix:app.sock", "absolute"),
            ("unix:///run/app.sock", "absolute"),
            ("unix:/run/", "no directory"),
            (&format!("unix:/{}", "x".repeat(107)), "107 bytes"),
        ] {
            let error = text.parse::<Server>().expect_err(text).to_string();
            assert!(error.contains(reason) && error.contains("; write") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_server_without_a_port_has_the_one_of_the_url() {
        let listened = "127.0.0.1:8080".parse().expect("an address");
        let at = |text: &str, port| text.parse::<Server>().expect("a server").is_at(listened, port);
        assert!(at("127.0.0.1", 8080) && at("localhost:8080", 80) && !at("127.0.0.1:81", 8080));
    }
}
