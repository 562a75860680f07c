//! Tells a tenant from itself with other settings. Requests under way go on with the settings that they began with; what
//! they bring is answered with, and not stored: the present settings might have asked another origin, planned another
//! lifetime, or promised more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sandbar_base::clock::Timestamp;

/// Numbers of editions; each is used once in a process.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

#[derive(Debug)]
pub(crate) struct Edition {
    number: u64,
    /// How often the key rules had changed before it.
    keys: u64,
    /// What all editions of the tenant have in common.
    common: Arc<Common>,
}

#[derive(Debug)]
struct Common {
    /// The number of the edition that the tenant has at present.
    present: AtomicU64,
    /// How often its key rules have changed.
    keys: AtomicU64,
    /// When its settings have changed last, in milliseconds since 1970; 0 where they have not.
    changed: AtomicU64,
}

impl Edition {
    /// The first edition of a tenant.
    pub(super) fn first() -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let (present, keys, changed) = (AtomicU64::new(number), AtomicU64::new(0), AtomicU64::new(0));
        Self { number, keys: 0, common: Arc::new(Common { present, keys, changed }) }
    }

    /// An edition that may come after this one, with other key rules or the same.
    pub(super) fn next(&self, has_other_keys: bool) -> Self {
        let (number, keys) = (NUMBERS.fetch_add(1, Ordering::Relaxed), self.keys + u64::from(has_other_keys));
        Self { number, keys, common: Arc::clone(&self.common) }
    }

    /// A number that no other edition of any tenant has.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// It is the tenant's from now on.
    pub(super) fn begin(&self, now: Timestamp) {
        self.common.changed.store(now.as_millis(), Ordering::Release);
        self.common.keys.store(self.keys, Ordering::Release);
        self.common.present.store(self.number, Ordering::Release);
    }

    /// Whether it is the tenant's at present.
    pub(crate) fn is_present(&self) -> bool {
        self.common.present.load(Ordering::Acquire) == self.number
    }

    /// Whether the tenant's key rules are still those of this edition: what it calls a target may be another one by now, if not.
    pub(crate) fn has_present_keys(&self) -> bool {
        self.common.keys.load(Ordering::Acquire) == self.keys
    }

    /// Whether what was received at that time was planned under other settings, on this node or another.
    pub(crate) fn has_other_plans(&self, received: Timestamp) -> bool {
        let changed = self.common.changed.load(Ordering::Acquire);
        changed > 0 && received.as_millis() <= changed
    }
}
