//! What is known of entries by slot: a number that an entry keeps for as long as it is resident. Readers never look here.
//!
//! Slots live in chunks that never move: growing costs one chunk and no copy.

use super::Facts;
use crate::clock::Timestamp;

/// No slot: the end of a list.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// Slots per chunk.
const CHUNK: usize = 64;

/// More entries than this one shard can't have: the part of a hash that a slot keeps would not suffice.
const SLOTS_MAX: u32 = 1 << 30;

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
    /// From the lowest: the highest eight bits of its hash, the number of the hand-over that tells the policy of it.
    told_and_hash: u64,
    /// The lowest bits of its hash.
    hash: u32,
    /// The resident entry inserted just before this one.
    pub(super) older: u32,
    /// The resident entry inserted just after this one; the next free slot where this one is free.
    pub(super) newer: u32,
    /// From the lowest: two bits of state, one for whether weight or expiry were changed since it arrived, the fetch cost.
    packed: u32,
}

const TOLD_SHIFT: u32 = 8;
const HASH_HIGH_SHIFT: u32 = 56;
const STATE_BITS: u32 = 0b11;
const CHANGED_BIT: u32 = 0b100;
const COST_SHIFT: u32 = 3;

impl Slot {
    /// Of an entry that is told of in no hand-over yet and inserted after no other.
    #[inline]
    pub(super) fn new(state: State, hash: u64, weight_bytes: u64, facts: Facts) -> Self {
        Self {
            weight_bytes,
            expires: facts.expires,
            told_and_hash: hash >> HASH_HIGH_SHIFT,
            hash: hash as u32,
            older: NO_SLOT,
            newer: NO_SLOT,
            packed: packed_cost(facts) | state as u32,
        }
    }

    const fn free(next: u32) -> Self {
        Self {
            weight_bytes: 0,
            expires: Timestamp::from_millis(0),
            told_and_hash: 0,
            hash: 0,
            older: NO_SLOT,
            newer: next,
            packed: 0,
        }
    }

    /// As much of its hash as the table makes use of: 32 bits for the place and 7 for the tag.
    pub(super) const fn hash(&self) -> u64 {
        self.told_and_hash << HASH_HIGH_SHIFT | self.hash as u64
    }

    /// Number of the hand-over that tells the policy of this entry; with the slot, it names the entry for ever.
    pub(super) const fn told_in(&self) -> u64 {
        self.told_and_hash >> TOLD_SHIFT
    }

    pub(super) const fn set_told_in(&mut self, hand_over: u64) {
        self.told_and_hash = self.told_and_hash & ((1 << TOLD_SHIFT) - 1) | hand_over << TOLD_SHIFT;
    }

    pub(super) const fn link(&self) -> Link {
        Link { older: self.older, newer: self.newer, weight_bytes: self.weight_bytes }
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
        self.packed = self.packed & (STATE_BITS | CHANGED_BIT) | packed_cost(facts);
        self.expires = facts.expires;
    }
}

#[inline]
fn packed_cost(facts: Facts) -> u32 {
    (facts.fetch_cost_us.min(u64::from(u32::MAX >> COST_SHIFT)) as u32) << COST_SHIFT
}

/// What is to be undone when an entry leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) older: u32,
    pub(super) newer: u32,
    pub(super) weight_bytes: u64,
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

    /// The slot `at`, if there is one.
    #[inline]
    pub(super) fn find_mut(&mut self, at: u32) -> Option<&mut Slot> {
        self.chunks.get_mut(at as usize / CHUNK).map(|chunk| &mut chunk[at as usize % CHUNK])
    }

    /// The slot that [`Slab::fill`] fills next; none where all are taken.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u32> {
        if self.free == NO_SLOT {
            self.grow()?;
        }
        Some(self.free)
    }

    /// Fills the slot that [`Slab::next`] named.
    #[inline]
    pub(super) fn fill(&mut self, entry: Slot) {
        self.free = std::mem::replace(self.at_mut(self.free), entry).newer;
    }

    /// Gives a slot back. What it says of its entry stays until it is filled again.
    #[inline]
    pub(super) fn release(&mut self, slot: u32) {
        let next = std::mem::replace(&mut self.free, slot);
        let entry = self.at_mut(slot);
        entry.set_state(State::Free);
        entry.newer = next;
    }

    /// Lowest slots first: they are the ones in use when few are.
    #[cold]
    fn grow(&mut self) -> Option<()> {
        let first = self.len();
        let after = (first < SLOTS_MAX).then_some(first + CHUNK as u32)?;
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
    fn a_slot_keeps_the_parts_of_the_hash_that_count() {
        for hash in [0, u64::MAX, 0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210] {
            let mut slot = Slot::new(State::Resident, hash, 1, Facts::default());
            assert_eq!((slot.told_in(), slot.hash()), (0, hash & 0xff00_0000_ffff_ffff));
            for hand_over in [1, (1 << 56) - 1, 7] {
                slot.set_told_in(hand_over);
                assert_eq!((slot.told_in(), slot.hash()), (hand_over, hash & 0xff00_0000_ffff_ffff));
            }
        }
    }

    #[test]
    fn slots_are_given_out_from_the_lowest_and_again_when_free() {
        let mut slab = Slab::new();
        let take = |slab: &mut Slab| {
            let slot = slab.next();
            slab.fill(Slot::new(State::Resident, 0, 1, Facts::default()));
            slot
        };
        let taken: Vec<u32> = (0..200).filter_map(|_| take(&mut slab)).collect();
        assert_eq!(taken, (0..200).collect::<Vec<_>>());
        slab.release(7);
        assert_eq!((take(&mut slab), take(&mut slab)), (Some(7), Some(200)));
        assert!(slab.find(255).is_some() && slab.find(256).is_none());
    }
}
