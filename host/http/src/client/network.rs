//! Networks, and the proxies that are trusted to name their clients.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A network: all addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text can't be read as a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no network: {reason}; write an IP address such as 192.0.2.7, or a network such as 10.0.0.0/8 or fd00::/8"
)]
pub struct BadNetwork {
    text: String,
    reason: &'static str,
}

impl Network {
    /// Whether `address` belongs to this network. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(address)) => {
                same_bits(own.to_bits().into(), address.to_bits().into(), 32 - u32::from(self.prefix))
            }
            (IpAddr::V6(own), IpAddr::V6(address)) => {
                same_bits(own.to_bits(), address.to_bits(), 128 - u32::from(self.prefix))
            }
            _ => false,
        }
    }
}

/// Whether two addresses are equal apart from their last `ignored` bits.
fn same_bits(one: u128, other: u128, ignored: u32) -> bool {
    (one ^ other).checked_shr(ignored).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = |reason| BadNetwork { text: text.into(), reason };
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| bad("it does not begin with an IP address"))?;
        let prefix_max = if address.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = match prefix {
            None => prefix_max,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= prefix_max)
                .ok_or_else(|| bad("its prefix is too long"))?,
            Some(_) => return Err(bad("its prefix is no number")),
        };
        let network = match (address.to_canonical(), address) {
            // The first 96 bits of an IPv4-mapped address are the mapping prefix (`::ffff:0:0/96`).
            (canonical @ IpAddr::V4(_), IpAddr::V6(_)) => {
                let prefix = prefix.checked_sub(96).ok_or_else(|| bad("it holds more than IPv4 addresses"))?;
                Self { address: canonical, prefix }
            }
            _ => Self { address, prefix },
        };
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

sandbar_base::serde_as_text!(Network);

/// Networks of the proxies that are trusted to name their clients. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Whether an address is that of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl FromIterator<Network> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses() {
        for (network, address, holds) in [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("10.1.2.3/8", "10.9.9.9", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.7", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::ffff:10.0.0.0/104", "10.2.3.4", true),
            ("::1", "::1", true),
        ] {
            let parsed: Network = network.parse().expect("a network");
            assert_eq!(parsed.contains(address.parse().expect("an address")), holds, "{network} and {address}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed), "{network} can be written and read");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_would_be_right() {
        for (text, reason) in [
            ("proxy.example", "does not begin with an IP address"),
            ("10.0.0.0/33", "prefix is too long"),
            ("10.0.0.0/", "prefix is too long"),
            ("10.0.0.0/+8", "prefix is no number"),
            ("::ffff:10.0.0.0/8", "more than IPv4"),
            ("", "does not begin with an IP address"),
        ] {
            let error = text.parse::<Network>().expect_err(text).to_string();
            assert!(error.contains(reason) && error.contains("10.0.0.0/8"), "{error}");
        }
    }
}
