//! An entry as L1 holds it: with the barriers' last verdict on it, so that a hit compares one number.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::barrier::{Barriers, Verdict};
use crate::entry::{Entry, StoredResponse};

/// An entry in L1.
#[derive(Debug)]
pub struct Cached {
    /// What is stored.
    pub entry: Entry,
    /// The tenant's plan epoch when its plan was made: an older one is asked for again before it is next used.
    pub(crate) plan_epoch: u64,
    judged: AtomicU64,
    soft_purged: AtomicBool,
}

impl Cached {
    /// An entry whose plan is of `plan_epoch`.
    pub(crate) fn new(entry: Entry, plan_epoch: u64) -> Self {
        let judged = AtomicU64::new(entry.sequence());
        Self { entry, plan_epoch, judged, soft_purged: AtomicBool::new(false) }
    }

    /// What the barriers say of it. Looks at them only when one has risen since the last look.
    pub(crate) fn verdict(&self, barriers: &Barriers) -> Verdict {
        let current = barriers.current();
        if self.judged.load(Ordering::Acquire) < current {
            match barriers.judge(&self.entry) {
                Verdict::Gone => return Verdict::Gone,
                Verdict::Stale => self.soft_purged.store(true, Ordering::Release),
                Verdict::Visible => {}
            }
            self.judged.fetch_max(current, Ordering::AcqRel);
        }
        if self.is_soft_purged() { Verdict::Stale } else { Verdict::Visible }
    }

    /// Whether a barrier has made it stale, as of the last verdict.
    pub(crate) fn is_soft_purged(&self) -> bool {
        self.soft_purged.load(Ordering::Acquire)
    }

    /// The stored response; none where this is a list of variants.
    pub fn response(&self) -> Option<&StoredResponse> {
        match &self.entry {
            Entry::Response(response) => Some(response),
            Entry::Variants(_) => None,
        }
    }
}
