//! The lossy read buffer: reads on their way to the policy.
//!
//! Noting a read costs two plain loads and two plain stores, no read-modify-write, in a stripe that the thread shares
//! with few others: what it writes to is in its own processor's cache. Two readers of a stripe that note at the same
//! instant may overwrite each other: a lost read makes eviction a little less exact, never wrong.
//!
//! What is never lost is the order that matters: a read that comes out names an entry that is still resident. Readers
//! note while they hold the table's shared lock, and whoever removes an entry first empties the buffer under the
//! exclusive lock ([`ReadBuffer::drain`]). A late reader may move the cursor back or forward over cells that were drained,
//! but only as far as it had come since the last exclusive section: whoever stored cursor `n` had seen cells `0..n`
//! written since then (the acquire/release pair on the cursor hands that on), or emptied.

use std::sync::atomic::Ordering;

use super::pending::touched;
use super::slab::NO_SLOT;
use super::sync::{AtomicU32, AtomicUsize, thread_number};

/// More stripes than this would be emptied at each insert for nothing.
const STRIPES_MAX: usize = 8;

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is in the buffer.
    Kept,
    /// It is in the buffer, and its stripe is full.
    Filled,
    /// The stripe was full.
    Dropped,
    /// The thread has no stripe yet: [`ReadBuffer::make_stripe`] comes first.
    NoStripe,
}

/// The reads of a shard since the last hand-over.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    /// A power of two.
    stripes: Box<[Stripe]>,
    /// One less than there are stripes.
    mask: usize,
    /// Reads in a stripe.
    len: usize,
}

/// The reads of some threads, on a cache line of its own. (Two, since processors fetch them in pairs.)
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    /// Cells that are in use.
    cursor: AtomicUsize,
    /// None until a thread needs them.
    cells: Box<[AtomicU32]>,
}

impl ReadBuffer {
    /// A buffer of `len` reads, at least one, for each of `threads` that read at a time. With `len` 1 there is one for
    /// all: each read is handed over at once then.
    pub(super) fn new(len: usize, threads: usize) -> Self {
        let len = len.clamp(1, 1 << 16);
        let stripes = if len == 1 { 1 } else { threads.clamp(1, STRIPES_MAX).next_power_of_two() };
        Self { stripes: (0..stripes).map(|_| Stripe::default()).collect(), mask: stripes - 1, len }
    }

    /// Notes a read of `slot`. The caller holds the table's shared lock.
    #[inline]
    pub(super) fn note(&self, slot: u32) -> Noted {
        let number = thread_number();
        let stripe = self.stripes.get(number & self.mask);
        let Stripe { cursor, cells } = stripe.expect("the mask is below their number");
        let at = cursor.load(Ordering::Acquire);
        let Some(cell) = cells.get(at) else {
            return if cells.is_empty() { Noted::NoStripe } else { Noted::Dropped };
        };
        cell.store(slot, Ordering::Relaxed);
        cursor.store(at + 1, Ordering::Release);
        if at + 1 == cells.len() { Noted::Filled } else { Noted::Kept }
    }

    /// Makes the stripe of the calling thread, unless there is one.
    pub(super) fn make_stripe(&mut self) {
        let cells = &mut self.stripes[thread_number() & self.mask].cells;
        if cells.is_empty() {
            *cells = (0..self.len).map(|_| AtomicU32::new(NO_SLOT)).collect();
        }
    }

    /// Whether nothing was noted.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.stripes.iter().all(|stripe| stripe.cursor.load(Ordering::Acquire) == 0)
    }

    /// Appends the reads to `words`, packed, stripe by stripe, oldest first, and empties the buffer. The caller holds the
    /// table's exclusive lock, or its shared lock and the policy's.
    pub(super) fn drain(&self, words: &mut Vec<u64>) {
        self.stripes.iter().for_each(|stripe| stripe.drain(words));
    }

    /// Forgets the reads. The caller holds the same locks as for [`ReadBuffer::drain`].
    pub(super) fn clear(&self) {
        self.drain(&mut Vec::new());
    }
}

impl Stripe {
    /// An instruction more per read counts here.
    fn drain(&self, words: &mut Vec<u64>) {
        let noted = self.cursor.load(Ordering::Acquire);
        if noted == 0 {
            return;
        }
        let start = words.len();
        let mut any = 0;
        words.extend(self.cells[..noted.min(self.cells.len())].iter().map(|cell| {
            let slot = cell.load(Ordering::Relaxed);
            cell.store(NO_SLOT, Ordering::Relaxed);
            any |= slot;
            touched(slot)
        }));
        // A cell that was emptied has the highest bit set, and hardly any slot has.
        if any > NO_SLOT >> 1 {
            let read = words.split_off(start);
            words.extend(read.into_iter().filter(|word| *word != touched(NO_SLOT)));
        }
        self.cursor.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use sandbar_guest::eviction::{Event, unpack};

    use super::super::sync::RwLock;
    use super::*;

    fn drained(reads: &ReadBuffer) -> Vec<u32> {
        let mut words = vec![];
        reads.drain(&mut words);
        let slot = |event: Event| match event {
            Event::Touched { slot } => slot,
            other => panic!("{other:?}"),
        };
        unpack(&words).map(slot).collect()
    }

    /// A buffer in which this thread has a stripe.
    fn buffer(len: usize, threads: usize) -> ReadBuffer {
        let mut reads = ReadBuffer::new(len, threads);
        assert_eq!(reads.note(7), Noted::NoStripe);
        reads.make_stripe();
        reads
    }

    #[test]
    fn reads_come_out_in_order_and_once() {
        let mut reads = buffer(3, 4);
        assert_eq!(
            [7, 8, 7, 9].map(|slot| reads.note(slot)),
            [Noted::Kept, Noted::Kept, Noted::Filled, Noted::Dropped]
        );
        assert_eq!(drained(&reads), [7, 8, 7]);
        assert!(reads.is_empty());
        assert!(drained(&reads).is_empty());
        assert_eq!(reads.note(1), Noted::Kept);
        reads.make_stripe();
        assert_eq!(drained(&reads), [1], "a stripe is made once");
    }

    #[test]
    fn what_was_overwritten_is_left_out() {
        let reads = buffer(8, 1);
        [1, 2, NO_SLOT - 1, 4].map(|slot| reads.note(slot));
        reads.stripes[0].cells[1].store(NO_SLOT, Ordering::Relaxed);
        assert_eq!(drained(&reads), [1, NO_SLOT - 1, 4]);
    }

    #[test]
    fn a_full_stripe_takes_as_many_as_it_says() {
        for len in [1, 31, 32, 33, 256] {
            let reads = buffer(len, 2);
            let noted: Vec<Noted> = (0..len as u32).map(|slot| reads.note(slot)).collect();
            assert_eq!(noted.iter().position(|noted| *noted == Noted::Filled), Some(len - 1));
            assert_eq!(drained(&reads), (0..len as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn threads_note_apart_and_nothing_is_lost() {
        let reads = RwLock::new(ReadBuffer::new(64, 8));
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let reads = &reads;
                // Thread numbers follow each other: the two never share one of eight stripes.
                scope.spawn(move || {
                    reads.write().make_stripe();
                    (0..60).for_each(|slot| assert_eq!(reads.read().note(100 * thread + slot), Noted::Kept));
                });
            }
        });
        let mut slots = drained(&reads.read());
        if slots[0] >= 100 {
            slots.rotate_left(60);
        }
        assert_eq!(slots, (0..60).chain(100..160).collect::<Vec<_>>());
    }

    #[test]
    fn a_late_reader_exposes_no_read_of_before_the_last_exclusive_section() {
        let reads = buffer(4, 1);
        for slot in [1, 2, 3] {
            reads.note(slot);
        }
        assert_eq!(drained(&reads), [1, 2, 3]);
        // A reader that had loaded cursor 2 before the drain finishes only now.
        let stripe = &reads.stripes[0];
        stripe.cells[2].store(9, Ordering::Relaxed);
        stripe.cursor.store(3, Ordering::Release);
        assert_eq!(drained(&reads), [9], "cells 0 and 1 were drained and stay so");
    }
}
