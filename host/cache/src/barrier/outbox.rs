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
    /// To be recorded where it outlives this node, and published to nobody.
    Unheard(Barrier),
}

impl Parcel {
    pub(crate) fn into_barrier(self) -> Barrier {
        let (Self::Raised(barrier) | Self::Recorded(barrier) | Self::Unheard(barrier)) = self;
        barrier
    }

    pub(crate) const fn barrier(&self) -> &Barrier {
        let (Self::Raised(barrier) | Self::Recorded(barrier) | Self::Unheard(barrier)) = self;
        barrier
    }

    /// Whether other nodes are to be told of it.
    pub(crate) const fn is_for_others(&self) -> bool {
        !matches!(self, Self::Unheard(_))
    }

    /// Whether it is recorded nowhere yet.
    pub(crate) const fn is_unrecorded(&self) -> bool {
        !matches!(self, Self::Recorded(_))
    }
}

/// A tenant's purges that wait for Redis or the disk, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    queue: Mutex<VecDeque<Parcel>>,
    delivering: AtomicBool,
}

impl Outbox {
    /// Purges that are kept one by one; with more they become one purge of everything.
    const PURGES_MAX: usize = 10_000;

    /// Adds a purge; false where there were too many and they have become one purge of everything.
    pub(crate) fn push(&self, parcel: Parcel) -> bool {
        let mut queue = self.queue.lock();
        if queue.len() >= Self::PURGES_MAX {
            let newest = parcel.into_barrier();
            queue.clear();
            let purge = Purge { scope: Scope::Everything, mode: PurgeMode::Hard };
            queue.push_back(Parcel::Raised(Barrier { purge, ..newest }));
            return false;
        }
        queue.push_back(parcel);
        true
    }

    pub(crate) fn front(&self) -> Option<Parcel> {
        self.queue.lock().front().cloned()
    }

    /// Notes that `front` was delivered, or else what is left to do of it. Changes nothing if another one is in front
    /// by now.
    pub(crate) fn settle(&self, front: &Parcel, left: Option<Parcel>) {
        let mut queue = self.queue.lock();
        if queue.front() == Some(front) {
            queue.pop_front();
            if let Some(left) = left {
                queue.push_front(left);
            }
        }
    }

    /// The purges that have waited longest, `most` of them at most.
    pub(crate) fn first(&self, most: usize) -> Vec<Purge> {
        let queue = self.queue.lock();
        let purges = queue.iter().filter(|parcel| parcel.is_for_others()).map(|parcel| parcel.barrier().purge.clone());
        purges.take(most).collect()
    }

    /// Purges that other nodes are to be told of.
    pub(crate) fn untold(&self) -> usize {
        self.queue.lock().iter().filter(|parcel| parcel.is_for_others()).count()
    }

    fn len(&self) -> usize {
        self.queue.lock().len()
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
