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

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use super::pending::touched;
use super::slab::NO_SLOT;
use super::sync::{AtomicU32, AtomicUsize, number_thread, thread_number};

/// Stripes of a buffer: as many as threads run at a time, but no more than are worth being emptied at each insert. The same
/// for all buffers, so that a thread is dealt its stripe once.
static STRIPES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(8));

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is in the buffer.
    Kept,
    /// It is in the buffer, and its stripe is full.
    Filled,
    /// It is not: the stripe is full, or the thread has none yet.
    NoRoom,
}

/// The reads of a shard since the last hand-over.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    stripes: Box<[Stripe]>,
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
    /// A buffer of `len` reads, at least one, in each stripe.
    pub(super) fn new(len: usize) -> Self {
        Self { stripes: (0..*STRIPES).map(|_| Stripe::default()).collect(), len: len.clamp(1, 1 << 16) }
    }

    /// Notes a read of `slot`. The caller holds the table's shared lock.
    #[inline]
    pub(super) fn note(&self, slot: u32) -> Noted {
        self.own_stripe().map_or(Noted::NoRoom, |stripe| stripe.note(slot))
    }

    /// The stripe of the calling thread, once it has been dealt one.
    #[inline]
    fn own_stripe(&self) -> Option<&Stripe> {
        self.stripes.get(thread_number())
    }

    /// Whether the calling thread has a stripe with cells.
    pub(super) fn has_stripe(&self) -> bool {
        self.own_stripe().is_some_and(|stripe| !stripe.cells.is_empty())
    }

    /// Deals the calling thread a stripe and makes its cells, unless that was done.
    pub(super) fn make_stripe(&mut self) {
        let number = number_thread(self.stripes.len());
        self.stripes[number].make_cells(self.len);
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
    #[inline]
    fn note(&self, slot: u32) -> Noted {
        let at = self.cursor.load(Ordering::Acquire);
        let Some(cell) = self.cells.get(at) else { return Noted::NoRoom };
        cell.store(slot, Ordering::Relaxed);
        self.cursor.store(at + 1, Ordering::Release);
        if at + 1 == self.cells.len() { Noted::Filled } else { Noted::Kept }
    }

    fn make_cells(&mut self, len: usize) {
        if self.cells.is_empty() {
            self.cells = (0..len).map(|_| AtomicU32::new(NO_SLOT)).collect();
        }
    }

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
    use std::collections::BTreeSet;

    use sandbar_guest::eviction::{Event, unpack};

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
    fn buffer(len: usize) -> ReadBuffer {
        let mut reads = ReadBuffer::new(len);
        assert_eq!((reads.note(7), reads.has_stripe()), (Noted::NoRoom, false));
        reads.make_stripe();
        assert!(reads.has_stripe());
        reads
    }

    #[test]
    fn reads_come_out_in_order_and_once() {
        let mut reads = buffer(3);
        assert_eq!([7, 8, 7, 9].map(|slot| reads.note(slot)), [Noted::Kept, Noted::Kept, Noted::Filled, Noted::NoRoom]);
        assert_eq!(drained(&reads), [7, 8, 7]);
        assert!(reads.is_empty());
        assert!(drained(&reads).is_empty());
        assert_eq!(reads.note(1), Noted::Kept);
        reads.make_stripe();
        assert_eq!(drained(&reads), [1], "a stripe is made once");
    }

    #[test]
    fn what_was_overwritten_is_left_out() {
        let reads = buffer(8);
        for slot in [1, 2, NO_SLOT - 1, 4] {
            reads.note(slot);
        }
        reads.own_stripe().unwrap().cells[1].store(NO_SLOT, Ordering::Relaxed);
        assert_eq!(drained(&reads), [1, NO_SLOT - 1, 4]);
    }

    #[test]
    fn a_full_stripe_takes_as_many_as_it_says() {
        for len in [1, 31, 32, 33, 256] {
            let reads = buffer(len);
            let noted: Vec<Noted> = (0..len as u32).map(|slot| reads.note(slot)).collect();
            assert_eq!(noted.iter().position(|noted| *noted == Noted::Filled), Some(len - 1));
            assert_eq!(drained(&reads), (0..len as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn stripes_are_noted_in_at_a_time_and_nothing_is_lost() {
        let mut reads = ReadBuffer { stripes: (0..2).map(|_| Stripe::default()).collect(), len: 64 };
        reads.stripes.iter_mut().for_each(|stripe| stripe.make_cells(64));
        std::thread::scope(|scope| {
            for (first, stripe) in (0..).step_by(100).zip(&reads.stripes) {
                scope.spawn(move || (first..first + 60).for_each(|slot| assert_eq!(stripe.note(slot), Noted::Kept)));
            }
        });
        assert_eq!(drained(&reads), (0..60).chain(100..160).collect::<Vec<_>>());
    }

    #[test]
    fn threads_are_dealt_stripes_in_turn() {
        let number = || std::thread::spawn(|| [number_thread(3), number_thread(3), thread_number()]).join().unwrap();
        let numbers: Vec<[usize; 3]> = (0..20).map(|_| number()).collect();
        assert!(numbers.iter().all(|[first, again, its]| first == again && first == its && *first < 3));
        assert_eq!(numbers.iter().map(|number| number[0]).collect::<BTreeSet<_>>().len(), 3);
    }

    #[test]
    fn a_late_reader_exposes_no_read_of_before_the_last_exclusive_section() {
        let reads = buffer(4);
        for slot in [1, 2, 3] {
            reads.note(slot);
        }
        assert_eq!(drained(&reads), [1, 2, 3]);
        // A reader that had loaded cursor 2 before the drain finishes only now.
        let stripe = reads.own_stripe().unwrap();
        stripe.cells[2].store(9, Ordering::Relaxed);
        stripe.cursor.store(3, Ordering::Release);
        assert_eq!(drained(&reads), [9], "cells 0 and 1 were drained and stay so");
    }
}
