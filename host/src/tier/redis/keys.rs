//! How keys in Redis are called. `{…}` is the hash tag: what is between the braces decides a Cluster's slot.
//!
//! | key | what | lives |
//! |---|---|---|
//! | `sandbar:{tenant}:e:<hash>` | an entry | its own time |
//! | `sandbar:{tenant}:f:<hash>` | the highest lease token that stored the entry | 15 min |
//! | `sandbar:{tenant}:l:<hash>` | a lease: token, holder, whether anybody waits | its own time |
//! | `sandbar:{tenant}:seq` | the highest purge sequence given out | for ever |
//! | `sandbar:{tenant}:barriers` | sorted set: purge → sequence | the longest lifetime |
//! | `sandbar:{tenant}:raised` | sorted set: purge → when, in ms | the longest lifetime |
//!
//! On a Cluster an entry is `sandbar:e:tenant:<hash>`, without a tag, so that one tenant's entries spread over all
//! servers; what the store script compares on a single server is then compared on reads alone.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::key::KeyHash;

/// What a tenant's name may hold as it is. Braces are not among it: they would move the hash tag.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A tenant's name as it stands in keys.
pub(crate) fn escaped(tenant: &str) -> String {
    utf8_percent_encode(tenant, PLAIN).to_string()
}

/// An entry's key.
pub(crate) fn entry(tenant: &str, hash: KeyHash, spread: bool) -> String {
    let tenant = escaped(tenant);
    if spread {
        format!("sandbar:e:{tenant}:{:032x}", hash.0)
    } else {
        format!("sandbar:{{{tenant}}}:e:{:032x}", hash.0)
    }
}

/// A control key of a tenant.
pub(crate) fn control(tenant: &str, name: &str) -> String {
    format!("sandbar:{{{}}}:{name}", escaped(tenant))
}

/// A control key of one entry.
pub(crate) fn hashed(tenant: &str, name: &str, hash: KeyHash) -> String {
    format!("sandbar:{{{}}}:{name}:{:032x}", escaped(tenant), hash.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_can_not_move_the_hash_tag_nor_reach_anothers_keys() {
        assert_eq!(entry("shop", KeyHash(255), false), "sandbar:{shop}:e:000000000000000000000000000000ff");
        assert_eq!(entry("shop", KeyHash(255), true), "sandbar:e:shop:000000000000000000000000000000ff");
        assert_eq!(control("a}b:{c", "seq"), "sandbar:{a%7Db%3A%7Bc}:seq");
    }
}
