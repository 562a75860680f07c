//! Purges that could not be delivered yet. Each tenant has an outbox, so that one that purges too much holds up nobody
//! else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{Barrier, Purge, PurgeMode, Scope};

/// A purge on its way to the other nodes. On this one it has taken effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parcel {
    /// To be recorded where it outlives this node, then published.
    Raised(Barrier),
    /// Recorded; to be published.
    Recorded(Barrier),
}

impl Parcel {
    pub(crate) fn into_barrier(self) -> Barrier {
        let (Self::Raised(barrier) | Self::Recorded(barrier)) = self;
        barrier
    }

    pub(crate) const fn barrier(&self) -> &Barrier {
        let (Self::Raised(barrier) | Self::Recorded(barrier)) = self;
        barrier
    }

    /// Whether it is recorded nowhere yet.
    pub(crate) const fn is_unrecorded(&self) -> bool {
        !matches!(self, Self::Recorded(_))
    }
}

/// A tenant's purges that wait for Redis or the disk, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    delivering: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    /// Bytes of their scopes.
    bytes: usize,
}

impl Outbox {
    /// Purges that are kept one by one; with more they become one purge of everything.
    const PURGES_MAX: usize = 10_000;
    /// Bytes of their scopes together.
    const BYTES_MAX: usize = 4 << 20;

    /// Adds a purge; false where there were too many and they have become one purge of everything.
    pub(crate) fn push(&self, parcel: Parcel) -> bool {
        let mut queue = self.queue.lock();
        queue.bytes += parcel.barrier().purge.scope.bytes();
        if queue.parcels.len() >= Self::PURGES_MAX || queue.bytes > Self::BYTES_MAX {
            let newest = parcel.into_barrier();
            let purge = Purge { scope: Scope::Everything, mode: PurgeMode::Hard };
            *queue = Queue { parcels: VecDeque::from([Parcel::Raised(Barrier { purge, ..newest })]), bytes: 0 };
            return false;
        }
        queue.parcels.push_back(parcel);
        true
    }

    pub(crate) fn front(&self) -> Option<Parcel> {
        self.queue.lock().parcels.front().cloned()
    }

    /// Notes that `front` was delivered, or else what is left to do of it. Changes nothing if another one is in front
    /// by now.
    pub(crate) fn settle(&self, front: &Parcel, left: Option<Parcel>) {
        let mut queue = self.queue.lock();
        if queue.parcels.front() == Some(front) {
            queue.parcels.pop_front();
            match left {
                Some(left) => queue.parcels.push_front(left),
                None => queue.bytes -= front.barrier().purge.scope.bytes(),
            }
        }
    }

    /// The purges that have waited longest, `most` of them at most.
    pub(crate) fn first(&self, most: usize) -> Vec<Purge> {
        let queue = self.queue.lock();
        let purges = queue.parcels.iter().map(|parcel| parcel.barrier().purge.clone());
        purges.take(most).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.lock().parcels.len()
    }

    /// Takes the duty to deliver; false where another task has it.
    pub(crate) fn take_duty(&self) -> bool {
        !self.delivering.swap(true, Ordering::AcqRel)
    }

    /// Gives the duty back; false where there is more to do by now, and the duty is taken again.
    pub(crate) fn give_back_duty(&self) -> bool {
        self.delivering.store(false, Ordering::Release);
        self.len() == 0 || !self.take_duty()
    }
}

#[cfg(test)]
mod tests {
    use sandbar_base::clock::Timestamp;

    use super::*;

    fn parcel(sequence: u64) -> Parcel {
        let purge = Purge { scope: Scope::SurrogateKey("s".into()), mode: PurgeMode::Soft };
        Parcel::Raised(Barrier { purge, sequence, raised: Timestamp::from_millis(0) })
    }

    #[test]
    fn too_many_become_one_of_everything() {
        let pending = Outbox::default();
        assert!((0..Outbox::PURGES_MAX as u64).all(|n| pending.push(parcel(n))));
        assert!(!pending.push(parcel(Outbox::PURGES_MAX as u64)));
        assert_eq!(pending.len(), 1);
        let Some(Parcel::Raised(all)) = pending.front() else { panic!("there is one") };
        assert_eq!(all.purge, Purge { scope: Scope::Everything, mode: PurgeMode::Hard });
        assert_eq!(all.sequence, Outbox::PURGES_MAX as u64);
        let large = |n: u64| {
            let purge = Purge { scope: Scope::SurrogateKey("x".repeat(1 << 20)), mode: PurgeMode::Soft };
            Parcel::Raised(Barrier { purge, sequence: n, raised: Timestamp::from_millis(0) })
        };
        assert!((0..4).all(|n| pending.push(large(n))) && !pending.push(large(4)), "nor do they take much room");
        pending.settle(&pending.front().expect("there is one"), None);
        assert_eq!((pending.len(), pending.queue.lock().bytes), (0, 0));
    }

    #[test]
    fn one_delivers_and_none_is_left_behind() {
        let pending = Outbox::default();
        pending.push(parcel(1));
        assert!(pending.take_duty() && !pending.take_duty());
        let front = pending.front().expect("there is one");
        pending.settle(&front, None);
        pending.push(parcel(2));
        assert!(!pending.give_back_duty(), "there is more");
        pending.settle(&parcel(2), None);
        assert!(pending.give_back_duty() && pending.take_duty());
    }
}
