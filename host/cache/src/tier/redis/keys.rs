//! The names of keys in Redis. `{…}` is the hash tag: what is between the braces decides a Cluster's slot.
//!
//! | key | what | lives |
//! |---|---|---|
//! | `sandbar:{tenant}:e:<hash>` | an entry | its own time |
//! | `sandbar:{tenant}:f:<hash>` | the highest lease token that stored the entry | 15 min |
//! | `sandbar:{tenant}:v:<hash>` | the newest version stored, its purge sequence and tag | the entry's time and 15 min |
//! | `sandbar:{tenant}:l:<hash>` | a lease: token, purge sequence, whether anybody waits | its own time |
//! | `sandbar:{tenant}:seq` | the highest purge sequence given out | for ever; once the tenant is removed, as long as an entry may live |
//! | `sandbar:{tenant}:barriers` | sorted set: purge → sequence | the same; members as long as an entry may live |
//! | `sandbar:{tenant}:raised` | sorted set: purge → when, in ms | the same |
//!
//! On a Cluster an entry is `sandbar:e:tenant:<hash>`, without a tag, so that one tenant's entries spread over all
//! servers, and its fence and version are `sandbar:{sandbar:e:tenant:<hash>}:f` and `:v`, which are in the same slot.
//! The tenant's sequence is in another slot, so the store script can't compare an entry with it: only reads do.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use sandbar_http::key::KeyHash;

/// The characters of a tenant's name that are not escaped. Braces are: they would move the hash tag.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// Bytes that a key takes beside the tenant's name, about.
const KEY_BYTES: usize = 64;

/// A tenant's name as it stands in keys.
pub(crate) fn escaped(tenant: &str) -> String {
    utf8_percent_encode(tenant, PLAIN).to_string()
}

/// The Redis key of an entry; `spread` on a Cluster.
pub(crate) fn entry(tenant: &str, hash: KeyHash, spread: bool) -> String {
    if !spread {
        return hashed(tenant, "e", hash);
    }
    let mut key = String::with_capacity(tenant.len() + KEY_BYTES);
    key.push_str("sandbar:e:");
    key.extend(utf8_percent_encode(tenant, PLAIN));
    key.push(':');
    push_hash(&mut key, hash);
    key
}

/// The key of an entry's fence (`f`) or version (`v`), which is always in the entry's slot.
pub(crate) fn guard(name: &str, tenant: &str, hash: KeyHash, spread: bool) -> String {
    if spread { format!("sandbar:{{{}}}:{name}", entry(tenant, hash, true)) } else { hashed(tenant, name, hash) }
}

/// A key of a tenant, such as its `seq`.
pub(crate) fn control(tenant: &str, name: &str) -> String {
    let mut key = String::with_capacity(tenant.len() + KEY_BYTES);
    key.push_str("sandbar:{");
    key.extend(utf8_percent_encode(tenant, PLAIN));
    key.push_str("}:");
    key.push_str(name);
    key
}

/// A key of one entry, with the tenant as hash tag.
pub(crate) fn hashed(tenant: &str, name: &str, hash: KeyHash) -> String {
    let mut key = control(tenant, name);
    key.push(':');
    push_hash(&mut key, hash);
    key
}

/// 32 hexadecimal digits. Every read makes one, and formatting would be half of what making a key costs.
fn push_hash(key: &mut String, hash: KeyHash) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in hash.0.to_be_bytes() {
        key.push(char::from(DIGITS[usize::from(byte >> 4)]));
        key.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_can_not_move_the_hash_tag_nor_reach_anothers_keys() {
        assert_eq!(entry("shop", KeyHash(255), false), "sandbar:{shop}:e:000000000000000000000000000000ff");
        assert_eq!(entry("shop", KeyHash(255), true), "sandbar:e:shop:000000000000000000000000000000ff");
        assert_eq!(control("a}b:{c", "seq"), "sandbar:{a%7Db%3A%7Bc}:seq");
        assert_eq!(
            guard("f", "shop", KeyHash(255), true),
            "sandbar:{sandbar:e:shop:000000000000000000000000000000ff}:f"
        );
    }
}
