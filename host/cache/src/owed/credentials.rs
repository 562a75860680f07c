//! Which fields of a request hold credentials, and who stands behind a write, as far as these say it.

use std::net::IpAddr;
use std::num::NonZeroU64;

use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION};
use http::{HeaderMap, HeaderName};
use sandbar_http::client::ShareKey;

/// The standard fields with credentials.
pub(super) const STANDARD: [HeaderName; 3] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION];
/// Parts of names of other fields that hold credentials.
const SECRET_PARTS: [&str; 6] = ["token", "secret", "api-key", "apikey", "auth", "session"];

/// Whether a field of this name may hold credentials.
pub(super) fn is_secret(name: &HeaderName) -> bool {
    STANDARD.contains(name) || SECRET_PARTS.iter().any(|part| name.as_str().contains(part))
}

/// Stands for who wrote something: the client's address and all that may be credentials. What one author may write, an origin may
/// refuse to another.
pub(super) fn author(client: Option<ShareKey>, fields: &HeaderMap) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hash_client(&mut hasher, client);
    // The order of the names says nothing; that of the lines of one field may.
    let mut names: Vec<&HeaderName> = fields.keys().filter(|name| is_secret(name)).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    for name in names {
        hash_part(&mut hasher, name.as_str().as_bytes());
        fields.get_all(name).iter().for_each(|value| hash_part(&mut hasher, value.as_bytes()));
        hash_part(&mut hasher, &[]);
    }
    first_of(&hasher)
}

/// Stands for a client whose share a write takes.
pub(super) fn holder(client: ShareKey) -> Option<NonZeroU64> {
    let mut hasher = blake3::Hasher::new();
    hash_client(&mut hasher, Some(client));
    NonZeroU64::new(first_of(&hasher))
}

fn hash_client(hasher: &mut blake3::Hasher, client: Option<ShareKey>) {
    match client {
        None => hash_part(hasher, b"nobody"),
        Some(ShareKey { address: Some(IpAddr::V4(address)), .. }) => hash_part(hasher, &address.octets()),
        Some(ShareKey { address: Some(IpAddr::V6(address)), .. }) => hash_part(hasher, &address.octets()),
        Some(ShareKey { connection, address: None }) => hash_part(hasher, &connection.to_le_bytes()),
    }
}

fn hash_part(hasher: &mut blake3::Hasher, part: &[u8]) {
    hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
}

fn first_of(hasher: &blake3::Hasher) -> u64 {
    let mut first = [0; 8];
    hasher.finalize_xof().fill(&mut first);
    u64::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_author_is_an_address_with_its_credentials_in_any_order() {
        let of = |address: [u8; 4], fields: &[(&'static str, &'static str)]| {
            let lines =
                fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            author(Some(ShareKey { connection: 7, address: Some(address.into()) }), &lines.collect())
        };
        let alice = of([192, 0, 2, 1], &[("authorization", "a"), ("x-api-key", "k"), ("traceparent", "1")]);
        assert_eq!(alice, of([192, 0, 2, 1], &[("traceparent", "2"), ("x-api-key", "k"), ("authorization", "a")]));
        for other in [
            of([192, 0, 2, 2], &[("authorization", "a"), ("x-api-key", "k")]),
            of([192, 0, 2, 1], &[("authorization", "b"), ("x-api-key", "k")]),
            of([192, 0, 2, 1], &[("authorization", "a")]),
            of([192, 0, 2, 1], &[("authorization", "a"), ("x-api-key", "k"), ("cookie", "c")]),
            of([192, 0, 2, 1], &[("authorization", "ax-api-keyk")]),
        ] {
            assert_ne!(alice, other);
        }
    }
}
