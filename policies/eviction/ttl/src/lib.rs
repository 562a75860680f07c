//! `ttl`: the entry that expires soonest leaves first.
//!
//! The order of Redis's `volatile-ttl`. Good where lifetimes say how useful an entry still is; entries that never expire
//! leave last. O(log n) per arrival, 36 bytes per entry.

use sandbar_guest::eviction::heap::Heap;
use sandbar_guest::eviction::{Arrival, Departure, Eviction};
use serde::Deserialize;

/// There is nothing to set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The policy of one shard.
#[derive(Debug)]
pub struct Ttl {
    /// By expiry, then in order of arrival.
    entries: Heap<(u64, u64)>,
    weights: Vec<u64>,
    bytes: u64,
    arrivals: u64,
    capacity_bytes: u64,
}

impl Ttl {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.bytes > bytes {
            let Some((slot, _)) = self.entries.min() else { break };
            self.remove(slot);
            victims.push(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        if self.entries.remove(slot).is_some() {
            self.bytes -= self.weights[slot as usize];
        }
    }

    fn push(&mut self, slot: u32, weight_bytes: u64, expires_ms: u64) {
        if slot as usize >= self.weights.len() {
            self.weights.resize(slot as usize + 1, 0);
        }
        self.weights[slot as usize] = weight_bytes;
        self.bytes += weight_bytes;
        self.arrivals += 1;
        self.entries.set(slot, (expires_ms, self.arrivals));
    }
}

impl Eviction for Ttl {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let Settings {} = sandbar_guest::settings::parse(settings)?;
        Ok(Self { entries: Heap::default(), weights: vec![], bytes: 0, arrivals: 0, capacity_bytes })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, _slot: u32) {}

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        self.remove(arrival.slot);
        if arrival.weight_bytes > self.capacity_bytes {
            return victims.push(arrival.slot);
        }
        self.evict_down_to(self.capacity_bytes - arrival.weight_bytes, victims);
        self.push(arrival.slot, arrival.weight_bytes, arrival.expires_ms);
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, expires_ms: u64, victims: &mut Vec<u32>) {
        if self.entries.key(slot).is_some() {
            self.remove(slot);
            self.push(slot, weight_bytes, expires_ms);
            self.evict_down_to(self.capacity_bytes, victims);
        }
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        self.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.bytes.saturating_sub(bytes), victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        self.entries.order(after, limit)
    }
}

sandbar_guest::export_eviction!(Ttl);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_guest::eviction::NEVER_MS;

    #[test]
    fn what_expires_soonest_leaves_first() {
        let mut policy = Ttl::configure("", 3, 0).unwrap();
        let mut victims = vec![];
        for (slot, expires_ms) in [(0, NEVER_MS), (1, 50), (2, 40), (3, 60)] {
            policy.arrived(0, Arrival { slot, weight_bytes: 1, expires_ms, ..Arrival::default() }, &mut victims);
        }
        assert_eq!(victims, [2]);
        policy.changed(0, 1, 1, 70, &mut victims);
        assert_eq!(policy.order(None, 9), [3, 1, 0]);
    }
}
