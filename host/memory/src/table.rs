//! The table of a shard, which its readers-writer lock guards: the entries by key and by slot, their order of
//! insertion, the bytes they weigh, and the events that the policy has not been told of. Nothing here calls a policy or
//! drops a value.

use hashbrown::hash_table::Entry;
use sandbar_base::KeyHash;
use sandbar_guest::eviction::{Arrival, Departure, Event, pack};

use super::Facts;
use super::index::{Bucket, Index, hash};
use super::left::{Garbage, Left};
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
    /// The most bytes that may ever be resident: the capacity and the slack.
    limit_bytes: u64,
    pub(super) pending: Pending,
    /// Slots whose departure the policy has not been told of.
    departing: Vec<u32>,
    /// How many of the departing slots departed before the queue overflowed.
    departing_queued: u32,
    /// How many resident entries arrived after the queue overflowed.
    untold_unqueued: u32,
    /// Number of the last hand-over: the policy knows the entries that carry this number or a lower one.
    pub(super) last_batch: u64,
    /// Number of the hand-over that will tell of the entries that arrive now.
    next_batch: u64,
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

/// The result of inserting an entry into the table.
#[derive(Debug)]
pub(super) enum Inserted<V> {
    /// The entry is resident.
    In,
    /// The entry is resident in place of an older one of its key, with this value.
    Instead(V),
    /// There is no room for the entry, whose value this is. An older entry of its key is gone.
    NoRoom(V),
    /// The entry, whose value this is, can never be taken in. An older entry of its key is gone.
    TooLarge(V),
}

/// What the leaving policy says of an entry to the one that takes over; zeros for an entry that arrives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Inherited {
    pub(super) rank: u8,
    pub(super) reads: u8,
}

/// An entry that is to be inserted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) key: KeyHash,
    /// Weight of the entry, overhead included.
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

    /// The event that tells the policy of this entry's arrival in `slot`.
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
            last_batch: 0,
            next_batch: 1,
            counts: TableCounts::default(),
        }
    }

    /// The bucket of a key's resident entry.
    #[inline]
    pub(super) fn find(&self, key: KeyHash) -> Option<&Bucket<V>> {
        self.index.find(key)
    }

    /// The bucket of a slot's resident entry.
    pub(super) fn bucket(&self, slot: u32) -> Option<&Bucket<V>> {
        let entry = self.slab.find(slot).filter(|entry| entry.is_resident())?;
        self.index.find_slot(entry.hash(), slot)
    }

    /// Number of resident entries.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Sets what the entries may weigh. Nothing is evicted.
    pub(super) const fn set_capacity(&mut self, capacity_bytes: u64, slack: Slack) {
        self.capacity_bytes = capacity_bytes;
        self.limit_bytes = capacity_bytes.saturating_add(slack.bytes(capacity_bytes));
    }

    /// Bytes by which the capacity may be exceeded until the policy has answered.
    pub(super) const fn slack_bytes(&self) -> u64 {
        self.limit_bytes - self.capacity_bytes
    }

    /// The most bytes that may ever be resident: the capacity and the slack.
    pub(super) const fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// Inserts an entry if there is room for it. An older value of its key that is not returned goes to `displaced`.
    pub(super) fn insert(&mut self, candidate: &Candidate, value: V, displaced: &mut Option<V>) -> Inserted<V> {
        let Candidate { key, weight_bytes, .. } = *candidate;
        let too_large = weight_bytes > self.capacity_bytes.min(WEIGHT_MAX);
        let place = match self.index.entry(key) {
            Entry::Vacant(place) => place,
            Entry::Occupied(mut found) => {
                let bucket = found.get_mut();
                let slot = bucket.slot;
                let grows_by = weight_bytes.saturating_sub(self.slab.at(slot).weight_bytes());
                let fits = !too_large && self.resident_bytes.saturating_add(grows_by) <= self.limit_bytes;
                // A change that can't be queued becomes a departure and an arrival instead.
                if fits && self.pending.has_room() {
                    let old = std::mem::replace(bucket, candidate.bucket(value, slot)).value;
                    self.change(slot, candidate);
                    return Inserted::Instead(old);
                }
                *displaced = self.depart(slot, Departure::Purged);
                return self.insert(candidate, value, &mut None);
            }
        };
        if too_large {
            self.counts.not_admitted += 1;
            return Inserted::TooLarge(value);
        }
        if self.resident_bytes.saturating_add(weight_bytes) > self.limit_bytes {
            return Inserted::NoRoom(value);
        }
        let Some(slot) = self.slab.next() else {
            self.counts.not_admitted += 1;
            return Inserted::TooLarge(value);
        };
        let mut entry = candidate.slot(State::Resident);
        let is_queued = self.pending.push(Event::Arrived(candidate.arrival(slot)));
        // `is_queued` is false for the first event without room: `overflow` makes the next number the current one
        // below.
        entry.set_told_in_batch(self.next_batch + u64::from(!is_queued));
        entry.older = self.newest;
        self.slab.fill(entry);
        self.untold_unqueued += u32::from(self.pending.has_overflowed());
        self.pending.came_bytes += weight_bytes;
        place.insert(candidate.bucket(value, slot));
        self.append(slot, weight_bytes);
        if !is_queued {
            self.overflow();
        }
        Inserted::In
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

    /// Reserves a slot for an entry that readers don't see yet; none where all slots are taken.
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

    /// Makes an entry the newest in the order of insertion, and counts it in.
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
        let untold = self.pending.has_overflowed() && self.slab.at(slot).told_in_batch() >= self.next_batch;
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

    /// Evicts the victims that the policy named, and frees their slots. `refuse` is called, with the slot's state, for
    /// each victim that is no resident entry that the policy was told of.
    ///
    /// Goes over the victims twice: so cache misses on memory that was not read for long overlap instead of adding up.
    pub(super) fn evict_victims(
        &mut self,
        victims: &mut Vec<u32>,
        garbage: &mut Garbage<'_, V>,
        mut refuse: impl FnMut(u32, State),
    ) {
        victims.retain(|slot| self.free_victim(*slot).map_err(|state| refuse(*slot, state)).is_ok());
        garbage.extend(victims.drain(..).filter_map(|slot| {
            // A freed slot still says which hand-over told of its entry.
            let told_now = self.slab.at(slot).told_in_batch() == self.last_batch;
            let why = if told_now { Left::NotAdmitted } else { Left::EvictedByPolicy };
            self.take_value(slot).map(|value| (value, why))
        }));
    }

    /// Frees a victim's slot. The caller has to take the entry out of the index before anything else happens.
    fn free_victim(&mut self, slot: u32) -> Result<(), State> {
        let entry = self.slab.find_mut(slot).ok_or(State::Free)?;
        match entry.state() {
            State::Resident if entry.told_in_batch() > self.last_batch => return Err(State::Free),
            // The policy was told of this entry in the very hand-over that it answers.
            State::Resident if entry.told_in_batch() == self.last_batch => self.counts.not_admitted += 1,
            State::Resident => self.counts.evicted_by_policy += 1,
            other => return Err(other),
        }
        let link = entry.link();
        self.slab.release(slot);
        self.unlink(link);
        Ok(())
    }

    /// Evicts the resident entry that was inserted first.
    pub(super) fn evict_oldest(&mut self) -> Option<V> {
        if self.oldest == NO_SLOT {
            return None;
        }
        self.counts.evicted_by_host += 1;
        self.depart(self.oldest, Departure::Evicted)
    }

    /// Evicts in the order of insertion until `weight_bytes` more would not exceed `limit_bytes`.
    pub(super) fn make_room(&mut self, weight_bytes: u64, limit_bytes: u64, garbage: &mut Garbage<'_, V>) {
        while self.resident_bytes.saturating_add(weight_bytes) > limit_bytes && self.oldest != NO_SLOT {
            garbage.extend(self.evict_oldest().map(|value| (value, Left::EvictedByHost)));
        }
    }

    /// Takes an entry out of the index and returns its value.
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

    /// Called when the queue overflows: from now on the table remembers arrivals and departures. Entries that arrive
    /// from now on get the next number, which tells them from those whose arrival is in the queue.
    fn overflow(&mut self) {
        self.next_batch += 1;
        self.departing_queued = self.departing.len() as u32;
        self.counts.event_overflows += 1;
    }

    /// Moves all pending events into `words`, and into `released` the slots that become free once the policy has been
    /// told.
    pub(super) fn take_pending(&mut self, words: &mut Vec<u64>, released: &mut Vec<u32>) {
        let overflowed = self.pending.has_overflowed();
        self.pending.take(words);
        if overflowed {
            self.write_down(words);
        }
        self.forget_pending(released);
    }

    /// Drops the pending events, and starts a new hand-over.
    pub(super) fn forget_pending(&mut self, released: &mut Vec<u32>) {
        self.pending.clear();
        self.last_batch = self.next_batch;
        self.next_batch += 1;
        self.untold_unqueued = 0;
        self.departing_queued = 0;
        released.append(&mut self.departing);
    }

    fn write_down(&self, words: &mut Vec<u64>) {
        for slot in &self.departing[self.departing_queued as usize..] {
            if self.slab.at(*slot).told_in_batch() < self.next_batch {
                pack(Event::Departed { slot: *slot, reason: Departure::Evicted }, words);
            }
        }
        let unqueued = |_, entry: &Slot| entry.told_in_batch() >= self.next_batch;
        self.write_newest(self.untold_unqueued as usize, unqueued, words);
    }

    /// Packs the arrivals of the `count` newest entries for which `is_due` holds, in the order of insertion.
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
            self.write_arrival(slot, Inherited::default(), words);
        }
    }

    /// Packs the arrival of a resident entry.
    pub(super) fn write_arrival(&self, slot: u32, standing: Inherited, words: &mut Vec<u64>) {
        let Inherited { rank, reads } = standing;
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

    /// Notes a thread's first read in this shard, of `slot`, which may have another entry or none by now.
    pub(super) fn note_first(&mut self, slot: u32) -> Noted {
        self.reads.make_stripe();
        if self.slab.at(slot).is_resident() { self.reads.note(slot) } else { Noted::NoRoom }
    }

    /// Queues the noted reads, before the events that happen after them.
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
