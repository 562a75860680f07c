//! Events on their way to the policy, in the order in which they happened, in a bounded queue.
//!
//! Past the bound reads are dropped. Arrivals and departures are not: the table itself remembers them (an untold entry
//! is marked by its hand-over number, a departed one keeps its slot), and writes them down when the policy is next asked.

use sandbar_guest::eviction::{Event, pack, packed::EVENT_WORDS_MAX};

use super::reads::ReadBuffer;
use super::words::WORDS_MAX;

/// With more words than this in it, it has no room for any event.
const BATCH_WORDS_MAX: usize = WORDS_MAX - EVENT_WORDS_MAX;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Pending {
    words: Vec<u64>,
    overflowed: bool,
    /// Weight of everything that came or grew since the last hand-over, in bytes; what left again included.
    pub(super) came_bytes: u64,
    /// Weight of everything that departed or shrank since the last hand-over, in bytes: the policy still counts it.
    pub(super) left_bytes: u64,
}

impl Pending {
    /// Queues the reads in the buffer, as many as there is room for; answers how many, and how many were dropped.
    pub(super) fn take_reads(&mut self, reads: &ReadBuffer) -> (u64, u64) {
        let before = self.words.len();
        reads.drain(&mut self.words);
        let read = self.words.len() - before;
        let room = if self.overflowed { 0 } else { WORDS_MAX.saturating_sub(before) };
        let queued = read.min(room);
        self.words.truncate(before + queued);
        (queued as u64, (read - queued) as u64)
    }

    /// Queues an event; false if it was the first one for which there was no room. From then on nothing is queued.
    #[inline]
    pub(super) fn push(&mut self, event: Event) -> bool {
        if !self.has_room() {
            return std::mem::replace(&mut self.overflowed, true);
        }
        pack(event, &mut self.words);
        true
    }

    /// Whether there is room for any event. Where there once was none, there is none until the next hand-over: nothing but
    /// reads is shorter, and those are dropped from then on.
    pub(super) fn has_room(&self) -> bool {
        self.words.len() <= BATCH_WORDS_MAX
    }

    /// Words in the queue.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether events were left to the table to remember.
    pub(super) const fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether there is nothing to hand over.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.overflowed
    }

    /// Hands the words over to `words`, which is empty, and starts anew.
    pub(super) fn take(&mut self, words: &mut Vec<u64>) {
        debug_assert!(words.is_empty(), "words of an earlier hand-over are lost");
        std::mem::swap(&mut self.words, words);
        self.clear();
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.overflowed = false;
        self.came_bytes = 0;
        self.left_bytes = 0;
    }
}
