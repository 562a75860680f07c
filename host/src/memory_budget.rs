//! The node's memory: one account of what is kept on behalf of clients and tenants, under one bound.
//!
//! Everything that grows with the traffic is charged here in bytes: stored responses (in L1, or on their way to a client
//! although L1 has let them go), bodies that are arriving and what waiters still read of them, windows of bodies that are
//! only passed through, writes to the L2 that are under way, the memories of guests. What can't be had is not taken: a body
//! that finds no room is passed through unstored with a small window, so that the client's pace becomes the origin's.
//!
//! Not charged is what has bounds of its own: connections and their buffers (`[limits]`), code, and what the allocator
//! keeps. That is why the bound is by default half of what the machine or its cgroup allows ([`machine`]); when that runs
//! short all the same, the node shrinks ([`pressure`], [`keeper`]).

pub mod keeper;
pub mod machine;
pub mod pressure;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// What memory is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Stored responses: in L1, or still being sent.
    Entries,
    /// Bodies that are arriving to be stored, until the last of their readers is done.
    Fills,
    /// Bodies that are passed through: what waiters may still read.
    Windows,
    /// Writes to the L2 that are under way.
    L2Writes,
    /// Memories of guests.
    Guests,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Entries, Self::Fills, Self::Windows, Self::L2Writes, Self::Guests];

    /// The stable word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entries => "entries",
            Self::Fills => "fills",
            Self::Windows => "windows",
            Self::L2Writes => "l2-writes",
            Self::Guests => "guests",
        }
    }
}

/// The account of a node.
#[derive(Debug)]
pub struct MemoryBudget {
    total_bytes: u64,
    /// At most the total; less while the machine has not got that much left.
    allowed_bytes: AtomicU64,
    used_bytes: AtomicU64,
    by_use: [Account; Use::ALL.len()],
    pressure: AtomicU64,
    kept_percent: AtomicU64,
}

#[derive(Debug, Default)]
struct Account {
    bytes: AtomicU64,
    refused: AtomicU64,
}

impl MemoryBudget {
    /// An account with this bound.
    pub fn new(total_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            total_bytes,
            allowed_bytes: AtomicU64::new(total_bytes),
            used_bytes: AtomicU64::new(0),
            by_use: Default::default(),
            pressure: AtomicU64::new(0),
            kept_percent: AtomicU64::new(100),
        })
    }

    /// An account that refuses nothing.
    pub fn unbounded() -> Arc<Self> {
        Self::new(u64::MAX)
    }

    /// The bound in bytes.
    pub const fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// So many bytes, if they can be had.
    pub fn reserve(self: &Arc<Self>, what: Use, bytes: u64) -> Option<Reserved> {
        let mut reserved = self.take(what, 0);
        reserved.cover(bytes).then_some(reserved)
    }

    /// So many bytes, whether they can be had or not: they are there already.
    pub fn take(self: &Arc<Self>, what: Use, bytes: u64) -> Reserved {
        self.add(what, bytes);
        Reserved { budget: Arc::clone(self), what, bytes }
    }

    /// Whether nothing can be had.
    pub fn is_exhausted(&self) -> bool {
        self.used_bytes.load(Ordering::Relaxed) >= self.allowed_bytes.load(Ordering::Relaxed)
    }

    /// From now on no more can be had than what is used now and `room_bytes`, nor more than the total. The keeper says what
    /// the machine has left: between two looks the node can't take more than that.
    fn bound_growth(&self, room_bytes: u64) {
        let allowed = self.used_bytes.load(Ordering::Relaxed).saturating_add(room_bytes).min(self.total_bytes);
        self.allowed_bytes.store(allowed, Ordering::Relaxed);
    }

    /// Tells how the machine is doing; the keeper does so.
    fn note_pressure(&self, used_percent: u64, kept_percent: u64) {
        self.pressure.store(used_percent, Ordering::Relaxed);
        self.kept_percent.store(kept_percent, Ordering::Relaxed);
    }

    /// What there is now.
    pub fn stats(&self) -> MemoryBudgetStats {
        let uses = Use::ALL.map(|what| {
            let account = &self.by_use[what as usize];
            UseStats {
                what: what.as_str(),
                bytes: account.bytes.load(Ordering::Relaxed),
                refused: account.refused.load(Ordering::Relaxed),
            }
        });
        MemoryBudgetStats {
            total_bytes: self.total_bytes,
            used_bytes: self.used_bytes.load(Ordering::Relaxed),
            machine_used_percent: self.pressure.load(Ordering::Relaxed),
            l1_kept_percent: self.kept_percent.load(Ordering::Relaxed),
            uses: uses.to_vec(),
        }
    }

    fn try_add(&self, what: Use, bytes: u64) -> bool {
        let allowed = self.allowed_bytes.load(Ordering::Relaxed);
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= allowed);
        if self.used_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            self.by_use[what as usize].refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.by_use[what as usize].bytes.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    fn add(&self, what: Use, bytes: u64) {
        self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.by_use[what as usize].bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, what: Use, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.by_use[what as usize].bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Bytes that are charged; dropped, they are given back.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<MemoryBudget>,
    what: Use,
    bytes: u64,
}

impl Reserved {
    /// Bytes that are charged.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Has at least so many bytes charged; false where the rest of them can't be had, and nothing has changed then.
    pub fn cover(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let covers = more == 0 || self.budget.try_add(self.what, more);
        self.bytes += if covers { more } else { 0 };
        covers
    }

    /// Has exactly so many bytes charged, for this use, whether they can be had or not.
    pub fn set(&mut self, what: Use, bytes: u64) {
        self.budget.add(what, bytes);
        self.budget.give_back(self.what, self.bytes);
        (self.what, self.bytes) = (what, bytes);
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.give_back(self.what, self.bytes);
    }
}

/// An account at one instant; counts are since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryBudgetStats {
    /// The bound in bytes.
    pub total_bytes: u64,
    /// Bytes that are charged.
    pub used_bytes: u64,
    /// Memory of the machine or its cgroup that is used, in per cent of what it allows; 0 where that is not looked at.
    pub machine_used_percent: u64,
    /// What the tenants' L1 may weigh now, in per cent of their shares: below 100 while the machine runs short.
    pub l1_kept_percent: u64,
    /// The charged bytes by what they are used for.
    pub uses: Vec<UseStats>,
}

/// What one use of memory comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UseStats {
    /// The stable word for it.
    pub what: &'static str,
    /// Bytes that are charged.
    pub bytes: u64,
    /// Times that bytes could not be had.
    pub refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_had_is_not_taken() {
        let budget = MemoryBudget::new(100);
        let mut fill = budget.reserve(Use::Fills, 60).expect("room");
        assert!(budget.reserve(Use::L2Writes, 41).is_none());
        assert!(!fill.cover(101));
        assert!(fill.cover(100) && fill.cover(10), "it has more than that");
        let stats = budget.stats();
        assert_eq!((stats.used_bytes, stats.uses[Use::Fills as usize].bytes), (100, 100));
        assert_eq!((stats.uses[Use::L2Writes as usize].refused, stats.uses[Use::Fills as usize].refused), (1, 1));
        drop(fill);
        assert!(budget.reserve(Use::L2Writes, 100).is_some());
    }

    #[test]
    fn it_grows_no_faster_than_the_machine_has_room() {
        let budget = MemoryBudget::new(100);
        let _kept = budget.reserve(Use::Entries, 40).expect("there is room");
        budget.bound_growth(10);
        assert!(budget.reserve(Use::Fills, 11).is_none() && budget.reserve(Use::Fills, 10).is_some());
        budget.bound_growth(0);
        assert!(budget.is_exhausted());
        budget.bound_growth(u64::MAX);
        assert!(budget.reserve(Use::Fills, 60).is_some() && budget.reserve(Use::Fills, 61).is_none());
    }

    #[test]
    fn what_is_there_already_is_charged_past_the_bound() {
        let budget = MemoryBudget::new(100);
        let mut entry = budget.take(Use::Entries, 150);
        assert!(budget.reserve(Use::Fills, 1).is_none());
        entry.set(Use::Windows, 20);
        let stats = budget.stats();
        assert_eq!((stats.used_bytes, stats.uses[Use::Entries as usize].bytes), (20, 0));
        drop(entry);
        assert_eq!(budget.stats().used_bytes, 0);
        assert!(MemoryBudget::unbounded().reserve(Use::Fills, u64::MAX).is_some());
    }
}
