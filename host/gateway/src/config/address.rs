//! Addresses to listen at, as settings and flags write them.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer};

/// Reads an address to listen at.
///
/// # Errors
/// With a sentence, where `text` is not an IP address and a port.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is not an address to listen at; write an IP address and a port, such as 127.0.0.1:8080 or [::]:8080")
    })
}

/// [`parse_address`] for use in `deserialize_with`.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse_address(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}
