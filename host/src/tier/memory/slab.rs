//! What is known of entries by slot: a number that an entry keeps for as long as it is resident. Readers never look here.
//!
//! Slots live in chunks that never move: growing costs one chunk and no copy.

use super::Facts;
use crate::clock::Timestamp;

/// No slot: the end of a list.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// Slots per chunk.
const CHUNK: usize = 64;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing; on the free list.
    Free,
    /// An arrival that the policy is being told of and that no reader sees yet.
    Reserved,
    /// An entry that readers see.
    Resident,
    /// The entry is gone, but the policy has not been told: the slot is kept back.
    Departing,
}

/// An entry's facts and its place in the order of insertion, in 40 bytes.
#[derive(Debug)]
pub(super) struct Slot {
    /// The weight it is charged with, overhead included.
    pub(super) weight_bytes: u64,
    pub(super) expires: Timestamp,
    /// Number of the hand-over that tells the policy of this entry; with the slot, it names the entry for ever.
    pub(super) told_in: u64,
    /// As much of its hash as it takes to find it in the table.
    pub(super) hash: u32,
    /// The resident entry inserted just before this one.
    pub(super) older: u32,
    /// The resident entry inserted just after this one; the next free slot where this one is free.
    pub(super) newer: u32,
    /// From the lowest: two bits of state, one for whether weight or expiry were changed since it arrived, the fetch cost.
    packed: u32,
}

const STATE_BITS: u32 = 0b11;
const CHANGED_BIT: u32 = 0b100;
const COST_SHIFT: u32 = 3;

impl Slot {
    const fn free(next: u32) -> Self {
        Self {
            weight_bytes: 0,
            expires: Timestamp::from_millis(0),
            told_in: 0,
            hash: 0,
            older: NO_SLOT,
            newer: next,
            packed: 0,
        }
    }

    pub(super) const fn state(&self) -> State {
        match self.packed & STATE_BITS {
            0 => State::Free,
            1 => State::Reserved,
            2 => State::Resident,
            _ => State::Departing,
        }
    }

    pub(super) const fn set_state(&mut self, state: State) {
        self.packed = self.packed & !STATE_BITS | state as u32;
    }

    pub(super) const fn is_resident(&self) -> bool {
        matches!(self.state(), State::Resident)
    }

    /// Whether weight or expiry were changed since it arrived.
    pub(super) const fn is_changed(&self) -> bool {
        self.packed & CHANGED_BIT != 0
    }

    pub(super) const fn set_changed(&mut self) {
        self.packed |= CHANGED_BIT;
    }

    /// At most nine minutes: a longer fetch is as dear as that.
    pub(super) const fn fetch_cost_us(&self) -> u64 {
        (self.packed >> COST_SHIFT) as u64
    }

    /// Takes over what the policy is told of an entry, but for the weight.
    pub(super) fn set_facts(&mut self, facts: Facts) {
        let cost = facts.fetch_cost_us.min(u64::from(u32::MAX >> COST_SHIFT)) as u32;
        self.packed = self.packed & (STATE_BITS | CHANGED_BIT) | cost << COST_SHIFT;
        self.expires = facts.expires;
    }
}

/// All slots of a shard.
#[derive(Debug)]
pub(super) struct Slab {
    #[expect(clippy::vec_box, reason = "growing moves pointers, not the slots of all readers")]
    chunks: Vec<Box<[Slot; CHUNK]>>,
    free: u32,
}

impl Slab {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: NO_SLOT }
    }

    /// One more than the highest slot there is.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.chunks.len() * CHUNK).unwrap_or(NO_SLOT)
    }

    /// The slot `at`, which exists.
    #[inline]
    pub(super) fn at(&self, at: u32) -> &Slot {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// The slot `at`, which exists.
    #[inline]
    pub(super) fn at_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// The slot `at`, if there is one.
    pub(super) fn find(&self, at: u32) -> Option<&Slot> {
        self.chunks.get(at as usize / CHUNK).map(|chunk| &chunk[at as usize % CHUNK])
    }

    /// A slot that was free, to be filled by the caller at once; none where all numbers are given away.
    pub(super) fn take(&mut self) -> Option<u32> {
        if self.free == NO_SLOT {
            self.grow()?;
        }
        let slot = self.free;
        self.free = self.at(slot).newer;
        Some(slot)
    }

    /// Gives a slot back.
    pub(super) fn release(&mut self, slot: u32) {
        *self.at_mut(slot) = Slot::free(self.free);
        self.free = slot;
    }

    /// Lowest slots first: they are the ones in use when few are.
    fn grow(&mut self) -> Option<()> {
        let first = self.len();
        let after = first.checked_add(CHUNK as u32)?;
        let next = |slot: u32| if slot + 1 == after { NO_SLOT } else { slot + 1 };
        let chunk: Vec<Slot> = (first..after).map(|slot| Slot::free(next(slot))).collect();
        self.chunks.push(chunk.into_boxed_slice().try_into().ok()?);
        self.free = first;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_keeps_its_facts_apart() {
        assert_eq!(size_of::<Slot>(), 40);
        let mut slot = Slot::free(3);
        slot.set_facts(Facts { fetch_cost_us: 123_456, ..Facts::default() });
        for state in [State::Reserved, State::Resident, State::Departing, State::Free] {
            slot.set_state(state);
            assert_eq!((slot.state(), slot.is_changed(), slot.fetch_cost_us()), (state, false, 123_456));
        }
        slot.set_changed();
        slot.set_facts(Facts { fetch_cost_us: u64::MAX, ..Facts::default() });
        assert_eq!((slot.state(), slot.is_changed(), slot.fetch_cost_us()), (State::Free, true, (1 << 29) - 1));
    }

    #[test]
    fn slots_are_given_out_from_the_lowest_and_again_when_free() {
        let mut slab = Slab::new();
        let taken: Vec<u32> = (0..200).filter_map(|_| slab.take()).collect();
        assert_eq!(taken, (0..200).collect::<Vec<_>>());
        slab.release(7);
        assert_eq!((slab.take(), slab.take()), (Some(7), Some(200)));
        assert!(slab.find(255).is_some() && slab.find(256).is_none());
    }
}
