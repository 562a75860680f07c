//! Which server has a key: the one with the highest score for it (rendezvous hashing), so that a server more or less moves
//! that server's keys alone.
//!
//! A server's score follows from its address as the settings write it and the key's hash. All nodes have to write the
//! addresses alike; their order does not matter. A server that is down is not stood in for: were another to take its keys, the
//! first would come back with what was replaced meanwhile.

use sandbar_http::key::KeyHash;

/// The seeds of the servers' scores, in the order of the servers.
#[derive(Debug)]
pub(super) struct Ring {
    seeds: Vec<u64>,
}

impl Ring {
    pub(super) fn new<'a>(addresses: impl IntoIterator<Item = &'a str>) -> Self {
        let seed = |address: &str| {
            let hash = blake3::hash(address.as_bytes());
            u64::from_le_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
        };
        Self { seeds: addresses.into_iter().map(seed).collect() }
    }

    /// The position of the server that has a key; 0 where there is only one.
    pub(super) fn server_of(&self, key: KeyHash) -> usize {
        #[expect(clippy::cast_possible_truncation, reason = "both halves of the hash are used")]
        let folded = (key.0 as u64) ^ ((key.0 >> 64) as u64);
        let scores = self.seeds.iter().map(|seed| mixed(seed ^ folded)).enumerate();
        scores.max_by_key(|(_, score)| *score).map_or(0, |(position, _)| position)
    }
}

/// The finaliser of SplitMix64: each bit of the input changes half of the output's.
const fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use sandbar_http::key::CacheKey;

    use super::*;

    const SERVERS: [&str; 4] = ["a:1", "b:1", "c:1", "d:1"];
    const KEYS: usize = 10_000;

    fn places(servers: &[&'static str]) -> Vec<&'static str> {
        let ring = Ring::new(servers.iter().copied());
        let key = |n: usize| CacheKey::new("shop", "https://example.org", &format!("/{n}")).hash();
        (0..KEYS).map(|n| servers[ring.server_of(key(n))]).collect()
    }

    #[test]
    fn keys_are_spread_evenly_and_the_order_of_the_servers_does_not_matter() {
        let before = places(&SERVERS);
        for server in SERVERS {
            let count = before.iter().filter(|place| **place == server).count();
            assert!((KEYS / 4 * 9 / 10..=KEYS / 4 * 11 / 10).contains(&count), "{server}: {count}");
        }
        assert_eq!(places(&["d:1", "b:1", "a:1", "c:1"]), before);
    }

    #[test]
    fn a_server_less_moves_its_own_keys_alone() {
        let moved = places(&SERVERS).into_iter().zip(places(&SERVERS[..3])).filter(|(from, to)| from != to);
        assert!(moved.into_iter().all(|(from, _)| from == "d:1"));
    }
}
