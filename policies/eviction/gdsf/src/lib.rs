//! `gdsf`: entries that are read often, cost much to fetch and are small stay.
//!
//! L. Cherkasova: Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy. HP Labs technical
//! report HPL-98-69R1, 1998.
//!
//! An entry's priority is `L + reads × cost / weight`, where `L`, the priority of the last victim, makes it age. O(log n)
//! per event, 56 bytes per entry.

use sandbar_guest::eviction::heap::Heap;
use sandbar_guest::eviction::heirlooms::Heirlooms;
use sandbar_guest::eviction::knowledge::{KNOWLEDGE_BYTES_MAX, Reader, Writer};
use sandbar_guest::eviction::{Arrival, Departure, Eviction, Knowledge};
use serde::Deserialize;

/// What makes an entry worth keeping, and whether its worth decides on its admission.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether an entry that takes longer to fetch is worth more.
    pub cost: Cost,
    /// Whether an entry is admitted that is worth less than all entries that it would replace.
    pub admission: Admission,
}

/// The cost of an entry: `fetch` or `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cost {
    /// In proportion to the time that the fetch took.
    #[default]
    Fetch,
    /// All entries cost the same, which makes the misses few rather than cheap.
    Off,
}

/// Which arrivals are admitted: `worth` or `all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// An arrival that is worth less than all others is its own victim.
    #[default]
    Worth,
    /// Room is made for every arrival.
    All,
}

/// The policy of one shard.
#[derive(Debug)]
pub struct Gdsf {
    /// Slots by priority, then by the last read.
    order: Heap<(Priority, u64)>,
    /// Entries by slot.
    entries: Vec<Entry>,
    bytes: u64,
    last_victim: f64,
    events: u64,
    capacity_bytes: u64,
    settings: Settings,
    /// Reads and priorities of the entries that are handed over.
    heirlooms: Heirlooms<(u32, f64)>,
}

/// The form in which private knowledge is handed over: a new name whenever what is written changes.
const FORM: &str = "gdsf 1";
/// Slots whose reads and priorities are written, at most 13 bytes each.
const SLOTS_MAX: usize = KNOWLEDGE_BYTES_MAX / 16;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    weight_bytes: u64,
    cost: f32,
    reads: u32,
}

/// A float in a total order ([`f64::total_cmp`]).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Priority(f64);

/// The cost of every entry where costs are off.
const COST_OFF: f32 = 1e6;

impl Gdsf {
    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.bytes > bytes {
            let Some((slot, (Priority(priority), _))) = self.order.min() else { break };
            self.last_victim = priority;
            self.remove(slot);
            victims.push(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        if self.order.remove(slot).is_some() {
            self.bytes -= self.entries[slot as usize].weight_bytes;
        }
    }

    fn push(&mut self, slot: u32, entry: Entry) {
        if slot as usize >= self.entries.len() {
            self.entries.resize(slot as usize + 1, Entry::default());
        }
        self.entries[slot as usize] = entry;
        self.bytes += entry.weight_bytes;
        self.rank(slot);
    }

    fn take_on(&mut self, own: &mut Reader<'_>) -> Option<()> {
        let last_victim = own.float()?;
        let heirloom = |own: &mut Reader<'_>| match own.short()? {
            0 => Some(None),
            reads => Some(Some((reads, own.float()?))),
        };
        self.heirlooms = (0..own.count()?).map(|_| heirloom(own)).collect::<Option<_>>()?;
        self.last_victim = last_victim;
        Some(())
    }

    fn rank(&mut self, slot: u32) {
        let Entry { weight_bytes, cost, reads } = self.entries[slot as usize];
        let value = f64::from(reads) * f64::from(cost) / weight_bytes.max(1) as f64;
        self.events += 1;
        self.order.set(slot, (Priority(self.last_victim + value), self.events));
    }
}

impl Eviction for Gdsf {
    fn configure(settings: &str, capacity_bytes: u64, _seed: u64) -> Result<Self, String> {
        let settings = sandbar_guest::settings::parse(settings)?;
        let order = Heap::default();
        Ok(Self {
            order,
            entries: vec![],
            bytes: 0,
            last_victim: 0.0,
            events: 0,
            capacity_bytes,
            settings,
            heirlooms: Heirlooms::default(),
        })
    }

    fn touched(&mut self, _now_ms: u64, slot: u32) {
        if self.order.key(slot).is_some() {
            let reads = &mut self.entries[slot as usize].reads;
            *reads = reads.saturating_add(1);
            self.rank(slot);
        }
    }

    fn arrived(&mut self, _now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, weight_bytes, fetch_cost_us, .. } = arrival;
        self.remove(slot);
        if weight_bytes > self.capacity_bytes {
            return victims.push(slot);
        }
        let cost = match self.settings.cost {
            Cost::Fetch => fetch_cost_us.max(1) as f32,
            Cost::Off => COST_OFF,
        };
        // An entry that another policy ranked above its coldest ones counts as read once at least.
        let reads_before = arrival.reads.max(arrival.is_hotter_than(Arrival::COLD_SHARE).into());
        let entry = Entry { weight_bytes, cost, reads: 1 + u32::from(reads_before) };
        if let Some((reads, priority)) = self.heirlooms.of(&arrival) {
            self.push(slot, Entry { reads, ..entry });
            self.order.set(slot, (Priority(priority), self.events));
            return self.evict_down_to(self.capacity_bytes, victims);
        }
        match self.settings.admission {
            Admission::Worth => {
                self.push(slot, entry);
                self.evict_down_to(self.capacity_bytes, victims);
            }
            Admission::All => {
                self.evict_down_to(self.capacity_bytes - weight_bytes, victims);
                self.push(slot, entry);
            }
        }
    }

    fn changed(&mut self, _now_ms: u64, slot: u32, weight_bytes: u64, _expires_ms: u64, victims: &mut Vec<u32>) {
        if self.order.remove(slot).is_some() {
            let entry = self.entries[slot as usize];
            self.bytes -= entry.weight_bytes;
            self.push(slot, Entry { weight_bytes, ..entry });
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
        self.order.order(after, limit)
    }

    fn hand_over(&self) -> Knowledge {
        let mut own = Writer::new(FORM);
        own.float(self.last_victim);
        let slots = self.entries.len().min(SLOTS_MAX);
        own.number(slots as u64);
        for (slot, entry) in (0..).zip(&self.entries[..slots]) {
            let Some((Priority(priority), _)) = self.order.key(slot) else {
                own.number(0_u32);
                continue;
            };
            own.number(entry.reads);
            own.float(priority);
        }
        let is_in = |slot| self.order.key(slot).is_some();
        let reads =
            (0..).zip(&self.entries).map(|(slot, entry)| if is_in(slot) { entry.reads.min(256) - 1 } else { 0 });
        Knowledge { reads: reads.map(|reads| reads as u8).collect(), private: own.finish(), ..Knowledge::default() }
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        _ = Reader::new(&knowledge.private, FORM).and_then(|mut own| self.take_on(&mut own));
    }
}

impl Eq for Priority {}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

sandbar_guest::export_eviction!(Gdsf);

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(policy: &mut Gdsf, slot: u32, weight_bytes: u64, fetch_cost_us: u64) -> Vec<u32> {
        let mut victims = vec![];
        policy.arrived(0, Arrival { slot, weight_bytes, fetch_cost_us, ..Arrival::default() }, &mut victims);
        victims
    }

    #[test]
    fn large_and_cheap_entries_leave_first() {
        let mut policy = Gdsf::configure("", 100, 0).unwrap();
        arrive(&mut policy, 0, 60, 600);
        arrive(&mut policy, 1, 10, 200);
        arrive(&mut policy, 2, 10, 50);
        assert_eq!(policy.order(None, 9), [2, 0, 1]);
        assert_eq!(arrive(&mut policy, 3, 40, 500), [2, 0]);
        assert_eq!(arrive(&mut policy, 4, 70, 1), [4], "a poor arrival is its own victim");
        let mut policy = Gdsf::configure(r#"{"cost": "off", "admission": "all"}"#, 100, 0).unwrap();
        arrive(&mut policy, 0, 50, 9000);
        arrive(&mut policy, 1, 49, 1);
        assert_eq!(arrive(&mut policy, 2, 90, 1), [0, 1]);
    }
}
