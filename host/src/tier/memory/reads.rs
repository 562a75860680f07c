//! The lossy read buffer: reads on their way to the policy.
//!
//! Noting a read costs two plain loads and two plain stores, no read-modify-write. Two readers that note at the same
//! instant may overwrite each other: a lost read makes eviction a little less exact, never wrong.
//!
//! What is never lost is the order that matters: a read that comes out names an entry that is still resident. Readers
//! note while they hold the table's shared lock, and whoever removes an entry first empties the buffer under the
//! exclusive lock ([`ReadBuffer::drain`]). A late reader may move the cursor back or forward over cells that were drained,
//! but only as far as it had come since the last exclusive section: whoever stored cursor `n` had seen cells `0..n`
//! written since then (the acquire/release pair on the cursor hands that on), or emptied.

use std::sync::atomic::{AtomicU32, Ordering};

use super::slab::NO_SLOT;

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is in the buffer.
    Kept,
    /// It is in the buffer, and the buffer is full.
    Filled,
    /// The buffer was full.
    Dropped,
}

/// The reads of a shard since the last hand-over.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    cursor: AtomicU32,
    cells: Box<[AtomicU32]>,
}

impl ReadBuffer {
    /// A buffer of `len` reads, at least one.
    pub(super) fn new(len: usize) -> Self {
        let len = len.clamp(1, 1 << 16);
        Self { cursor: AtomicU32::new(0), cells: (0..len).map(|_| AtomicU32::new(NO_SLOT)).collect() }
    }

    /// Notes a read of `slot`. The caller holds the table's shared lock.
    #[inline]
    pub(super) fn note(&self, slot: u32) -> Noted {
        let at = self.cursor.load(Ordering::Acquire);
        let Some(cell) = self.cells.get(at as usize) else { return Noted::Dropped };
        cell.store(slot, Ordering::Relaxed);
        self.cursor.store(at + 1, Ordering::Release);
        if at as usize + 1 == self.cells.len() { Noted::Filled } else { Noted::Kept }
    }

    /// Whether nothing was noted.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.cursor.load(Ordering::Acquire) == 0
    }

    /// Takes the reads out, oldest first. The caller holds the table's exclusive lock, or its shared lock and the
    /// policy's.
    #[inline]
    pub(super) fn drain(&self, mut each: impl FnMut(u32)) {
        let noted = (self.cursor.load(Ordering::Acquire) as usize).min(self.cells.len());
        for cell in &self.cells[..noted] {
            let slot = cell.load(Ordering::Relaxed);
            if slot != NO_SLOT {
                cell.store(NO_SLOT, Ordering::Relaxed);
                each(slot);
            }
        }
        self.cursor.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(reads: &ReadBuffer) -> Vec<u32> {
        let mut slots = vec![];
        reads.drain(|slot| slots.push(slot));
        slots
    }

    #[test]
    fn reads_come_out_in_order_and_once() {
        let reads = ReadBuffer::new(3);
        assert_eq!(
            [7, 8, 7, 9].map(|slot| reads.note(slot)),
            [Noted::Kept, Noted::Kept, Noted::Filled, Noted::Dropped]
        );
        assert_eq!(drained(&reads), [7, 8, 7]);
        assert!(reads.is_empty());
        assert!(drained(&reads).is_empty());
        assert_eq!(reads.note(1), Noted::Kept);
        assert_eq!(drained(&reads), [1]);
    }

    #[test]
    fn a_late_reader_exposes_no_read_of_before_the_last_exclusive_section() {
        let reads = ReadBuffer::new(4);
        for slot in [1, 2, 3] {
            reads.note(slot);
        }
        assert_eq!(drained(&reads), [1, 2, 3]);
        // A reader that had loaded cursor 2 before the drain finishes only now.
        reads.cells[2].store(9, Ordering::Relaxed);
        reads.cursor.store(3, Ordering::Release);
        assert_eq!(drained(&reads), [9], "cells 0 and 1 were drained and stay so");
    }
}
