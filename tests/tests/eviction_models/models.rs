//! Definitions of policies, as a vector of entries that is searched.

use sandbar_guest::eviction::random::Random;
use sandbar_guest::eviction::{Arrival, Event};

/// An entry, and what the models know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    slot: u32,
    weight_bytes: u64,
    expires_ms: u64,
    /// Reads, rounds or counts.
    count: u64,
    /// A sequence number: when the entry came to where it is.
    since: u64,
}

/// What differs from policy to policy.
pub(crate) trait Model {
    /// Notes a read of the entry at an index.
    fn hit(&mut self, _entries: &mut Vec<Entry>, _at: usize) {}

    /// Puts a new entry in.
    fn insert(&mut self, entries: &mut Vec<Entry>, entry: Entry, _arrival: &Arrival) {
        entries.push(entry);
    }

    /// Notes that an entry's weight and expiry have changed.
    fn changed(&mut self, _entry: &mut Entry) {}

    /// The index of the victim.
    fn victim(&mut self, _entries: &mut Vec<Entry>) -> usize {
        0
    }

    /// Takes an entry out.
    fn remove(&mut self, entries: &mut Vec<Entry>, at: usize) {
        entries.remove(at);
    }

    /// Slots in the order in which they would leave if nothing else happened.
    fn order(&self, entries: &[Entry]) -> Vec<u32> {
        entries.iter().map(|entry| entry.slot).collect()
    }
}

/// A shard whose policy is a model.
pub(crate) struct Vector<M> {
    model: M,
    entries: Vec<Entry>,
    capacity_bytes: u64,
}

impl<M: Model> Vector<M> {
    pub(crate) fn new(model: M, capacity_bytes: u64) -> Self {
        Self { model, entries: vec![], capacity_bytes }
    }

    /// Answers with the victims.
    pub(crate) fn advance(&mut self, event: Event, reclaim_bytes: u64) -> Vec<u32> {
        let mut victims = vec![];
        match event {
            Event::Touched { slot } => {
                if let Some(at) = self.find(slot) {
                    self.model.hit(&mut self.entries, at);
                }
            }
            Event::Arrived(arrival) => self.arrived(&arrival, &mut victims),
            Event::Changed { slot, weight_bytes, expires_ms } => {
                if let Some(at) = self.find(slot) {
                    let entry = &mut self.entries[at];
                    (entry.weight_bytes, entry.expires_ms) = (weight_bytes, expires_ms);
                    self.model.changed(entry);
                    self.evict_down_to(self.capacity_bytes, &mut victims);
                }
            }
            Event::Departed { slot, .. } => self.remove(slot),
        }
        if reclaim_bytes > 0 {
            self.evict_down_to(self.bytes().saturating_sub(reclaim_bytes), &mut victims);
        }
        victims
    }

    pub(crate) fn order(&self) -> Vec<u32> {
        self.model.order(&self.entries)
    }

    fn arrived(&mut self, arrival: &Arrival, victims: &mut Vec<u32>) {
        let Arrival { slot, weight_bytes, expires_ms, .. } = *arrival;
        self.remove(slot);
        if weight_bytes > self.capacity_bytes {
            return victims.push(slot);
        }
        self.evict_down_to(self.capacity_bytes - weight_bytes, victims);
        let entry = Entry { slot, weight_bytes, expires_ms, count: 0, since: 0 };
        self.model.insert(&mut self.entries, entry, arrival);
    }

    fn evict_down_to(&mut self, bytes: u64, victims: &mut Vec<u32>) {
        while self.bytes() > bytes {
            let at = self.model.victim(&mut self.entries);
            victims.push(self.entries[at].slot);
            self.model.remove(&mut self.entries, at);
        }
    }

    fn find(&self, slot: u32) -> Option<usize> {
        self.entries.iter().position(|entry| entry.slot == slot)
    }

    fn remove(&mut self, slot: u32) {
        if let Some(at) = self.find(slot) {
            self.model.remove(&mut self.entries, at);
        }
    }

    fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.weight_bytes).sum()
    }
}

/// First in, first out.
pub(crate) struct Fifo;

impl Model for Fifo {}

/// What was read is the youngest again.
pub(crate) struct Lru;

impl Model for Lru {
    fn hit(&mut self, entries: &mut Vec<Entry>, at: usize) {
        entries[at..].rotate_left(1);
    }
}

/// The smallest of `key`, of which no two are alike.
fn smallest<K: Ord>(entries: &[Entry], key: impl Fn(&Entry) -> K) -> usize {
    let (at, _) = entries.iter().enumerate().min_by_key(|(_, entry)| key(entry)).expect("there are entries");
    at
}

fn sorted<K: Ord>(entries: &[Entry], key: impl Fn(&Entry) -> K) -> Vec<u32> {
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(key);
    sorted.iter().map(|entry| entry.slot).collect()
}

/// By expiry, and then by when that became known.
#[derive(Default)]
pub(crate) struct Ttl {
    events: u64,
}

impl Model for Ttl {
    fn insert(&mut self, entries: &mut Vec<Entry>, mut entry: Entry, _arrival: &Arrival) {
        self.changed(&mut entry);
        entries.push(entry);
    }

    fn changed(&mut self, entry: &mut Entry) {
        self.events += 1;
        entry.since = self.events;
    }

    fn victim(&mut self, entries: &mut Vec<Entry>) -> usize {
        smallest(entries, |entry| (entry.expires_ms, entry.since))
    }

    fn order(&self, entries: &[Entry]) -> Vec<u32> {
        sorted(entries, |entry| (entry.expires_ms, entry.since))
    }
}

/// Any of them.
pub(crate) struct RandomChoice(Random);

impl RandomChoice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Random::new(seed))
    }
}

impl Model for RandomChoice {
    fn victim(&mut self, entries: &mut Vec<Entry>) -> usize {
        self.0.below(entries.len() as u64) as usize
    }

    fn remove(&mut self, entries: &mut Vec<Entry>, at: usize) {
        entries.swap_remove(at);
    }
}

/// First in, first out, but for each read, up to a bound, an entry may go back to the end once.
pub(crate) struct Clock {
    pub(crate) rounds_max: u64,
}

impl Model for Clock {
    fn hit(&mut self, entries: &mut Vec<Entry>, at: usize) {
        entries[at].count = (entries[at].count + 1).min(self.rounds_max);
    }

    fn insert(&mut self, entries: &mut Vec<Entry>, entry: Entry, arrival: &Arrival) {
        entries.push(Entry { count: arrival.is_hotter_than(0.1).into(), ..entry });
    }

    fn victim(&mut self, entries: &mut Vec<Entry>) -> usize {
        while entries[0].count > 0 {
            entries[0].count -= 1;
            entries.rotate_left(1);
        }
        0
    }

    fn order(&self, entries: &[Entry]) -> Vec<u32> {
        sorted(entries, |entry| entry.count)
    }
}

/// In order of arrival. A hand goes round and takes what was not read since it passed.
#[derive(Default)]
pub(crate) struct Sieve {
    /// An index; the length of the vector stands for its beginning.
    hand: usize,
}

impl Model for Sieve {
    fn hit(&mut self, entries: &mut Vec<Entry>, at: usize) {
        entries[at].count = 1;
    }

    fn insert(&mut self, entries: &mut Vec<Entry>, entry: Entry, arrival: &Arrival) {
        // At the end of a round the hand goes to what is oldest, not to what comes next.
        self.hand = if self.hand == entries.len() { 0 } else { self.hand };
        entries.push(Entry { count: arrival.is_hotter_than(0.3).into(), ..entry });
    }

    fn victim(&mut self, entries: &mut Vec<Entry>) -> usize {
        loop {
            self.hand = if self.hand >= entries.len() { 0 } else { self.hand };
            if std::mem::take(&mut entries[self.hand].count) == 0 {
                return self.hand;
            }
            self.hand += 1;
        }
    }

    fn remove(&mut self, entries: &mut Vec<Entry>, at: usize) {
        entries.remove(at);
        self.hand -= usize::from(at < self.hand);
    }

    fn order(&self, entries: &[Entry]) -> Vec<u32> {
        let mut round = entries.to_vec();
        round.rotate_left(if self.hand >= entries.len() { 0 } else { self.hand });
        sorted(&round, |entry| entry.count)
    }
}

/// What was read least, and among those what came to its count first. With ageing, a new entry begins one above the count of
/// the last victim, else at 1.
pub(crate) struct Lfu {
    ageing: bool,
    last_victim: u64,
    events: u64,
}

impl Lfu {
    pub(crate) fn new(ageing: bool) -> Self {
        Self { ageing, last_victim: 0, events: 0 }
    }

    fn count(&mut self, entry: &mut Entry, count: u64) {
        self.events += 1;
        (entry.count, entry.since) = (count, self.events);
    }
}

impl Model for Lfu {
    fn hit(&mut self, entries: &mut Vec<Entry>, at: usize) {
        let count = entries[at].count + 1;
        self.count(&mut entries[at], count);
    }

    fn insert(&mut self, entries: &mut Vec<Entry>, mut entry: Entry, _arrival: &Arrival) {
        self.count(&mut entry, self.last_victim + 1);
        entries.push(entry);
    }

    fn victim(&mut self, entries: &mut Vec<Entry>) -> usize {
        let at = smallest(entries, |entry| (entry.count, entry.since));
        if self.ageing {
            self.last_victim = entries[at].count;
        }
        at
    }

    fn order(&self, entries: &[Entry]) -> Vec<u32> {
        sorted(entries, |entry| (entry.count, entry.since))
    }
}
