//! One shard: a table behind a readers-writer lock, a read buffer, and the policy behind a lock of its own.
//!
//! The locks are taken in the order policy, table, and no policy is called while the table's lock is held.

mod handover;
mod ranks;
mod settle;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sandbar_base::KeyHash;
use sandbar_base::Timestamp;
use sandbar_guest::eviction::{Departure, Event, pack};

pub(crate) use self::ranks::Ranked;
use self::settle::Arriving;
use super::left::{Garbage, Left, Removal, Watched};
use super::reads::{Noted, ReadBuffer};
use super::seat::Seat;
use super::stats::SeatCounts;
use super::sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};
use super::table::{Candidate, Inserted, Slack, Table};
use crate::eviction::EvictionFactory;

/// Number of queued words from which on it pays to call the policy; lower where few reads are handed over together.
const BATCH_WORDS: usize = 1024;

/// A part of a memory tier, on cache lines of its own: its size is a power of two, so that it is indexed by a shift.
#[repr(align(128))]
pub(super) struct Shard<V> {
    pub(super) table: RwLock<Table<V>>,
    pub(super) seat: Mutex<Seat>,
    /// Number of queued words from which on it pays to call the policy.
    batch_words: u32,
    pub(super) slack: Slack,
    /// Whether a native policy stands in, or none answers.
    pub(super) stands_in: AtomicBool,
    pub(super) counts: SeatCounts,
    pub(super) watched: Watched<V>,
}

impl<V: Clone> Shard<V> {
    pub(super) fn new(
        capacity_bytes: u64,
        read_buffer_len: usize,
        seed: u64,
        bound: Arc<dyn EvictionFactory>,
        watched: Watched<V>,
    ) -> Self {
        let (slack, batch_words) = match read_buffer_len {
            0 | 1 => (Slack::None, 1),
            _ => (Slack::Batching, read_buffer_len.saturating_mul(4).min(BATCH_WORDS) as u32),
        };
        let mut table = Table::new(ReadBuffer::new(read_buffer_len));
        table.set_capacity(capacity_bytes, slack);
        Self {
            table: RwLock::new(table),
            seat: Mutex::new(Seat::new(bound, capacity_bytes, seed)),
            batch_words,
            slack,
            stands_in: AtomicBool::new(false),
            counts: SeatCounts::default(),
            watched,
        }
    }

    /// The value of a key; the read is noted for the policy.
    #[inline]
    pub(super) fn get(&self, key: KeyHash, now: Timestamp) -> Option<V> {
        let table = self.table.read();
        let bucket = table.find(key)?;
        let value = bucket.value.clone();
        let slot = bucket.slot;
        match table.reads.note(slot) {
            Noted::Kept => {}
            Noted::Filled => {
                drop(table);
                self.hand_over_reads(now);
            }
            Noted::NoRoom => {
                drop(table);
                self.make_room_for_read(slot, now);
            }
        }
        Some(value)
    }

    /// The value of a key; the read is not noted.
    pub(super) fn peek(&self, key: KeyHash) -> Option<V> {
        self.table.read().find(key).map(|bucket| bucket.value.clone())
    }

    /// The table's exclusive lock. The reads noted so far are queued first, before the events of the caller.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Table<V>> {
        let mut table = self.table.write();
        table.absorb();
        table
    }

    /// Hands the full buffer over, unless another thread holds the policy's lock.
    #[cold]
    fn hand_over_reads(&self, now: Timestamp) {
        self.try_settle(now);
    }

    /// Makes a stripe for the calling thread's first read in this shard. Any other read without room is dropped.
    #[cold]
    fn make_room_for_read(&self, slot: u32, now: Timestamp) {
        let is_full = self.table.read().reads.has_stripe();
        let noted = if is_full { Noted::NoRoom } else { self.table.write().note_first(slot) };
        if noted == Noted::NoRoom {
            self.counts.reads_dropped.fetch_add(1, Ordering::Relaxed);
        }
        if noted != Noted::Kept {
            self.hand_over_reads(now);
        }
    }

    /// Inserts an entry; false if it was not admitted.
    pub(super) fn insert(&self, candidate: &Candidate, value: V, now: Timestamp) -> bool {
        let mut displaced = None;
        let (taken, is_due) = {
            let mut table = self.write();
            let taken = table.insert(candidate, value, &mut displaced);
            (taken, self.is_answer_due(&table))
        };
        if let Some(older) = &displaced {
            self.tell(older, Left::Replaced);
        }
        match taken {
            Inserted::TooLarge(value) => {
                self.tell(&value, Left::NotAdmitted);
                return false;
            }
            Inserted::NoRoom(value) => return self.insert_where_room_is_short(candidate, value, now),
            Inserted::Instead(older) => self.tell(&older, Left::Replaced),
            Inserted::In => {}
        }
        if is_due {
            self.try_settle(now);
        }
        true
    }

    /// Tells the witness that an entry has left; with no lock held.
    fn tell(&self, value: &V, why: Left) {
        if let Some(witness) = &self.watched {
            witness.left(value, why);
        }
    }

    fn is_answer_due(&self, table: &Table<V>) -> bool {
        table.pending.len() >= self.batch_words as usize
            || table.resident_bytes > table.capacity_bytes + table.slack_bytes() / 2
    }

    /// Lets the policy make room for the arrival, or refuse it; where the policy's lock is taken, the host makes room.
    fn insert_where_room_is_short(&self, candidate: &Candidate, value: V, now: Timestamp) -> bool {
        let mut garbage = Garbage::new(&self.watched);
        let Some(mut seat) = self.seat.try_lock() else {
            return take_in_by_force(&mut self.write(), candidate, value, &mut garbage);
        };
        self.attend(&mut seat, now, &mut garbage);
        let slot = {
            let mut table = self.write();
            let Some(slot) = table.reserve(candidate) else {
                garbage.push(value, Left::NotAdmitted);
                return false;
            };
            let Seat { words, released, .. } = &mut *seat;
            table.take_pending(words, released);
            let handed = table.last_batch;
            table.slab.at_mut(slot).set_told_in_batch(handed);
            pack(Event::Arrived(candidate.arrival(slot)), words);
            slot
        };
        self.answer(&mut seat, now, Some(Arriving { candidate: *candidate, value, slot }), &mut garbage)
    }

    /// Removes a key's entry if `condition` holds for its value.
    pub(super) fn remove_where(
        &self,
        key: KeyHash,
        why: Removal,
        now: Timestamp,
        condition: impl FnOnce(&V) -> bool,
    ) -> Option<V> {
        self.table.read().find(key)?;
        let (value, is_due) = {
            let mut table = self.write();
            let bucket = table.find(key)?;
            if !condition(&bucket.value) {
                return None;
            }
            let slot = bucket.slot;
            table.counts.removed += 1;
            (table.depart(slot, Departure::Purged), self.is_answer_due(&table))
        };
        if let Some(value) = &value {
            self.tell(value, Left::Removed(why));
        }
        if is_due {
            self.try_settle(now);
        }
        value
    }

    /// Removes the entries in `slots` slots from `first` on for which `keep` does not hold; false if there is no slot
    /// `first`.
    pub(super) fn sweep_slice(
        &self,
        first: u32,
        slots: u32,
        (why, now): (Removal, Timestamp),
        keep: &impl Fn(KeyHash, &V) -> bool,
        garbage: &mut Garbage<'_, V>,
    ) -> bool {
        let goes =
            |table: &Table<V>, slot: u32| table.bucket(slot).is_some_and(|bucket| !keep(bucket.key, &bucket.value));
        let useless: Vec<u32> = {
            let table = self.table.read();
            let end = first.saturating_add(slots).min(table.slab.len());
            if first >= end {
                return false;
            }
            (first..end).filter(|slot| goes(&table, *slot)).collect()
        };
        if !useless.is_empty() {
            let mut table = self.write();
            for slot in useless {
                // The slot may hold another entry by now.
                if goes(&table, slot) {
                    table.counts.removed += 1;
                    let left = table.depart(slot, Departure::Purged);
                    garbage.extend(left.map(|value| (value, Left::Removed(why))));
                }
            }
        }
        let is_due = self.is_answer_due(&self.table.read());
        if is_due {
            self.try_settle(now);
        }
        true
    }

    /// Shows `see` the entries in `slots` slots from `first` on; false if there is no slot `first`.
    pub(super) fn survey_slice(&self, first: u32, slots: u32, see: &mut impl FnMut(KeyHash, &V)) -> bool {
        let table = self.table.read();
        let end = first.saturating_add(slots).min(table.slab.len());
        (first..end).filter_map(|slot| table.bucket(slot)).for_each(|bucket| see(bucket.key, &bucket.value));
        first < end
    }

    /// Hands all events to the policy and applies its answer, unless another thread holds the policy's lock.
    fn try_settle(&self, now: Timestamp) {
        let mut garbage = Garbage::new(&self.watched);
        if let Some(seat) = self.seat.try_lock() {
            self.settle(seat, now, &mut garbage);
        }
    }

    fn settle(&self, mut seat: MutexGuard<'_, Seat>, now: Timestamp, garbage: &mut Garbage<'_, V>) {
        self.attend(&mut seat, now, garbage);
        self.take_events(&mut seat);
        self.answer(&mut seat, now, None, garbage);
    }
}

/// Inserts an entry that fits into the shard, and evicts in the order of insertion to make room for it.
pub(super) fn take_in_by_force<V>(
    table: &mut Table<V>,
    candidate: &Candidate,
    value: V,
    garbage: &mut Garbage<'_, V>,
) -> bool {
    if let Some(other) = table.find(candidate.key).map(|bucket| bucket.slot) {
        garbage.extend(table.depart(other, Departure::Purged).map(|value| (value, Left::Replaced)));
    }
    let limit_bytes = table.limit_bytes();
    table.make_room(candidate.weight_bytes, limit_bytes, garbage);
    match table.insert(candidate, value, &mut None) {
        Inserted::Instead(value) | Inserted::NoRoom(value) | Inserted::TooLarge(value) => {
            garbage.push(value, Left::NotAdmitted);
            false
        }
        Inserted::In => true,
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_a_size_to_shift_by() {
        assert_eq!(size_of::<Shard<Arc<()>>>(), 512);
    }
}
