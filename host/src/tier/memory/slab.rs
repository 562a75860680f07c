//! The entries of a shard by slot: a number that an entry keeps for as long as it is resident.
//!
//! Slots live in chunks that never move, so growing costs one chunk and no copy. A slot is one cache line where the
//! value is a pointer.

use crate::clock::Timestamp;
use crate::key::KeyHash;

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

/// An entry and its place in the order of insertion.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Slot<V> {
    pub(super) key: KeyHash,
    /// The weight it is charged with, overhead included.
    pub(super) weight_bytes: u64,
    pub(super) expires: Timestamp,
    /// Number of the hand-over that tells the policy of this entry; with the slot, it names the entry for ever.
    pub(super) told_in: u64,
    pub(super) value: Option<V>,
    /// At most an hour and eleven minutes: a longer fetch is as dear as that.
    pub(super) fetch_cost_us: u32,
    /// The resident entry inserted just before this one.
    pub(super) older: u32,
    /// The resident entry inserted just after this one; the next free slot where this one is free.
    pub(super) newer: u32,
    pub(super) state: State,
    /// Whether weight or expiry were changed since it arrived.
    pub(super) changed: bool,
}

impl<V> Slot<V> {
    fn free(next: u32) -> Self {
        Self {
            key: KeyHash(0),
            weight_bytes: 0,
            expires: Timestamp::from_millis(0),
            told_in: 0,
            value: None,
            fetch_cost_us: 0,
            older: NO_SLOT,
            newer: next,
            state: State::Free,
            changed: false,
        }
    }
}

/// All slots of a shard.
#[derive(Debug)]
pub(super) struct Slab<V> {
    chunks: Vec<Box<[Slot<V>; CHUNK]>>,
    free: u32,
}

impl<V> Slab<V> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: NO_SLOT }
    }

    /// One more than the highest slot there is.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.chunks.len() * CHUNK).unwrap_or(NO_SLOT)
    }

    /// The slot `at`, which exists.
    #[inline]
    pub(super) fn at(&self, at: u32) -> &Slot<V> {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// The slot `at`, which exists.
    #[inline]
    pub(super) fn at_mut(&mut self, at: u32) -> &mut Slot<V> {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }

    /// The slot `at`, if there is one.
    pub(super) fn find(&self, at: u32) -> Option<&Slot<V>> {
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
        let first = self.chunks.len() * CHUNK;
        let after = u32::try_from(first + CHUNK).ok().filter(|after| *after < NO_SLOT)?;
        let next = |slot: usize| u32::try_from(slot + 1).ok().filter(|next| *next < after).unwrap_or(NO_SLOT);
        let chunk: Vec<Slot<V>> = (first..first + CHUNK).map(|slot| Slot::free(next(slot))).collect();
        self.chunks.push(chunk.into_boxed_slice().try_into().ok()?);
        self.free = u32::try_from(first).ok()?;
        Some(())
    }
}
