//! The slots of a shard: what the engine knows of each entry, under a number that the entry keeps while it is resident.
//! Hits never look here.
//!
//! Slots are kept in chunks that never move: growing costs one chunk and no copy.

use sandbar_base::Timestamp;

/// Stands for no slot, as at the end of a list.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// Slots per chunk.
const CHUNK: usize = 64;

/// The most slots that a shard can have: for more, the part of the hash that a slot keeps would not suffice.
const SLOTS_MAX: u32 = 1 << 30;

/// The state of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// On the free list.
    Free,
    /// Holds an arrival that the policy is being told of and that no reader sees yet.
    Reserved,
    /// Holds an entry that readers see.
    Resident,
    /// Its entry is gone, but the policy has not been told: the slot may not be reused yet.
    Departing,
}

/// An entry's facts and its place in the order of insertion, in 28 bytes. The fetch cost is in the entry's bucket,
/// which has room for it.
#[derive(Debug)]
#[repr(C, packed(4))]
pub(super) struct Slot {
    /// From the lowest: two bits of state; one for whether weight or expiry were changed since it arrived; the highest seven of
    /// the hash; the lowest 14 of the hand-over's number; the weight.
    weight: u64,
    /// From the lowest: the other 32 bits of the hand-over's number; the expiry in units of 1024 milliseconds.
    expires: u64,
    /// The lowest bits of the hash.
    hash: u32,
    /// Slot of the resident entry inserted just before this one.
    pub(super) older: u32,
    /// Slot of the resident entry inserted just after this one; the next free slot where this one is free.
    pub(super) newer: u32,
}

/// The most that an entry can weigh, in bytes: 1 TiB.
pub(super) const WEIGHT_MAX: u64 = (1 << 40) - 1;

const STATE_BITS: u64 = 0b11;
const CHANGED_BIT: u64 = 0b100;
const TAG_SHIFT: u32 = 3;
const TAG_BITS: u64 = 0x7f;
/// Place of the tag in the hash: its highest seven bits.
const HASH_TAG_SHIFT: u32 = 57;
const TOLD_SHIFT: u32 = 10;
const TOLD_LOW_BITS: u32 = 14;
const TOLD_LOW: u64 = (1 << TOLD_LOW_BITS) - 1;
const TOLD_HIGH: u64 = u32::MAX as u64;
const WEIGHT_SHIFT: u32 = 24;
const EXPIRES_SHIFT: u32 = 32;
const EXPIRES_UNIT_SHIFT: u32 = 10;
/// This expiry, in units, counts as never.
const EXPIRES_MAX: u64 = u32::MAX as u64;

const fn expires_units(expires: Timestamp) -> u64 {
    let units = expires.as_millis() >> EXPIRES_UNIT_SHIFT;
    if units < EXPIRES_MAX { units } else { EXPIRES_MAX }
}

impl Slot {
    /// The slot of an entry that has no hand-over and no place in the order of insertion yet. The weight is at most
    /// [`WEIGHT_MAX`].
    #[inline]
    pub(super) const fn new(state: State, hash: u64, weight_bytes: u64, expires: Timestamp) -> Self {
        let kept = (hash >> HASH_TAG_SHIFT) << TAG_SHIFT | state as u64;
        Self {
            weight: weight_bytes << WEIGHT_SHIFT | kept,
            expires: expires_units(expires) << EXPIRES_SHIFT,
            hash: hash as u32,
            older: NO_SLOT,
            newer: NO_SLOT,
        }
    }

    const fn free(next: u32) -> Self {
        Self { weight: 0, expires: 0, hash: 0, older: NO_SLOT, newer: next }
    }

    /// The part of the entry's hash that the hash table uses: 32 bits for the place and 7 for the tag.
    #[inline]
    pub(super) const fn hash(&self) -> u64 {
        (self.weight >> TAG_SHIFT & TAG_BITS) << HASH_TAG_SHIFT | self.hash as u64
    }

    /// Number of the hand-over that tells the policy of this entry; together with the slot it identifies the entry for
    /// ever: 46 bits last for two years at a million hand-overs a second.
    #[inline]
    pub(super) const fn told_in_batch(&self) -> u64 {
        (self.expires & TOLD_HIGH) << TOLD_LOW_BITS | self.weight >> TOLD_SHIFT & TOLD_LOW
    }

    #[inline]
    pub(super) const fn set_told_in_batch(&mut self, hand_over: u64) {
        self.weight = self.weight & !(TOLD_LOW << TOLD_SHIFT) | (hand_over & TOLD_LOW) << TOLD_SHIFT;
        self.expires = self.expires & !TOLD_HIGH | hand_over >> TOLD_LOW_BITS & TOLD_HIGH;
    }

    /// The weight that the entry is charged with, overhead included.
    #[inline]
    pub(super) const fn weight_bytes(&self) -> u64 {
        self.weight >> WEIGHT_SHIFT
    }

    /// The end of the freshness lifetime in milliseconds since 1970, to about a second; `u64::MAX` where it never ends.
    #[inline]
    pub(super) const fn expires_ms(&self) -> u64 {
        match self.expires >> EXPIRES_SHIFT {
            EXPIRES_MAX => u64::MAX,
            units => units << EXPIRES_UNIT_SHIFT,
        }
    }

    /// Sets weight and expiry; false if both are unchanged.
    pub(super) const fn change(&mut self, weight_bytes: u64, expires: Timestamp) -> bool {
        const NOT_WEIGHT: u64 = (1 << WEIGHT_SHIFT) - 1;
        let weight = weight_bytes << WEIGHT_SHIFT | self.weight & NOT_WEIGHT;
        let expires = expires_units(expires) << EXPIRES_SHIFT | self.expires & TOLD_HIGH;
        let is_new = weight != self.weight || expires != self.expires;
        if is_new {
            self.weight = weight | CHANGED_BIT;
            self.expires = expires;
        }
        is_new
    }

    #[inline]
    pub(super) const fn link(&self) -> Link {
        Link { older: self.older, newer: self.newer, weight_bytes: self.weight_bytes() }
    }

    #[inline]
    pub(super) const fn state(&self) -> State {
        match self.weight & STATE_BITS {
            0 => State::Free,
            1 => State::Reserved,
            2 => State::Resident,
            _ => State::Departing,
        }
    }

    #[inline]
    pub(super) const fn set_state(&mut self, state: State) {
        self.weight = self.weight & !STATE_BITS | state as u64;
    }

    #[inline]
    pub(super) const fn is_resident(&self) -> bool {
        matches!(self.state(), State::Resident)
    }

    /// Whether weight or expiry were changed since the entry arrived.
    pub(super) const fn is_changed(&self) -> bool {
        self.weight & CHANGED_BIT != 0
    }
}

/// An entry's place in the order of insertion and its weight, which are undone when it leaves.
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

    /// Number of slots, free ones included.
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

    /// The free slot that [`Slab::fill`] fills next; none where all [`SLOTS_MAX`] slots are taken.
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

    /// Puts a slot on the free list. The entry's facts stay in it until it is filled again.
    #[inline]
    pub(super) fn release(&mut self, slot: u32) {
        let next = std::mem::replace(&mut self.free, slot);
        let entry = self.at_mut(slot);
        entry.set_state(State::Free);
        entry.newer = next;
    }

    /// Adds a chunk of free slots, the lowest first, so that low slots are in use where few are.
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

    fn at_ms(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_slot_keeps_its_parts_apart() {
        assert_eq!(size_of::<Slot>(), 28);
        let kept = |hash: u64| hash & 0xfe00_0000_ffff_ffff;
        for hash in [0, u64::MAX, 0x1234_5678_9abc_def0, 0xfedc_ba98_7654_3210] {
            for (weight, expires) in [(0, 0), (WEIGHT_MAX, u64::MAX), (0x12_3456_789a, 0x321_cba9_8400)] {
                let mut slot = Slot::new(State::Reserved, hash, weight, at_ms(expires));
                for hand_over in [0, 1, (1 << 46) - 1, 0x1234_5678_9abc] {
                    slot.set_told_in_batch(hand_over);
                    for state in [State::Reserved, State::Resident, State::Departing, State::Free] {
                        slot.set_state(state);
                        assert_eq!((slot.state(), slot.is_changed()), (state, false));
                        assert_eq!((slot.told_in_batch(), slot.hash()), (hand_over, kept(hash)));
                        assert_eq!((slot.weight_bytes(), slot.expires_ms()), (weight, expires));
                    }
                }
            }
        }
    }

    #[test]
    fn a_change_is_noted_and_leaves_the_rest() {
        let mut slot = Slot::new(State::Resident, !0, 5, at_ms(7 << 10));
        slot.set_told_in_batch(!0 >> 18);
        assert!(!slot.change(5, at_ms(7 << 10)) && !slot.is_changed());
        assert!(slot.change(6, at_ms(u64::MAX - 1)) && slot.is_changed());
        assert!(!slot.change(6, at_ms(u64::MAX)), "both are never");
        assert_eq!((slot.weight_bytes(), slot.expires_ms(), slot.told_in_batch()), (6, u64::MAX, !0 >> 18));
        assert!(slot.is_resident());
    }

    #[test]
    fn slots_are_given_out_from_the_lowest_and_again_when_free() {
        let mut slab = Slab::new();
        let take = |slab: &mut Slab| {
            let slot = slab.next();
            slab.fill(Slot::new(State::Resident, 0, 1, at_ms(0)));
            slot
        };
        let taken: Vec<u32> = (0..200).filter_map(|_| take(&mut slab)).collect();
        assert_eq!(taken, (0..200).collect::<Vec<_>>());
        slab.release(7);
        assert_eq!((take(&mut slab), take(&mut slab)), (Some(7), Some(200)));
        assert!(slab.find(255).is_some() && slab.find(256).is_none());
    }
}
