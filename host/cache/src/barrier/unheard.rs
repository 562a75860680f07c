//! Purges that are to be recorded where they outlive the node, and told to no other node.
//!
//! They wait by scope: the same target written a thousand times while Redis answers once is one record. There are so few at a
//! time that whoever makes one beyond that waits for its own record instead.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{Barrier, Purge, Scope};

/// Such purges of one tenant that wait.
#[derive(Debug, Default)]
pub(crate) struct Unheard {
    waiting: Mutex<Waiting>,
    recording: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    barriers: HashMap<Purge, Barrier>,
    bytes: usize,
}

/// What became of a purge that is to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Waits,
    /// The same purge waited already, and is recorded for both.
    WithAnother,
    /// Too many wait.
    NoRoom,
}

impl Unheard {
    const PURGES_MAX: usize = 1024;
    /// Bytes of their scopes together.
    const BYTES_MAX: usize = 1 << 20;

    pub(crate) fn push(&self, barrier: Barrier) -> Pushed {
        let mut waiting = self.waiting.lock();
        if let Some(other) = waiting.barriers.get_mut(&barrier.purge) {
            other.sequence = other.sequence.max(barrier.sequence);
            return Pushed::WithAnother;
        }
        let bytes = barrier.purge.scope.bytes();
        let is_full = waiting.barriers.len() >= Self::PURGES_MAX || waiting.bytes + bytes > Self::BYTES_MAX;
        // A purge of everything is made where there is no room for another one.
        if is_full && barrier.purge.scope != Scope::Everything {
            return Pushed::NoRoom;
        }
        waiting.bytes += bytes;
        waiting.barriers.insert(barrier.purge.clone(), barrier);
        Pushed::Waits
    }

    /// Takes up to `most` of them out, to be recorded.
    pub(crate) fn take(&self, most: usize) -> Vec<Barrier> {
        let mut waiting = self.waiting.lock();
        let purges: Vec<_> = waiting.barriers.keys().take(most).cloned().collect();
        let taken: Vec<_> = purges.iter().filter_map(|purge| waiting.barriers.remove(purge)).collect();
        waiting.bytes -= taken.iter().map(|barrier| barrier.purge.scope.bytes()).sum::<usize>();
        taken
    }

    /// Some of those that wait, `most` at most.
    pub(crate) fn first(&self, most: usize) -> Vec<Purge> {
        self.waiting.lock().barriers.keys().take(most).cloned().collect()
    }

    /// Purges that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().barriers.len()
    }

    /// Takes the duty to record them; false where another task has it.
    pub(crate) fn take_duty(&self) -> bool {
        !self.recording.swap(true, Ordering::AcqRel)
    }

    /// Gives the duty back; false where there is more to do by now, and the duty is taken again.
    pub(crate) fn give_back_duty(&self) -> bool {
        self.recording.store(false, Ordering::Release);
        self.len() == 0 || !self.take_duty()
    }
}

#[cfg(test)]
mod tests {
    use sandbar_base::clock::Timestamp;

    use super::*;
    use crate::barrier::PurgeMode;

    fn barrier(scope: String, sequence: u64) -> Barrier {
        let purge = Purge { scope: Scope::SurrogateKey(scope), mode: PurgeMode::Hard };
        Barrier { purge, sequence, raised: Timestamp::from_millis(0) }
    }

    #[test]
    fn one_record_stands_for_all_of_a_scope() {
        let unheard = Unheard::default();
        assert_eq!(unheard.push(barrier("a".into(), 1)), Pushed::Waits);
        for sequence in 2..10_000 {
            assert_eq!(unheard.push(barrier("a".into(), sequence)), Pushed::WithAnother);
        }
        assert_eq!(unheard.push(barrier("b".into(), 3)), Pushed::Waits);
        let mut taken = unheard.take(10);
        taken.sort_by_key(|barrier| barrier.sequence);
        assert_eq!(taken.iter().map(|barrier| barrier.sequence).collect::<Vec<_>>(), [3, 9_999]);
        assert_eq!((unheard.len(), unheard.waiting.lock().bytes), (0, 0));
    }

    #[test]
    fn they_are_bounded_in_number_and_in_bytes() {
        let unheard = Unheard::default();
        assert!((0..Unheard::PURGES_MAX).all(|n| unheard.push(barrier(n.to_string(), 1)) == Pushed::Waits));
        assert_eq!(unheard.push(barrier("one more".into(), 1)), Pushed::NoRoom);
        let unheard = Unheard::default();
        assert_eq!(unheard.push(barrier("x".repeat(Unheard::BYTES_MAX), 1)), Pushed::Waits);
        assert_eq!(unheard.push(barrier("y".into(), 1)), Pushed::NoRoom);
        assert!(unheard.take_duty() && !unheard.take_duty() && !unheard.give_back_duty());
        unheard.take(1);
        assert!(unheard.give_back_duty());
    }
}
