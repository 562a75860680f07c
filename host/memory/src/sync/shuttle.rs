//! Locks and atomics that shuttle's scheduler controls, with the interface of parking_lot's.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};

pub(crate) use ::shuttle::sync::MutexGuard;
pub(crate) use ::shuttle::sync::atomic::{AtomicU32, AtomicUsize};
use ::shuttle::sync::{self, RwLockReadGuard};

::shuttle::thread_local! {
    static NUMBER: Cell<usize> = Cell::new(usize::MAX);
}

/// The number of the calling thread; `usize::MAX` until it has one.
pub(crate) fn thread_number() -> usize {
    NUMBER.with(Cell::get)
}

/// Gives the calling thread a number below `below`, and returns it.
pub(crate) fn number_thread(below: usize) -> usize {
    let number = usize::from(::shuttle::current::me()) % below;
    NUMBER.with(|own| own.set(number));
    number
}

/// A mutex that can be tried.
pub(crate) struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("shuttle ends with the first panic")
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

/// A readers-writer lock with upgradable reads: no other thread writes between the read and the upgrade.
pub(crate) struct RwLock<T> {
    value: sync::RwLock<T>,
    /// Held by the writer, or by the reader that may upgrade.
    writer: sync::Mutex<()>,
}

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: sync::RwLock::new(value), writer: sync::Mutex::new(()) }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().expect("shuttle ends with the first panic")
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        let writer = self.writer.lock().expect("shuttle ends with the first panic");
        let value = self.value.write().expect("shuttle ends with the first panic");
        RwLockWriteGuard { value, _writer: writer }
    }

    pub(crate) fn upgradable_read(&self) -> RwLockUpgradableReadGuard<'_, T> {
        let writer = self.writer.lock().expect("shuttle ends with the first panic");
        RwLockUpgradableReadGuard { value: self.read(), lock: self, writer }
    }
}

/// The guard of an exclusive lock.
pub(crate) struct RwLockWriteGuard<'a, T> {
    value: sync::RwLockWriteGuard<'a, T>,
    _writer: MutexGuard<'a, ()>,
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// The guard of a shared lock that can be upgraded to an exclusive one.
pub(crate) struct RwLockUpgradableReadGuard<'a, T> {
    value: RwLockReadGuard<'a, T>,
    lock: &'a RwLock<T>,
    writer: MutexGuard<'a, ()>,
}

impl<'a, T> RwLockUpgradableReadGuard<'a, T> {
    pub(crate) fn upgrade(self) -> RwLockWriteGuard<'a, T> {
        let Self { value, lock, writer } = self;
        drop(value);
        let value = lock.value.write().expect("shuttle ends with the first panic");
        RwLockWriteGuard { value, _writer: writer }
    }
}

impl<T> Deref for RwLockUpgradableReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
