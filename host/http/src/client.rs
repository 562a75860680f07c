//! The client of a request: the connection that the request came on, and the client's address.
//!
//! Bounded resources (places at an origin, windows, spools) are divided among clients by the [`Client`]. The gateway
//! sets it on each request as an extension; an embedder may do so too. A request without it is charged to no client:
//!
//! ```
//! use sandbar_http::client::Client;
//!
//! // Once per connection that is accepted,
//! let connection = Client::next_connection();
//! // and on each of its requests.
//! let mut request = http::Request::get("http://shop.example/").body(())?;
//! request.extensions_mut().insert(Client::new(connection, "192.0.2.7".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod forwarded;
mod network;
pub mod proxy_header;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;

pub use self::network::{BadNetwork, Network, TrustedProxies};

/// The client that sent a request: an extension of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    connection: u64,
    address: IpAddr,
    share: ShareKey,
}

/// The key by which a client's share of a resource is counted. A resource is divided fairly between addresses first,
/// and then between the connections of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareKey {
    /// The number of the connection, unique in the process.
    pub connection: u64,
    /// The address; of an IPv6 address the first 64 bits, as a client that has one address of a /64 has all of them
    /// (RFC 6177). None where several clients are behind a proxy that did not say which of them sent the request.
    pub address: Option<IpAddr>,
}

impl Client {
    /// A client with an address of its own. `connection` is unique among those of the process.
    pub fn new(connection: u64, address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { connection, address, share: ShareKey { connection, address: Some(shared_prefix(address)) } }
    }

    /// One of several clients behind a proxy that did not say which of them sent the request.
    pub fn behind(connection: u64, proxy: IpAddr) -> Self {
        Self { share: ShareKey { connection, address: None }, ..Self::new(connection, proxy) }
    }

    /// The client that a request comes from: the peer of its connection or, where the peer is a trusted proxy, the
    /// address that `Forwarded` (RFC 7239) or `X-Forwarded-For` names: the right-most one that is not a trusted proxy
    /// too.
    ///
    /// Where these fields are malformed, or contradict each other, the peer itself counts as the client.
    pub fn seen(connection: u64, peer: IpAddr, fields: &HeaderMap, trusted: &TrustedProxies) -> Self {
        use forwarded::Told;
        if !trusted.contains(peer) {
            return Self::new(connection, peer);
        }
        match forwarded::told(fields, trusted) {
            Told::Address(address) => Self::new(connection, address),
            Told::Nothing => Self::behind(connection, peer),
            Told::Nonsense => Self::new(connection, peer),
        }
    }

    /// The number for a new connection: no other connection of this process has it.
    pub fn next_connection() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// The number of the connection that the request came on.
    pub const fn connection(&self) -> u64 {
        self.connection
    }

    /// The address of the client, or of the proxy in front of it where the proxy does not name the client. An
    /// IPv4-mapped IPv6 address is given as the IPv4 address.
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The key by which this client's share of a resource is counted.
    pub const fn share_key(&self) -> ShareKey {
        self.share
    }
}

/// An IPv4 address as it is, or the /64 of an IPv6 address.
fn shared_prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn trusted() -> TrustedProxies {
        ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network")).into_iter().collect()
    }

    /// The address of the client of a request with these field lines, and whether its share is counted by that address.
    fn seen(peer: &str, lines: &[(&'static str, &str)]) -> (String, bool) {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).expect("a field value"));
        }
        let client = Client::seen(1, address(peer), &fields, &trusted());
        (client.address().to_string(), client.share_key().address.is_some())
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
        let lines = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")];
        assert_eq!(seen("192.0.2.1", &lines), ("192.0.2.1".into(), true));
        assert_eq!(seen("::ffff:192.0.2.1", &[]), ("192.0.2.1".into(), true), "one address, one spelling");
    }

    #[test]
    fn of_a_chain_the_right_most_that_is_not_trusted_is_the_client() {
        for (name, value, expected) in [
            ("x-forwarded-for", "198.51.100.9", "198.51.100.9"),
            ("x-forwarded-for", "203.0.113.5, 198.51.100.9, 10.2.3.4", "198.51.100.9"),
            ("x-forwarded-for", "garbage , 198.51.100.9:4711 ,, 10.2.3.4", "198.51.100.9"),
            ("x-forwarded-for", "2001:db8::1", "2001:db8::1"),
            ("x-forwarded-for", "[2001:db8::1]:80", "2001:db8::1"),
            ("x-forwarded-for", "::ffff:198.51.100.9", "198.51.100.9"),
            ("x-forwarded-for", "10.9.9.9, 10.2.3.4", "10.9.9.9"),
            ("forwarded", "for=198.51.100.9", "198.51.100.9"),
            ("forwarded", "proto=https;For=\"198.51.100.9:80\";by=10.0.0.1", "198.51.100.9"),
            (
                "forwarded",
                "for=203.0.113.5;host=\"a,b;for=1.1.1.1\", for=\"[2001:db8::1]:4711\", for=10.1.1.1",
                "2001:db8::1",
            ),
        ] {
            assert_eq!(seen(PROXY, &[(name, value)]), (expected.into(), true), "{name}: {value}");
        }
        let lines =
            [("x-forwarded-for", "203.0.113.5"), ("x-forwarded-for", "198.51.100.9"), ("x-forwarded-for", "10.0.0.7")];
        assert_eq!(seen(PROXY, &lines), ("198.51.100.9".into(), true), "lines make one list");
        assert_eq!(seen("fd00::1", &lines[..1]), ("203.0.113.5".into(), true));
    }

    #[test]
    fn who_is_not_named_counts_by_connection_alone() {
        for lines in [
            &[][..],
            &[("x-forwarded-for", "")],
            &[("x-forwarded-for", "203.0.113.5, unknown")],
            &[("forwarded", "for=_hidden, for=10.0.0.2")],
            &[("forwarded", "proto=https")],
        ] {
            assert_eq!(seen(PROXY, lines), (PROXY.into(), false), "{lines:?}");
        }
    }

    #[test]
    fn nonsense_is_the_peer() {
        for lines in [
            &[("x-forwarded-for", "198.51.100.9, 1.2.3")][..],
            &[("x-forwarded-for", "198.51.100.9:port")],
            &[("x-forwarded-for", "198.51.100.9\u{e9}")],
            &[("forwarded", "for=\"198.51.100.9")],
            &[("forwarded", "for=198.51.100.9;for=198.51.100.8")],
            &[("forwarded", "for=2001:db8::1")],
            &[("forwarded", "198.51.100.9")],
            &[("forwarded", "for=\"198.51.100.9\"x")],
            &[("forwarded", "for=198.51.100.9"), ("x-forwarded-for", "198.51.100.8")],
        ] {
            assert_eq!(seen(PROXY, lines), (PROXY.into(), true), "{lines:?}");
        }
        let agreed = [("forwarded", "for=198.51.100.9"), ("x-forwarded-for", "198.51.100.9")];
        assert_eq!(seen(PROXY, &agreed), ("198.51.100.9".into(), true));
    }

    #[test]
    fn whoever_has_a_64_has_one_share() {
        let key = |connection, text| Client::new(connection, address(text)).share_key();
        assert_eq!(key(1, "2001:db8::1").address, key(2, "2001:db8::2:3:4:5").address);
        assert_ne!(key(1, "2001:db8::1").address, key(1, "2001:db8:0:1::1").address);
        assert_ne!(key(1, "192.0.2.1").address, key(1, "192.0.2.2").address);
        assert_ne!(key(1, "192.0.2.1"), key(2, "192.0.2.1"), "connections of one address are told apart");
    }

    #[test]
    fn connections_have_numbers_of_their_own() {
        assert_ne!(Client::next_connection(), Client::next_connection());
    }
}
