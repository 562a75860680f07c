//! The lossy read buffer, in which reads wait for the policy.
//!
//! Noting a read costs two plain loads and two plain stores, no read-modify-write, in a stripe that the thread has in
//! common with few others, so that its cache line is mostly in the thread's own processor. Two readers of a stripe that
//! note at the same instant may overwrite each other: a lost read makes eviction a little less exact, never wrong.
//!
//! One order is always kept: a read that is drained names an entry that is still resident. Readers note while they hold
//! the table's shared lock, and a thread that removes an entry first empties the buffer under the exclusive lock
//! ([`ReadBuffer::drain`]). A late reader may move the cursor back or forward over cells that were drained, but only as
//! far as the cursor had come since the last exclusive section: a reader that stored cursor `n` had seen cells `0..n`
//! written since then (the acquire/release pair on the cursor makes them visible), or emptied.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use super::slab::NO_SLOT;
use super::sync::{AtomicU32, AtomicUsize, number_thread, thread_number};
use super::words::{WORDS_MAX, touched};

/// Number of stripes of a buffer: as many as threads run at a time, but at most 8, as all are emptied at each insert.
/// It is the same for all buffers, so that a thread gets its stripe's number once.
static STRIPES: LazyLock<usize> = LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from).min(8));

/// A stripe has one cell for so many entries: it is long where there are many entries, so that handing reads over costs
/// little, and short where there are few, so that the policy learns of a read before it matters.
const ENTRIES_PER_READ: u32 = 16;
/// The fewest cells of a stripe, unless `len_max` is lower.
const LEN_MIN: u32 = 64;

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is in the buffer.
    Kept,
    /// It is in the buffer, and its stripe is full now.
    Filled,
    /// It is not in the buffer: the stripe was full, or the thread has none yet.
    NoRoom,
}

/// The reads of a shard since the last hand-over.
#[derive(Debug)]
pub(super) struct ReadBuffer {
    stripes: Box<[Stripe]>,
    /// Number of cells of a stripe.
    len: u16,
    /// The most cells that a stripe may have.
    len_max: u16,
    /// Number of entries from which on the stripes have to be longer.
    grows_at: u32,
}

/// The reads of some threads, on cache lines of their own: two, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe {
    /// Number of cells that are in use.
    cursor: AtomicUsize,
    /// The slots that were read. There are no cells until a thread needs them.
    cells: Box<[AtomicU32]>,
}

impl ReadBuffer {
    /// A buffer of at most `len_max` reads, and at least one, in each stripe. Full stripes take half of the queue together.
    pub(super) fn new(len_max: usize) -> Self {
        Self::with_stripes(*STRIPES, len_max)
    }

    fn with_stripes(stripes: usize, len_max: usize) -> Self {
        let len_max = len_max.clamp(1, WORDS_MAX / 2 / stripes) as u16;
        let mut reads =
            Self { stripes: (0..stripes).map(|_| Stripe::default()).collect(), len: 0, len_max, grows_at: 0 };
        reads.set_len(0);
        reads
    }

    /// Adapts the length of the stripes to the number of entries. The caller holds the table's exclusive lock, and the
    /// buffer is empty.
    #[inline]
    pub(super) fn fit(&mut self, entries: u32) {
        // The stripes shrink only well below the number at which they grew, as that number fluctuates.
        let len = u32::from(self.len);
        if entries >= self.grows_at || len > LEN_MIN && entries < len / 2 * ENTRIES_PER_READ {
            self.set_len(entries);
        }
    }

    #[cold]
    fn set_len(&mut self, entries: u32) {
        debug_assert!(self.is_empty(), "reads in the buffer are lost");
        let len_max = u32::from(self.len_max);
        let wanted = (entries / ENTRIES_PER_READ).max(LEN_MIN);
        let len = if wanted < len_max { 1 << wanted.ilog2() } else { len_max };
        let longer = (2 * len).min(len_max);
        self.grows_at = if len < longer { longer * ENTRIES_PER_READ } else { u32::MAX };
        self.len = len as u16;
        self.stripes.iter_mut().filter(|stripe| stripe.has_cells()).for_each(|stripe| stripe.make_cells(self.len));
    }

    /// Notes a read of `slot`. The caller holds the table's shared lock.
    #[inline]
    pub(super) fn note(&self, slot: u32) -> Noted {
        self.own_stripe().map_or(Noted::NoRoom, |stripe| stripe.note(slot))
    }

    /// The stripe of the calling thread, once the thread has a number.
    #[inline]
    fn own_stripe(&self) -> Option<&Stripe> {
        self.stripes.get(thread_number())
    }

    /// Whether the calling thread has a stripe with cells.
    pub(super) fn has_stripe(&self) -> bool {
        self.own_stripe().is_some_and(Stripe::has_cells)
    }

    /// Gives the calling thread a stripe and makes the stripe's cells, unless that was done.
    pub(super) fn make_stripe(&mut self) {
        let stripe = &mut self.stripes[number_thread(*STRIPES)];
        if !stripe.has_cells() {
            stripe.make_cells(self.len);
        }
    }

    /// Whether no read is in the buffer.
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

    const fn has_cells(&self) -> bool {
        !self.cells.is_empty()
    }

    fn make_cells(&mut self, len: u16) {
        self.cells = (0..len).map(|_| AtomicU32::new(NO_SLOT)).collect();
    }

    /// Moves the reads into `words`. This is a hot loop: one more instruction per read would be noticeable.
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
        // An emptied cell (`NO_SLOT`) has the highest bit set, and hardly any slot number has.
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

    /// A buffer in which the calling thread has a stripe.
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
        for len in [1, 31, 32, 33, 64] {
            let reads = buffer(len);
            let noted: Vec<Noted> = (0..len as u32).map(|slot| reads.note(slot)).collect();
            assert_eq!(noted.iter().position(|noted| *noted == Noted::Filled), Some(len - 1));
            assert_eq!(drained(&reads), (0..len as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn stripes_are_as_long_as_the_entries_ask_for() {
        let mut reads = ReadBuffer::with_stripes(2, 1000);
        reads.make_stripe();
        let lens = |reads: &mut ReadBuffer, entries: &[u32]| {
            let fit = |entries: &u32| {
                reads.fit(*entries);
                let with_cells: Vec<usize> =
                    reads.stripes.iter().map(|stripe| stripe.cells.len()).filter(|len| *len > 0).collect();
                assert_eq!(with_cells, [usize::from(reads.len)]);
                reads.len
            };
            entries.iter().map(fit).collect::<Vec<_>>()
        };
        assert_eq!(
            lens(&mut reads, &[0, 1, 2047, 2048, 8191, 8192, 15_999, 16_000]),
            [64, 64, 64, 128, 256, 512, 512, 1000]
        );
        assert_eq!(
            lens(&mut reads, &[u32::MAX - 1, 8000, 7999, 4096, 4095, 1023, 0]),
            [1000, 1000, 256, 256, 256, 64, 64]
        );
        for len_max in [1, 63, 64] {
            let mut reads = ReadBuffer::with_stripes(2, len_max);
            reads.make_stripe();
            assert_eq!(lens(&mut reads, &[0, 1 << 30, 0]), [len_max as u16; 3]);
        }
        assert_eq!(ReadBuffer::with_stripes(8, usize::MAX).len_max, 512);
    }

    #[test]
    fn stripes_are_noted_in_at_a_time_and_nothing_is_lost() {
        let mut reads = ReadBuffer::with_stripes(2, 64);
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
