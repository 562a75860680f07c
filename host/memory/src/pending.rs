//! The bounded queue of events for the policy, in the order in which they happened.
//!
//! Beyond the bound reads are dropped. Arrivals and departures are not: the table itself remembers them (an entry that
//! the policy was not told of is marked by its hand-over number, a departed one keeps its slot), and packs them when
//! the policy is next asked.

use sandbar_guest::eviction::{Event, pack, packed::EVENT_WORDS_MAX};

use super::reads::ReadBuffer;
use super::words::WORDS_MAX;

/// The most words with which the queue still has room for an event of any kind.
const BATCH_WORDS_MAX: usize = WORDS_MAX - EVENT_WORDS_MAX;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Pending {
    words: Vec<u64>,
    overflowed: bool,
    /// Bytes by which entries arrived or grew since the last hand-over, entries that left again included.
    pub(super) came_bytes: u64,
    /// Bytes by which entries departed or shrank since the last hand-over: the policy still counts them.
    pub(super) left_bytes: u64,
}

impl Pending {
    /// Queues the reads in the buffer, as many as there is room for; returns how many, and how many were dropped.
    pub(super) fn take_reads(&mut self, reads: &ReadBuffer) -> (u64, u64) {
        let before = self.words.len();
        reads.drain(&mut self.words);
        let read = self.words.len() - before;
        let room = if self.overflowed { 0 } else { WORDS_MAX.saturating_sub(before) };
        let queued = read.min(room);
        self.words.truncate(before + queued);
        (queued as u64, (read - queued) as u64)
    }

    /// Queues an event, if there is room; false if it is the first one for which there is none. From then on none is
    /// queued.
    #[inline]
    pub(super) fn push(&mut self, event: Event) -> bool {
        if !self.has_room() {
            return std::mem::replace(&mut self.overflowed, true);
        }
        pack(event, &mut self.words);
        true
    }

    /// Whether there is room for an event of any kind. Once there is none, there is none until the next hand-over: only
    /// reads could still fit, and they are dropped from then on.
    pub(super) fn has_room(&self) -> bool {
        self.words.len() <= BATCH_WORDS_MAX
    }

    /// Number of words in the queue.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there was an event without room, so that the table has to remember events.
    pub(super) const fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether there is nothing to hand over.
    pub(super) fn is_empty(&self) -> bool {
        self.words.is_empty() && !self.overflowed
    }

    /// Moves the queued words into `words`, which is empty, and starts an empty queue.
    pub(super) fn take(&mut self, words: &mut Vec<u64>) {
        debug_assert!(words.is_empty(), "words of an earlier hand-over are lost");
        std::mem::swap(&mut self.words, words);
        self.clear();
    }

    /// Empties the queue and forgets that it overflowed.
    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.overflowed = false;
        self.came_bytes = 0;
        self.left_bytes = 0;
    }
}
