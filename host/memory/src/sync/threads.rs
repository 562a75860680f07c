//! The locks and atomics for threads of the operating system.

use std::cell::Cell;
use std::sync::atomic::Ordering;
pub(crate) use std::sync::atomic::{AtomicU32, AtomicUsize};

pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard};

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// The number of the calling thread; `usize::MAX` until it has one.
#[inline]
pub(crate) fn thread_number() -> usize {
    NUMBER.get()
}

/// Gives the calling thread a number below `below`, unless it has one, and returns it. Numbers are given in turn.
pub(crate) fn number_thread(below: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if NUMBER.get() == usize::MAX {
        NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed) % below);
    }
    NUMBER.get()
}
