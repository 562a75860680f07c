//! `random`: any entry leaves, each as likely as another.
//!
//! L. A. Belady: A study of replacement algorithms for a virtual-storage computer. IBM Systems Journal 5(2), 1966.
//!
//! The yardstick of what knowing nothing costs. 16 bytes per slot.

use sandbar_guest::eviction::random::Random;
use sandbar_guest::eviction::{Arrival, Departure, Eviction};
use serde::Deserialize;

/// There is nothing to set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {}

/// The policy of one shard. (It is not called `Random` because that is what it draws from.)
#[derive(Debug)]
pub struct AnyOne {
    /// Slots and weights, without gaps.
    entries: Vec<(u32, u64)>,
    /// Where in `entries` a slot is.
    places: Vec<u32>,
    bytes: u64,
    capacity_bytes: u64,
    random: Random,
}

const NIL: u32 = u32::MAX;

impl AnyOne {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.bytes > bytes && !self.entries.is_empty() {
            let (slot, _) = self.entries[self.random.below(self.entries.len() as u64) as usize];
            self.remove(slot);
            victims.push(slot);
        }
    }

    fn place(&self, slot: u32) -> Option<usize> {
        let place = *self.places.get(slot as usize)?;
        (place != NIL).then_some(place as usize)
    }

    fn remove(&mut self, slot: u32) {
        let Some(place) = self.place(slot) else { return };
        let (_, weight_bytes) = self.entries.swap_remove(place);
        self.bytes -= weight_bytes;
        self.places[slot as usize] = NIL;
        if let Some((moved, _)) = self.entries.get(place) {
            self.places[*moved as usize] = place as u32;
        }
    }
}

impl Eviction for AnyOne {
    fn configure(settings: &str, capacity_bytes: u64, seed: u64) -> Result<Self, String> {
        let Settings {} = sandbar_guest::settings::parse(settings)?;
        Ok(Self { entries: vec![], places: vec![], bytes: 0, capacity_bytes, random: Random::new(seed) })
    }

    #[inline]
    fn touched(&mut self, _now_ms: u64, _slot: u32) {}

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, weight_bytes, .. } = arrival;
        self.remove(slot);
        if weight_bytes > self.capacity_bytes {
            return victims.push(slot);
        }
        self.evict_down_to(self.capacity_bytes - weight_bytes, victims);
        if slot as usize >= self.places.len() {
            self.places.resize(slot as usize + 1, NIL);
        }
        self.places[slot as usize] = self.entries.len() as u32;
        self.entries.push((slot, weight_bytes));
        self.bytes += weight_bytes;
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        let Some(place) = self.place(slot) else { return };
        self.bytes = self.bytes - self.entries[place].1 + weight_bytes;
        self.entries[place].1 = weight_bytes;
        self.evict_down_to(self.capacity_bytes, victims);
    }

    fn departed(&mut self, slot: u32, _reason: Departure) {
        self.remove(slot);
    }

    fn reclaim(&mut self, _now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.evict_down_to(self.bytes.saturating_sub(bytes), victims);
    }

    /// Any order is as good as another.
    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        let start = match after.map(|slot| self.place(slot)) {
            None => 0,
            Some(Some(place)) => place + 1,
            Some(None) => return vec![],
        };
        self.entries[start..].iter().take(limit as usize).map(|(slot, _)| *slot).collect()
    }
}

sandbar_guest::export_eviction!(AnyOne);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_as_likely_to_leave_as_another() {
        let mut counts = [0u32; 4];
        for seed in 0..4000 {
            let mut policy = AnyOne::configure("", 4, seed).unwrap();
            let mut victims = vec![];
            for slot in 0..5 {
                policy.arrived(0, Arrival { slot, weight_bytes: 1, ..Arrival::default() }, &mut victims);
            }
            counts[victims[0] as usize] += 1;
        }
        assert!(counts.iter().all(|count| (880..1120).contains(count)), "{counts:?}");
    }
}
