//! How a shard calls its policy, and applies the answer within the bounds.

use sandbar_base::Fault;
use sandbar_base::Timestamp;
use sandbar_guest::eviction::Departure;

use super::{Shard, take_in_by_force};
use crate::left::{Garbage, Left};
use crate::seat::{Occupant, Seat};
use crate::slab::State;
use crate::stats::SeatCounts;
use crate::table::{Candidate, Table};

/// An arrival that is taken in only after the policy's answer.
pub(super) struct Arriving<V> {
    pub(super) candidate: Candidate,
    pub(super) value: V,
    pub(super) slot: u32,
}

impl<V: Clone> Shard<V> {
    /// Moves all pending events into the seat. Where there are only reads, the shared lock suffices, and no reader
    /// waits.
    pub(super) fn take_events(&self, seat: &mut Seat) {
        let Seat { words, released, .. } = seat;
        {
            let table = self.table.read();
            if table.pending.is_empty() {
                table.reads.drain(words);
                SeatCounts::add(&self.counts.reads_noted, words.len() as u64);
                return;
            }
        }
        self.write().take_pending(words, released);
    }

    /// Calls the policy with the events in the seat, and applies its answer. Returns whether the arrival was taken in.
    pub(super) fn answer(
        &self,
        seat: &mut Seat,
        now: Timestamp,
        arriving: Option<Arriving<V>>,
        garbage: &mut Garbage<'_, V>,
    ) -> bool {
        let reclaim_bytes = self.beyond_capacity(seat, arriving.as_ref());
        match seat.ask(now, reclaim_bytes) {
            Ok(calls) => {
                SeatCounts::add(&self.counts.advances, calls);
                self.apply(seat, now, arriving, garbage)
            }
            Err(fault) => {
                self.note_fault(seat, &fault);
                self.stand_in(seat, now, garbage);
                let Some(Arriving { candidate, value, slot }) = arriving else { return false };
                let mut table = self.write();
                table.slab.release(slot);
                take_in_by_force(&mut table, &candidate, value, garbage)
            }
        }
    }

    /// How many bytes a policy that was made for a larger capacity than the present one has to reclaim.
    fn beyond_capacity(&self, seat: &Seat, arriving: Option<&Arriving<V>>) -> u64 {
        if seat.made_for_bytes <= seat.capacity_bytes {
            return 0;
        }
        let coming_bytes = arriving.map_or(0, |arriving| arriving.candidate.weight_bytes);
        let told_bytes = {
            let table = self.table.read();
            // The policy may name entries that have departed meanwhile, which frees nothing any more.
            table.resident_bytes.saturating_add(table.pending.left_bytes)
        };
        let told_bytes = told_bytes.saturating_add(coming_bytes).min(seat.made_for_bytes);
        told_bytes.saturating_sub(seat.capacity_bytes)
    }

    /// Evicts the victims in the seat, takes the arrival in, and keeps the bound whatever the policy answered.
    pub(super) fn apply(
        &self,
        seat: &mut Seat,
        now: Timestamp,
        arriving: Option<Arriving<V>>,
        garbage: &mut Garbage<'_, V>,
    ) -> bool {
        if seat.victims.is_empty() && seat.released.is_empty() && arriving.is_none() {
            let table = self.table.read();
            if table.capacity_bytes == seat.capacity_bytes && table.resident_bytes <= allowed_bytes(&table) {
                return true;
            }
        }
        let (is_in, nonsense) = self.apply_exclusively(seat, arriving, garbage);
        if let Some(nonsense) = nonsense {
            self.note_fault(seat, &Fault::nonsense(nonsense));
            if matches!(seat.occupant, Occupant::Bound(_)) && !seat.bound.is_trusted() {
                self.stand_in(seat, now, garbage);
            }
        }
        is_in
    }

    fn apply_exclusively(
        &self,
        seat: &mut Seat,
        arriving: Option<Arriving<V>>,
        garbage: &mut Garbage<'_, V>,
    ) -> (bool, Option<String>) {
        let mut table = self.write();
        let arriving_slot = arriving.as_ref().map(|arriving| arriving.slot);
        let mut nonsense = None;
        let mut refused = false;
        table.evict_victims(&mut seat.victims, garbage, |victim, state| match state {
            State::Reserved if arriving_slot == Some(victim) && !refused => refused = true,
            // The entry departed meanwhile, before it could be evicted.
            State::Departing => {}
            _ => nonsense = Some(format!("victim {victim} is not resident, or was named twice")),
        });
        for slot in seat.released.drain(..) {
            table.slab.release(slot);
        }
        table.set_capacity(seat.capacity_bytes, self.slack);
        let coming_bytes = arriving.as_ref().filter(|_| !refused).map_or(0, |arriving| arriving.candidate.weight_bytes);
        let allowed_bytes = allowed_bytes(&table);
        if table.resident_bytes.saturating_add(coming_bytes) > allowed_bytes {
            if !matches!(seat.occupant, Occupant::Nobody) {
                nonsense = Some("too few victims".to_owned());
            }
            table.make_room(coming_bytes, allowed_bytes, garbage);
        }
        // Entries that arrived meanwhile are no fault of the policy, but the bound holds for them too.
        let limit_bytes = table.limit_bytes();
        table.make_room(coming_bytes, limit_bytes, garbage);
        let is_in = match arriving {
            Some(Arriving { value, slot, .. }) if refused => {
                table.slab.release(slot);
                table.counts.not_admitted += 1;
                garbage.push(value, Left::NotAdmitted);
                false
            }
            Some(Arriving { candidate, value, slot }) => {
                // Another entry of the same key may have arrived meanwhile.
                if let Some(other) = table.find(candidate.key).map(|bucket| bucket.slot) {
                    garbage.extend(table.depart(other, Departure::Purged).map(|value| (value, Left::Replaced)));
                }
                table.settle_in(slot, &candidate, value);
                true
            }
            None => true,
        };
        (is_in, nonsense)
    }

    /// Counts a fault and reports it to the factory of the policy.
    pub(super) fn note_fault(&self, seat: &Seat, fault: &Fault) {
        SeatCounts::add(&self.counts.faults, 1);
        seat.maker().faulted(fault);
    }
}

/// How many bytes may be resident after the policy's answer: the capacity, and the arrivals since it was called.
fn allowed_bytes<V>(table: &Table<V>) -> u64 {
    table.capacity_bytes.saturating_add(table.pending.came_bytes)
}
