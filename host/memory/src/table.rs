//! What a shard's readers-writer lock guards: the entries by key and by slot, their order of insertion, the bytes they
//! weigh, and the events that the policy has not been told of. Nothing here calls a policy or drops a value.

use hashbrown::hash_table::Entry;
use sandbar_base::KeyHash;
use sandbar_guest::eviction::{Arrival, Departure, Event, pack};

use super::Facts;
use super::index::{Bucket, Index, hash};
use super::pending::Pending;
use super::reads::{Noted, ReadBuffer};
use super::slab::{Link, NO_SLOT, Slab, Slot, State, WEIGHT_MAX};
use super::stats::TableCounts;

/// The resident entries of a shard.
#[derive(Debug)]
pub(super) struct Table<V> {
    index: Index<V>,
    pub(super) reads: ReadBuffer,
    pub(super) slab: Slab,
    oldest: u32,
    newest: u32,
    pub(super) resident_bytes: u64,
    pub(super) capacity_bytes: u64,
    /// The most bytes there may ever be: the capacity and the slack.
    limit_bytes: u64,
    pub(super) pending: Pending,
    /// Slots whose departure the policy has not been told.
    departing: Vec<u32>,
    /// How many of them departed before the queue overflowed.
    departing_queued: u32,
    /// Resident entries that arrived after the queue overflowed.
    untold_unqueued: u32,
    /// Number of the last hand-over: the policy knows the entries that carry this number or a lower one.
    pub(super) handed: u64,
    /// Number that entries get which arrive now.
    hand_over: u64,
    pub(super) counts: TableCounts,
}

/// How far entries may exceed the capacity until the policy has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slack {
    /// Not at all: the policy is asked before an entry is taken in.
    None,
    /// By one part in 64 (1.6 %).
    Batching,
}

impl Slack {
    /// The slack of this capacity in bytes.
    pub(super) const fn bytes(self, capacity_bytes: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::Batching => capacity_bytes / 64,
        }
    }
}

/// What became of an entry that was to be taken in.
#[derive(Debug)]
pub(super) enum Taken<V> {
    /// It is resident.
    In,
    /// It is resident in place of this one.
    Instead(V),
    /// It needs room first. Nothing is left of an older entry of its key.
    NoRoom(V),
    /// It can never be taken in. Nothing is left of an older entry of its key.
    TooLarge(V),
}

/// What a policy that takes over is told of an entry by the one that leaves; nothing where it is new.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    pub(super) rank: u8,
    pub(super) reads: u8,
}

/// An entry that is to be taken in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) key: KeyHash,
    /// Overhead included.
    pub(super) weight_bytes: u64,
    pub(super) facts: Facts,
}

impl Candidate {
    #[inline]
    fn slot(&self, state: State) -> Slot {
        Slot::new(state, hash(self.key), self.weight_bytes, self.facts.expires)
    }

    #[inline]
    fn bucket<V>(&self, value: V, slot: u32) -> Bucket<V> {
        Bucket { key: self.key, value, slot, fetch_cost_us: self.fetch_cost_us() }
    }

    #[inline]
    fn fetch_cost_us(&self) -> u32 {
        self.facts.fetch_cost_us.min(u64::from(u32::MAX)) as u32
    }

    /// What the policy is told of its arrival.
    #[inline]
    pub(super) fn arrival(&self, slot: u32) -> Arrival {
        arrival(slot, self.key, self.weight_bytes, self.fetch_cost_us(), self.facts.expires.as_millis())
    }
}

impl<V> Table<V> {
    pub(super) fn new(reads: ReadBuffer) -> Self {
        Self {
            index: Index::new(),
            reads,
            slab: Slab::new(),
            oldest: NO_SLOT,
            newest: NO_SLOT,
            resident_bytes: 0,
            capacity_bytes: 0,
            limit_bytes: 0,
            pending: Pending::default(),
            departing: Vec::new(),
            departing_queued: 0,
            untold_unqueued: 0,
            handed: 0,
            hand_over: 1,
            counts: TableCounts::default(),
        }
    }

    /// A key's resident entry.
    #[inline]
    pub(super) fn find(&self, key: KeyHash) -> Option<&Bucket<V>> {
        self.index.find(key)
    }

    /// The resident entry of a slot.
    pub(super) fn bucket(&self, slot: u32) -> Option<&Bucket<V>> {
        let entry = self.slab.find(slot).filter(|entry| entry.is_resident())?;
        self.index.find_slot(entry.hash(), slot)
    }

    /// Number of resident entries.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Says what the entries may weigh. Nothing leaves.
    pub(super) const fn set_capacity(&mut self, capacity_bytes: u64, slack: Slack) {
        self.capacity_bytes = capacity_bytes;
        self.limit_bytes = capacity_bytes.saturating_add(slack.bytes(capacity_bytes));
    }

    /// Bytes by which the capacity may be exceeded until the policy has answered.
    pub(super) const fn slack_bytes(&self) -> u64 {
        self.limit_bytes - self.capacity_bytes
    }

    /// The most bytes there may ever be.
    pub(super) const fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Takes an entry in if there is room for it. An older value of its key that isn't answered goes to `displaced`.
    pub(super) fn insert(&mut self, candidate: &Candidate, value: V, displaced: &mut Option<V>) -> Taken<V> {
        let Candidate { key, weight_bytes, .. } = *candidate;
        let too_large = weight_bytes > self.capacity_bytes.min(WEIGHT_MAX);
        let place = match self.index.entry(key) {
            Entry::Vacant(place) => place,
            Entry::Occupied(mut found) => {
                let bucket = found.get_mut();
                let slot = bucket.slot;
                let grows_by = weight_bytes.saturating_sub(self.slab.at(slot).weight_bytes());
                let fits = !too_large && self.resident_bytes.saturating_add(grows_by) <= self.limit_bytes;
                // A change that can't be queued is told as a departure and an arrival instead.
                if fits && self.pending.has_room() {
                    let old = std::mem::replace(bucket, candidate.bucket(value, slot)).value;
                    self.change(slot, candidate);
                    return Taken::Instead(old);
                }
                *displaced = self.depart(slot, Departure::Purged);
                return self.insert(candidate, value, &mut None);
            }
        };
        if too_large {
            self.counts.not_admitted += 1;
            return Taken::TooLarge(value);
        }
        if self.resident_bytes.saturating_add(weight_bytes) > self.limit_bytes {
            return Taken::NoRoom(value);
        }
        let Some(slot) = self.slab.next() else {
            self.counts.not_admitted += 1;
            return Taken::TooLarge(value);
        };
        let mut entry = candidate.slot(State::Resident);
        let is_queued = self.pending.push(Event::Arrived(candidate.arrival(slot)));
        // If it is the first that is not, a new count begins.
        entry.set_told_in(self.hand_over + u64::from(!is_queued));
        entry.older = self.newest;
        self.slab.fill(entry);
        self.untold_unqueued += u32::from(self.pending.has_overflowed());
        self.pending.came_bytes += weight_bytes;
        place.insert(candidate.bucket(value, slot));
        self.append(slot, weight_bytes);
        if !is_queued {
            self.overflow();
        }
        Taken::In
    }

    fn change(&mut self, slot: u32, candidate: &Candidate) {
        let weight_bytes = candidate.weight_bytes;
        self.counts.replacements += 1;
        let entry = self.slab.at_mut(slot);
        let before_bytes = entry.weight_bytes();
        if !entry.change(weight_bytes, candidate.facts.expires) {
            return;
        }
        let expires_ms = candidate.facts.expires.as_millis();
        self.resident_bytes = self.resident_bytes - before_bytes + weight_bytes;
        self.pending.came_bytes += weight_bytes.saturating_sub(before_bytes);
        self.pending.left_bytes += before_bytes.saturating_sub(weight_bytes);
        self.pending.push(Event::Changed { slot, weight_bytes, expires_ms });
    }

    /// Gives an entry a slot, but nothing that a reader sees; none where all slots are taken.
    pub(super) fn reserve(&mut self, candidate: &Candidate) -> Option<u32> {
        let slot = self.slab.next()?;
        self.slab.fill(candidate.slot(State::Reserved));
        Some(slot)
    }

    /// Makes a reserved entry resident.
    pub(super) fn settle_in(&mut self, slot: u32, candidate: &Candidate, value: V) {
        let entry = self.slab.at_mut(slot);
        entry.set_state(State::Resident);
        entry.older = self.newest;
        let weight_bytes = entry.weight_bytes();
        self.index.insert(candidate.bucket(value, slot));
        self.append(slot, weight_bytes);
    }

    /// Makes an entry the newest.
    #[inline]
    fn append(&mut self, slot: u32, weight_bytes: u64) {
        match std::mem::replace(&mut self.newest, slot) {
            NO_SLOT => self.oldest = slot,
            older => self.slab.at_mut(older).newer = slot,
        }
        self.resident_bytes += weight_bytes;
        self.counts.insertions += 1;
        self.reads.fit(self.index.len() as u32);
    }

    /// Removes a resident entry and notes the departure: its slot stays taken until the policy has been told.
    pub(super) fn depart(&mut self, slot: u32, reason: Departure) -> Option<V> {
        let untold = self.pending.has_overflowed() && self.slab.at(slot).told_in() >= self.hand_over;
        self.untold_unqueued -= u32::from(untold);
        if !self.pending.push(Event::Departed { slot, reason }) {
            self.overflow();
        }
        let value = self.take_value(slot);
        let entry = self.slab.at_mut(slot);
        entry.set_state(State::Departing);
        let link = entry.link();
        self.pending.left_bytes += link.weight_bytes;
        self.unlink(link);
        self.departing.push(slot);
        if !self.pending.has_overflowed() {
            self.departing_queued = self.departing.len() as u32;
        }
        value
    }

    /// Evicts the victims that the policy named, and frees their slots. `refuse` is told of those that aren't entries
    /// that it was told of, and what they are.
    ///
    /// Goes over them twice: memory that was not read for long is then waited for together, not one by one.
    pub(super) fn evict_victims(
        &mut self,
        victims: &mut Vec<u32>,
        garbage: &mut Vec<V>,
        mut refuse: impl FnMut(u32, State),
    ) {
        victims.retain(|slot| self.free_victim(*slot).map_err(|state| refuse(*slot, state)).is_ok());
        garbage.extend(victims.drain(..).filter_map(|slot| self.take_value(slot)));
    }

    /// Frees a victim's slot. The entry is to be taken out of the index before anything else happens.
    fn free_victim(&mut self, slot: u32) -> Result<(), State> {
        let entry = self.slab.find_mut(slot).ok_or(State::Free)?;
        match entry.state() {
            State::Resident if entry.told_in() > self.handed => return Err(State::Free),
            // It was told of in this very hand-over.
            State::Resident if entry.told_in() == self.handed => self.counts.not_admitted += 1,
            State::Resident => self.counts.evicted_by_policy += 1,
            other => return Err(other),
        }
        let link = entry.link();
        self.slab.release(slot);
        self.unlink(link);
        Ok(())
    }

    /// Evicts the entry that was inserted first.
    pub(super) fn evict_oldest(&mut self) -> Option<V> {
        if self.oldest == NO_SLOT {
            return None;
        }
        self.counts.evicted_by_host += 1;
        self.depart(self.oldest, Departure::Evicted)
    }

    /// Evicts what was inserted first until `weight_bytes` more would not exceed `limit_bytes`.
    pub(super) fn make_room(&mut self, weight_bytes: u64, limit_bytes: u64, garbage: &mut Vec<V>) {
        while self.resident_bytes.saturating_add(weight_bytes) > limit_bytes && self.oldest != NO_SLOT {
            garbage.extend(self.evict_oldest());
        }
    }

    /// Takes an entry out of the index.
    fn take_value(&mut self, slot: u32) -> Option<V> {
        let hash = self.slab.at(slot).hash();
        self.index.remove_slot(hash, slot).map(|bucket| bucket.value)
    }

    /// Takes an entry out of the order of insertion and the sum of weights.
    #[inline]
    fn unlink(&mut self, Link { older, newer, weight_bytes }: Link) {
        self.resident_bytes -= weight_bytes;
        match older {
            NO_SLOT => self.oldest = newer,
            older => self.slab.at_mut(older).newer = newer,
        }
        match newer {
            NO_SLOT => self.newest = older,
            newer => self.slab.at_mut(newer).older = older,
        }
    }

    /// From now on the table remembers what came and went: entries of the next hand-over's number are the ones that are
    /// not in the queue.
    fn overflow(&mut self) {
        self.hand_over += 1;
        self.departing_queued = self.departing.len() as u32;
        self.counts.event_overflows += 1;
    }

    /// Moves all pending events into `words` and the slots that are free once the policy has been told into `released`.
    pub(super) fn take_pending(&mut self, words: &mut Vec<u64>, released: &mut Vec<u32>) {
        let overflowed = self.pending.has_overflowed();
        self.pending.take(words);
        if overflowed {
            self.write_down(words);
        }
        self.forget_pending(released);
    }

    /// Starts a new hand-over without writing down what the last one would have told.
    pub(super) fn forget_pending(&mut self, released: &mut Vec<u32>) {
        self.pending.clear();
        self.handed = self.hand_over;
        self.hand_over += 1;
        self.untold_unqueued = 0;
        self.departing_queued = 0;
        released.append(&mut self.departing);
    }

    fn write_down(&self, words: &mut Vec<u64>) {
        for slot in &self.departing[self.departing_queued as usize..] {
            if self.slab.at(*slot).told_in() < self.hand_over {
                pack(Event::Departed { slot: *slot, reason: Departure::Evicted }, words);
            }
        }
        let unqueued = |_, entry: &Slot| entry.told_in() >= self.hand_over;
        self.write_newest(self.untold_unqueued as usize, unqueued, words);
    }

    /// Writes down the arrival of the `count` newest entries that `are_due`, in the order of insertion.
    pub(super) fn write_newest(&self, count: usize, is_due: impl Fn(u32, &Slot) -> bool, words: &mut Vec<u64>) {
        let mut due = Vec::with_capacity(count);
        let mut at = self.newest;
        while due.len() < count && at != NO_SLOT {
            let entry = self.slab.at(at);
            if is_due(at, entry) {
                due.push(at);
            }
            at = entry.older;
        }
        for slot in due.into_iter().rev() {
            self.write_arrival(slot, Standing::default(), words);
        }
    }

    /// Writes down the arrival of a resident entry.
    pub(super) fn write_arrival(&self, slot: u32, standing: Standing, words: &mut Vec<u64>) {
        let Standing { rank, reads } = standing;
        if let Some(bucket) = self.bucket(slot) {
            let entry = self.slab.at(slot);
            let arrival = Arrival {
                rank,
                reads,
                ..arrival(slot, bucket.key, entry.weight_bytes(), bucket.fetch_cost_us, entry.expires_ms())
            };
            pack(Event::Arrived(arrival), words);
        }
    }

    /// Notes a thread's first read here, of `slot`, which may have been given away since.
    pub(super) fn note_first(&mut self, slot: u32) -> Noted {
        self.reads.make_stripe();
        if self.slab.at(slot).is_resident() { self.reads.note(slot) } else { Noted::NoRoom }
    }

    /// Queues the reads that were noted: what is queued next happened after them.
    #[inline]
    pub(super) fn absorb(&mut self) {
        if self.reads.is_empty() {
            return;
        }
        let (noted, dropped) = self.pending.take_reads(&self.reads);
        self.counts.reads_noted += noted;
        self.counts.reads_dropped += dropped;
    }

    /// The slots of the resident entries from the oldest on.
    #[cfg(test)]
    pub(super) fn in_order_of_insertion(&self) -> impl Iterator<Item = u32> {
        let some = |slot: u32| (slot != NO_SLOT).then_some(slot);
        std::iter::successors(some(self.oldest), move |slot| some(self.slab.at(*slot).newer))
    }
}

#[inline]
fn arrival(slot: u32, key: KeyHash, weight_bytes: u64, fetch_cost_us: u32, expires_ms: u64) -> Arrival {
    Arrival {
        slot,
        key_hash: hash(key),
        weight_bytes,
        fetch_cost_us: u64::from(fetch_cost_us),
        expires_ms,
        rank: 0,
        reads: 0,
    }
}
