//! Hand-over to another policy: a shard changes its policy and keeps its entries.
//!
//! The new policy is told of the entries in the old one's order, coldest first, in slices and without a lock that a
//! request waits for. Entries come and go meanwhile; so at the end the table is compared with what the new policy was
//! told, and the policy is told the difference. The old policy's knowledge besides its order is handed over before the
//! entries. The same comparison brings an old policy up to date again when a swap is undone.
//!
//! What the old policy says may cost the new one its inheritance, never its seat. Knowledge is checked here as far as
//! possible; the private form of a foreign (not stock) policy is never given to a stock policy; and where the new
//! policy fails on the knowledge, another instance of it takes the seat and is told only of the entries, in the order
//! of insertion.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_base::Fault;
use sandbar_base::Timestamp;
use sandbar_guest::eviction::knowledge::KNOWLEDGE_BYTES_MAX;
use sandbar_guest::eviction::{Departure, Event, Knowledge, pack};

use super::Shard;
use crate::eviction::{EvictionFactory, EvictionPolicy};
use crate::left::Garbage;
use crate::seat::{Occupant, Seat, read_order, tell};
use crate::slab::State;
use crate::stats::SeatCounts;
use crate::sync::RwLockUpgradableReadGuard;
use crate::table::{Inherited, Table};

/// The entries that a policy believes to be resident: by slot, the hand-over that told of the entry, or 0.
#[derive(Debug, Default)]
struct Known(Vec<u64>);

impl Known {
    fn get(&self, slot: u32) -> u64 {
        self.0.get(slot as usize).copied().unwrap_or(0)
    }

    fn set(&mut self, slot: u32, told_in_batch: u64) {
        if self.0.len() <= slot as usize {
            self.0.resize(slot as usize + 1, 0);
        }
        self.0[slot as usize] = told_in_batch;
    }
}

/// A policy that was replaced and can be put back into its seat.
pub(crate) struct Left {
    occupant: Occupant,
    bound: Arc<dyn EvictionFactory>,
    known: Known,
    /// The successor's fault on the knowledge that this policy handed over, if there was one.
    pub(crate) misled: Option<Fault>,
}

/// What a successor is told besides the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inheritance {
    /// The knowledge and the order of the policy that leaves.
    All,
    /// Nothing from the policy that leaves.
    None,
}

/// The source of each entry's [`Inherited`] in a hand-over: its place in the order of the leaving policy, and how often
/// that policy knows the entry to have been read.
struct Standings {
    told: usize,
    len: usize,
    reads: Vec<u8>,
}

impl Standings {
    fn next(&mut self, slot: u32) -> Inherited {
        let rank = 1 + self.told * 254 / self.len.saturating_sub(1).max(1);
        self.told += 1;
        Inherited { rank: rank.min(255) as u8, reads: self.reads.get(slot as usize).copied().unwrap_or(0) }
    }
}

impl<V: Clone> Shard<V> {
    /// Binds another policy and keeps the entries. Returns what is needed to undo the swap.
    ///
    /// # Errors
    /// When the other policy could not be made or failed; the old one keeps its seat then.
    pub(crate) fn swap(&self, to: &Arc<dyn EvictionFactory>, now: Timestamp) -> Result<Left, Fault> {
        let mut garbage = Garbage::new(&self.watched);
        let mut seat = self.seat.lock();
        let ((occupant, known), misled) = if matches!(seat.occupant, Occupant::Vacant) {
            ((Occupant::Vacant, Known::default()), None)
        } else {
            self.succeed(&mut seat, to, now, &mut garbage)?
        };
        let bound = std::mem::replace(&mut seat.bound, Arc::clone(to));
        self.apply_after_change(&mut seat, now, &mut garbage);
        Ok(Left { occupant, bound, known, misled })
    }

    /// Gives the seat to a policy of another factory. Where the policy fails on the knowledge of a foreign (not stock)
    /// predecessor, but not without that, the predecessor is blamed. Returns the result of [`Self::reseat`], and the
    /// fault that the predecessor is blamed for.
    ///
    /// # Errors
    /// When the other policy could not be made or failed by itself; the predecessor has its seat again.
    fn succeed(
        &self,
        seat: &mut Seat,
        to: &Arc<dyn EvictionFactory>,
        now: Timestamp,
        garbage: &mut Garbage<'_, V>,
    ) -> Result<((Occupant, Known), Option<Fault>), Fault> {
        let predecessor = Arc::clone(seat.maker());
        let next = Occupant::Bound(to.make(seat.capacity_bytes, seat.seed)?);
        let fault = match self.reseat(seat, (next, to.is_stock(), Inheritance::All), now, garbage) {
            Ok(left) => return Ok((left, None)),
            Err(fault) => fault,
        };
        // A second try helps neither a policy that could not be called, nor one that failed on a stock policy's
        // knowledge.
        if fault.is_the_policys() && !predecessor.is_stock() {
            let next = Occupant::Bound(to.make(seat.capacity_bytes, seat.seed)?);
            if let Ok(left) = self.reseat(seat, (next, to.is_stock(), Inheritance::None), now, garbage) {
                let blamed = Fault::nonsense(format!("what it handed over made {} fail: {fault}", to.name()));
                SeatCounts::add(&self.counts.faults, 1);
                predecessor.faulted(&blamed);
                return Ok((left, Some(fault)));
            }
        }
        to.faulted(&fault);
        Err(fault)
    }

    /// Puts a replaced policy back into its seat.
    pub(crate) fn put_back(&self, left: Left, now: Timestamp) {
        let mut garbage = Garbage::new(&self.watched);
        let mut seat = self.seat.lock();
        seat.occupant = left.occupant;
        seat.bound = left.bound;
        let fault = match seat.fill() {
            Ok(()) => {
                self.bring_up_to_date(&mut seat, &left.known, now).1.inspect_err(|fault| self.note_fault(&seat, fault))
            }
            Err(fault) => Err(fault),
        };
        if fault.is_err() {
            self.stand_in(&mut seat, now, &mut garbage);
        }
        self.apply_after_change(&mut seat, now, &mut garbage);
    }

    /// Changes the capacity. The policy names the entries that have to leave, then one made for the new capacity takes
    /// over.
    pub(crate) fn resize(&self, capacity_bytes: u64, now: Timestamp) {
        let mut garbage = Garbage::new(&self.watched);
        let mut seat = self.seat.lock();
        if matches!(seat.occupant, Occupant::Vacant) && self.table.read().len() == 0 {
            seat.capacity_bytes = capacity_bytes;
            self.apply(&mut seat, now, None, &mut garbage);
            return;
        }
        self.attend(&mut seat, now, &mut garbage);
        seat.capacity_bytes = capacity_bytes;
        if self.renew(&mut seat, now, &mut garbage).is_err() {
            self.stand_in(&mut seat, now, &mut garbage);
        }
        self.apply_after_change(&mut seat, now, &mut garbage);
    }

    /// Replaces the occupant by a policy of the same factory, made for the present capacity.
    fn renew(&self, seat: &mut Seat, now: Timestamp, garbage: &mut Garbage<'_, V>) -> Result<(), Fault> {
        let next = match &seat.occupant {
            Occupant::Vacant | Occupant::Nobody => return Ok(()),
            Occupant::Bound(_) => Occupant::Bound(seat.bound.make(seat.capacity_bytes, seat.seed)?),
            Occupant::StandIn(maker, _) => {
                Occupant::StandIn(Arc::clone(maker), maker.make(seat.capacity_bytes, seat.seed)?)
            }
        };
        let next = (next, seat.maker().is_stock(), Inheritance::All);
        self.reseat(seat, next, now, garbage).map(|_| ()).inspect_err(|fault| self.note_fault(seat, fault))
    }

    /// Sees to it that a policy answers: makes the bound one at first use, and gives it its seat back when it is
    /// trusted again.
    pub(super) fn attend(&self, seat: &mut Seat, now: Timestamp, garbage: &mut Garbage<'_, V>) {
        if seat.fill().is_err() {
            return self.stand_in(seat, now, garbage);
        }
        if !seat.is_trust_check_due(now) || !seat.bound.is_trusted() {
            return;
        }
        if let Ok(policy) = seat.bound.make(seat.capacity_bytes, seat.seed) {
            let next = (Occupant::Bound(policy), seat.bound.is_stock(), Inheritance::All);
            match self.reseat(seat, next, now, garbage) {
                Ok(_) => self.apply_after_change(seat, now, garbage),
                Err(fault) => seat.bound.faulted(&fault),
            }
        }
    }

    /// Replaces a policy that failed by a native one, which is told of the entries in the order of insertion.
    pub(super) fn stand_in(&self, seat: &mut Seat, now: Timestamp, garbage: &mut Garbage<'_, V>) {
        let failed = std::mem::replace(&mut seat.occupant, Occupant::Nobody);
        seat.check_trust_later(now);
        let fallback = seat.bound.fallback();
        if !matches!(failed, Occupant::StandIn(..))
            && let Ok(policy) = fallback.make(seat.capacity_bytes, seat.seed)
        {
            seat.occupant = Occupant::StandIn(fallback, policy);
            seat.made_for_bytes = seat.capacity_bytes;
        }
        seat.victims.clear();
        if let (_, Err(fault)) = self.bring_up_to_date(seat, &Known::default(), now) {
            self.note_fault(seat, &fault);
            seat.occupant = Occupant::Nobody;
        }
        self.apply_after_change(seat, now, garbage);
    }

    fn apply_after_change(&self, seat: &mut Seat, now: Timestamp, garbage: &mut Garbage<'_, V>) {
        self.apply(seat, now, None, garbage);
        let stands_in = matches!(seat.occupant, Occupant::StandIn(..) | Occupant::Nobody);
        self.stands_in.store(stands_in, Ordering::Relaxed);
    }

    /// Gives the seat to `next`, which is told of the entries in the order of the policy that leaves; `is_stock` says
    /// whether `next` is a stock policy. Returns the leaving policy, and the entries that it knew. Entries that `next`
    /// does not want are left in the seat's victims.
    ///
    /// # Errors
    /// When `next` failed; the policy that was to leave has its seat again.
    fn reseat(
        &self,
        seat: &mut Seat,
        (mut next, is_stock, inheritance): (Occupant, bool, Inheritance),
        now: Timestamp,
        garbage: &mut Garbage<'_, V>,
    ) -> Result<(Occupant, Known), Fault> {
        self.take_events(seat);
        self.answer(seat, now, None, garbage);
        let known = match inheritance {
            Inheritance::All => self.tell_in_order(seat, (&mut next, is_stock), now)?,
            Inheritance::None => {
                // `take_over` is called all the same, with empty knowledge: a failure is then the policy's own.
                next.policy().map_or(Ok(()), |next| next.take_over(&Knowledge::default()))?;
                Known::default()
            }
        };
        let before = std::mem::replace(&mut seat.occupant, next);
        let before_made_for_bytes = std::mem::replace(&mut seat.made_for_bytes, seat.capacity_bytes);
        let (known_before, up_to_date) = self.bring_up_to_date(seat, &known, now);
        let Err(fault) = up_to_date else { return Ok((before, known_before)) };
        seat.occupant = before;
        seat.made_for_bytes = before_made_for_bytes;
        if let (_, Err(fault)) = self.bring_up_to_date(seat, &known_before, now) {
            self.note_fault(seat, &fault);
            self.stand_in(seat, now, garbage);
        }
        Err(fault)
    }

    /// The knowledge of the seat's occupant without the parts that can't be true; empty where it is too large.
    ///
    /// # Errors
    /// When the occupant failed.
    fn knowledge(&self, seat: &mut Seat, to_stock: bool) -> Result<Knowledge, Fault> {
        let mut knowledge = seat.occupant.policy().map_or(Ok(Knowledge::default()), EvictionPolicy::hand_over)?;
        let bytes = knowledge.bytes();
        if bytes > KNOWLEDGE_BYTES_MAX {
            self.note_fault(seat, &Fault::nonsense(format!("it hands over {bytes} bytes of what it has learnt")));
            return Ok(Knowledge::default());
        }
        knowledge.reads.truncate(self.table.read().slab.len() as usize);
        knowledge.ghosts.retain(|ghost| ghost.weight_bytes <= seat.capacity_bytes);
        if to_stock && !seat.maker().is_stock() {
            // Only stock policies write the private form of stock policies: that of a foreign one is made up.
            knowledge.private.clear();
        }
        Ok(knowledge)
    }

    /// Tells `next` the knowledge of the seat's occupant, and then of the entries in the occupant's order, as far as it
    /// names them.
    ///
    /// # Errors
    /// When `next` failed.
    fn tell_in_order(
        &self,
        seat: &mut Seat,
        (next, is_stock): (&mut Occupant, bool),
        now: Timestamp,
    ) -> Result<Known, Fault> {
        let mut known = Known::default();
        let knowledge = match self.knowledge(seat, is_stock) {
            Ok(knowledge) => knowledge,
            // All entries are then told of in the order of insertion.
            Err(fault) => {
                self.note_fault(seat, &fault);
                return Ok(known);
            }
        };
        let Seat { occupant, words, victims, .. } = &mut *seat;
        let (Some(before), Some(next)) = (occupant.policy(), next.policy()) else { return Ok(known) };
        next.take_over(&knowledge)?;
        let (slots, len) = {
            let table = self.table.read();
            (table.slab.len(), table.len())
        };
        let mut standings = Standings { told: 0, len, reads: knowledge.reads };
        let mut failed = false;
        let told = read_order(before, slots, |slice| {
            words.clear();
            self.table.read().write_arrivals(slice, &mut known, &mut standings, words);
            let told = tell(next, now, words, 0, victims);
            failed = told.is_err();
            told.map(|_| ())
        });
        words.clear();
        match told {
            Err(fault) if failed => {
                victims.clear();
                return Err(fault);
            }
            // The other entries are then told of in the order of insertion.
            Err(fault) => self.note_fault(seat, &fault),
            Ok(()) => {}
        }
        Ok(known)
    }

    /// Tells the seat's occupant, which knows the entries `known`, the difference to the resident entries, in place of
    /// the pending events. Returns the entries that are known to a policy which was told of all earlier hand-overs.
    fn bring_up_to_date(&self, seat: &mut Seat, known: &Known, now: Timestamp) -> (Known, Result<u64, Fault>) {
        let followed = {
            let table = self.table.upgradable_read();
            let followed = table.told();
            table.write_difference(known, &mut seat.words);
            seat.victims.retain(|victim| table.is_known(*victim, known));
            let mut table = RwLockUpgradableReadGuard::upgrade(table);
            table.reads.clear();
            table.forget_pending(&mut seat.released);
            followed
        };
        (followed, seat.ask(now, 0))
    }
}

impl<V> Table<V> {
    /// Packs the arrivals of those entries in `slots` that were in a hand-over already, each once and with the next
    /// rank.
    fn write_arrivals(&self, slots: &[u32], known: &mut Known, standings: &mut Standings, words: &mut Vec<u64>) {
        for slot in slots {
            let Some(entry) = self.slab.find(*slot) else { continue };
            if entry.is_resident() && entry.told_in_batch() <= self.last_batch && known.get(*slot) == 0 {
                known.set(*slot, entry.told_in_batch());
                self.write_arrival(*slot, standings.next(*slot), words);
            }
        }
    }

    /// The entries that are resident according to the events handed over so far.
    fn told(&self) -> Known {
        let mut known = Known::default();
        for slot in 0..self.slab.len() {
            let entry = self.slab.at(slot);
            if matches!(entry.state(), State::Resident | State::Departing) && entry.told_in_batch() <= self.last_batch {
                known.set(slot, entry.told_in_batch());
            }
        }
        known
    }

    fn is_known(&self, slot: u32, known: &Known) -> bool {
        self.slab.find(slot).is_some_and(|entry| entry.is_resident() && entry.told_in_batch() == known.get(slot))
    }

    /// Packs the events that turn `known` into the resident entries: departures and changes, then arrivals in the order
    /// of insertion.
    fn write_difference(&self, known: &Known, words: &mut Vec<u64>) {
        let mut arrived = 0;
        for slot in 0..self.slab.len() {
            let entry = self.slab.at(slot);
            if self.is_known(slot, known) {
                if entry.is_changed() {
                    let (weight_bytes, expires_ms) = (entry.weight_bytes(), entry.expires_ms());
                    pack(Event::Changed { slot, weight_bytes, expires_ms }, words);
                }
                continue;
            }
            if known.get(slot) != 0 {
                pack(Event::Departed { slot, reason: Departure::Evicted }, words);
            }
            arrived += usize::from(entry.is_resident());
        }
        self.write_newest(arrived, |slot, _| !self.is_known(slot, known), words);
    }
}
