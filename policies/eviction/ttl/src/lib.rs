//! `ttl`: the entry that expires soonest leaves first.
//!
//! The order of Redis's `volatile-ttl`. Good where lifetimes say how useful an entry still is; entries that never expire
//! leave last. O(log n) per arrival, 36 bytes per entry.

use sandbar_guest::eviction::priority::PriorityQueue;
use sandbar_guest::eviction::{Arrival, Replacement, Shard};
use sandbar_guest::settings::NoSettings;

/// The policy of one shard.
#[derive(Debug)]
pub struct Ttl {
    /// How often the policy was told of an expiry.
    told: u64,
}

/// By expiry in milliseconds since 1970, then in the order in which the policy was told of it.
type ByExpiry = PriorityQueue<(u64, u64)>;

impl Ttl {
    fn key(&mut self, expires_ms: u64) -> (u64, u64) {
        self.told += 1;
        (expires_ms, self.told)
    }
}

impl Replacement for Ttl {
    type Settings = NoSettings;
    type Entries = ByExpiry;

    fn configure(_: NoSettings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, ByExpiry), String> {
        Ok((Self { told: 0 }, ByExpiry::default()))
    }

    fn insert(&mut self, queue: &mut ByExpiry, arrival: &Arrival) {
        queue.push(arrival.slot, arrival.weight_bytes, self.key(arrival.expires_ms));
    }

    fn changed(&mut self, queue: &mut ByExpiry, slot: u32, expires_ms: u64) {
        queue.set_key(slot, self.key(expires_ms));
    }

    fn victim(&mut self, queue: &mut ByExpiry) -> Option<u32> {
        queue.min()
    }
}

sandbar_guest::export_eviction!(Shard<Ttl>);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_guest::eviction::{Eviction, NEVER_MS};

    #[test]
    fn what_expires_soonest_leaves_first() {
        let mut policy = Shard::<Ttl>::configure("", 3, 0).unwrap();
        let mut victims = vec![];
        for (slot, expires_ms) in [(0, NEVER_MS), (1, 50), (2, 40), (3, 60)] {
            policy.arrived(0, Arrival { slot, weight_bytes: 1, expires_ms, ..Arrival::default() }, &mut victims);
        }
        assert_eq!(victims, [2]);
        policy.changed(0, 1, 1, 70, &mut victims);
        assert_eq!(policy.order(None, 9), [3, 1, 0]);
    }
}
