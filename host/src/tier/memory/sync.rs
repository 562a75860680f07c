//! The locks and atomics of the tier.

use std::cell::Cell;
use std::sync::atomic::Ordering;
pub(super) use std::sync::atomic::{AtomicU32, AtomicUsize};

pub(super) use parking_lot::{Mutex, MutexGuard, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard};

/// A number for the calling thread. Threads that start one after the other have numbers that follow each other.
#[inline]
pub(super) fn thread_number() -> usize {
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    let number = NUMBER.get();
    if number != usize::MAX {
        return number;
    }
    NUMBER.set(next_number());
    NUMBER.get()
}

#[cold]
fn next_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
