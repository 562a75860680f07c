//! The common rest of L1: what the shares of the tenants leave of the node's L1, for the tenants without a share of their own
//! (`l1 = "0"`).
//!
//! Each of them has an L1 of its own, with its own policy, so that nobody's entries can be found, counted or swept as another's.
//! Only how much it may hold follows from what all of them want: it begins with nothing, and doubles when an entry finds no room,
//! out of what nobody holds or, where that is not enough, of half of what the largest one holds (`ledger`).

mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use sandbar_base::clock::Clock;
use sandbar_memory::{ENTRY_OVERHEAD_BYTES, Memory};
use serde::Serialize;
use tokio_util::task::TaskTracker;

use self::ledger::{Ledger, Resize};
use crate::cached::Cached;
use crate::tenant::Tenant;

/// What the tenants without a share have together where nobody said how much all of L1 may have, in bytes.
pub(crate) const COMMONS_BYTES: u64 = 64 << 20;

/// The least that must be left for the tenants without a share, in bytes, where there are any.
#[doc(hidden)]
pub const COMMONS_BYTES_MIN: u64 = 1 << 20;

/// The part of a node's memory that the tenants' shares of L1 have to leave, for guests and bodies under way: an eighth. An
/// L1 that is larger than the memory never evicts: once that is full, nothing new would find room.
#[doc(hidden)]
pub const LEFT_DIVISOR: u64 = 8;

/// Whether the tenants' shares of L1 leave enough of the memory.
#[doc(hidden)]
pub const fn shares_fit(l1_bytes: u64, total_bytes: u64) -> bool {
    l1_bytes <= shares_max(total_bytes)
}

/// What all of L1 may have of the memory, in bytes.
#[doc(hidden)]
pub const fn shares_max(total_bytes: u64) -> u64 {
    total_bytes - total_bytes / LEFT_DIVISOR
}

/// What all L1 need where the shares add up to so much, and some tenant has none.
#[doc(hidden)]
pub const fn l1_needed(shares_bytes: u64, has_shareless: bool) -> u64 {
    shares_bytes.saturating_add(if has_shareless { COMMONS_BYTES_MIN } else { 0 })
}

/// Up to this size an L1 is given another one at once: its policy takes over some thousand entries at most. Larger ones are
/// resized behind the answer.
const AT_ONCE_BYTES: u64 = 1 << 20;

type L1 = Arc<Memory<Arc<Cached>>>;

/// What tenants without a share of L1 have together.
pub(crate) struct Commons {
    ledger: Mutex<Ledger<L1>>,
    /// Whether room is being made behind an answer: once at a time.
    is_at_work: AtomicBool,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
}

/// Figures of the common rest of L1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[doc(hidden)]
pub struct CommonsStats {
    /// What the tenants without a share may hold together, in bytes.
    pub total_bytes: u64,
    /// What is given to them now, in bytes.
    pub given_bytes: u64,
    /// How many tenants have no share.
    pub tenants: usize,
    /// How many of them have been given something.
    pub holders: usize,
}

impl Commons {
    pub(crate) fn new(clock: Arc<dyn Clock>, tasks: TaskTracker) -> Self {
        Self { ledger: Mutex::default(), is_at_work: AtomicBool::new(false), clock, tasks }
    }

    /// Takes a tenant in that has no share; or lets go of it, where it has one. Blocks as a change of L1's capacity does.
    pub(crate) fn seat(&self, tenant: &Tenant) {
        let mut ledger = self.ledger.lock();
        if tenant.settings.l1_bytes > 0 {
            // What it holds now is its share's.
            ledger.leave(&tenant.name);
            return;
        }
        let is_same = |held: &L1| Arc::ptr_eq(held, &tenant.memory);
        if ledger.memory(&tenant.name).is_some_and(is_same) {
            return;
        }
        if let Some(before) = ledger.leave(&tenant.name) {
            self.resize(Resize { memory: before, bytes: 0 });
        }
        let (held_bytes, _) = tenant.memory.room();
        ledger.join(&tenant.name, Arc::clone(&tenant.memory));
        if held_bytes > 0 {
            ledger.grow(&tenant.name, held_bytes).into_iter().for_each(|resize| self.resize(resize));
        }
        let bytes = ledger.bytes(&tenant.name);
        self.resize(Resize { memory: Arc::clone(&tenant.memory), bytes });
    }

    /// Lets go of a tenant that is removed: what its last requests bring is not taken in.
    pub(crate) fn unseat(&self, tenant: &Tenant) {
        if let Some(memory) = self.ledger.lock().leave(&tenant.name) {
            self.resize(Resize { memory, bytes: 0 });
        }
    }

    /// Sets how much there is, and takes back what is given beyond that. Blocks as a change of L1's capacity does.
    pub(crate) fn bound(&self, total_bytes: u64) {
        let mut ledger = self.ledger.lock();
        ledger.set_total(total_bytes).into_iter().for_each(|resize| self.resize(resize));
    }

    /// Sees to it that an entry of this weight finds room in the L1 of a tenant without a share: at once where that is little
    /// work, else behind the answer, for the entries after this one.
    pub(crate) fn make_room(self: &Arc<Self>, tenant: &Tenant, weight_bytes: u64) {
        if tenant.settings.l1_bytes > 0 {
            return;
        }
        let (held_bytes, capacity_bytes) = tenant.memory.room();
        let needed_bytes = held_bytes.saturating_add(weight_bytes).saturating_add(ENTRY_OVERHEAD_BYTES);
        if needed_bytes <= capacity_bytes {
            return;
        }
        let is_native = tenant.policies.eviction().digest().is_none();
        if let Some(mut ledger) = self.ledger.try_lock() {
            if !ledger.can_grow(&tenant.name, needed_bytes) {
                return;
            }
            if is_native && needed_bytes <= AT_ONCE_BYTES && ledger.has_free(&tenant.name, needed_bytes) {
                ledger.grow(&tenant.name, needed_bytes).into_iter().for_each(|resize| self.resize(resize));
                return;
            }
        }
        self.grow_behind(Arc::clone(&tenant.name), needed_bytes);
    }

    fn grow_behind(self: &Arc<Self>, name: Arc<str>, needed_bytes: u64) {
        if self.is_at_work.swap(true, Ordering::AcqRel) {
            return;
        }
        let work = AtWork(Arc::clone(self));
        self.tasks.spawn_blocking(move || {
            let commons = &work.0;
            let mut ledger = commons.ledger.lock();
            ledger.grow(&name, needed_bytes).into_iter().for_each(|resize| commons.resize(resize));
        });
    }

    /// The ledger is locked meanwhile, so that the last word about an L1 is the ledger's.
    fn resize(&self, Resize { memory, bytes }: Resize<L1>) {
        let now = self.clock.now();
        if bytes == 0 {
            memory.clear(now);
        }
        memory.set_capacity_bytes(bytes, now);
    }

    pub(crate) fn stats(&self) -> CommonsStats {
        self.ledger.lock().stats()
    }
}

/// Room that is being made behind an answer.
struct AtWork(Arc<Commons>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.is_at_work.store(false, Ordering::Release);
    }
}
