//! An entry as L1 holds it: with the barriers' last verdict on it, so that a hit compares one number.

mod began;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use sandbar_base::memory_budget::{MemoryBudget, Reserved, SENT_ALONE_BYTES_MAX, Use, sent};
use sandbar_http::entry::{Entry, StoredResponse};
use sandbar_memory::ENTRY_OVERHEAD_BYTES;

pub(crate) use self::began::Began;
use crate::barrier::{Barriers, Verdict};
use crate::consistency::Consistency;

/// An entry in L1.
#[derive(Debug)]
pub struct Cached {
    /// What is stored.
    pub entry: Entry,
    /// The tenant's plan epoch when its plan was made: an older one is asked for again before it is next used.
    pub(crate) plan_epoch: u64,
    /// When it was fetched, or looked up in L2.
    pub(crate) began: Began,
    /// What its class promises.
    pub(crate) consistency: Consistency,
    judged: AtomicU64,
    soft_purged: AtomicBool,
    /// It is validated before it is next used: the origin has not confirmed it when it was last asked.
    doubtful: AtomicBool,
    /// The origin no longer has it.
    ended: AtomicBool,
    weight_bytes: u64,
    /// What it weighs without its content, which is charged for itself; none where there was no room for one of them. Then
    /// it may answer whoever fetched it, and is not kept.
    room: Option<Reserved>,
}

impl Cached {
    /// An entry whose plan is of `plan_epoch`, charged to a node's memory where that has room for it.
    pub(crate) fn new(
        entry: Entry,
        plan_epoch: u64,
        began: Began,
        consistency: Consistency,
        budget: &Arc<MemoryBudget>,
    ) -> Self {
        let (judged, soft_purged) = (AtomicU64::new(0), AtomicBool::new(false));
        let beside_bytes = (size_of::<Self>() - size_of::<Entry>()) as u64;
        let (doubtful, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let weight_bytes = entry.weight_bytes() + beside_bytes;
        let (entry, room) = charged(entry, weight_bytes + ENTRY_OVERHEAD_BYTES, budget);
        Self { entry, plan_epoch, began, consistency, judged, soft_purged, doubtful, ended, weight_bytes, room }
    }

    /// What it costs to keep in memory, in bytes, without the overhead of L1: the entry, and what is noted beside it.
    pub(crate) const fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Whether it is charged to the node's memory: nothing else may be kept in L1.
    pub(crate) const fn is_charged(&self) -> bool {
        self.room.is_some()
    }

    /// What the barriers say of it. Looks at them only when something has changed since the last look.
    pub(crate) fn verdict(&self, barriers: &Barriers) -> Verdict {
        let revision = barriers.revision();
        if self.judged.load(Ordering::Acquire) < revision {
            if self.is_distrusted(barriers) {
                return Verdict::Gone;
            }
            match barriers.judge(&self.entry) {
                Verdict::Gone => return Verdict::Gone,
                Verdict::Stale => self.soft_purged.store(true, Ordering::Release),
                Verdict::Visible => {}
            }
            self.judged.fetch_max(revision, Ordering::AcqRel);
        }
        if self.is_soft_purged() { Verdict::Stale } else { Verdict::Visible }
    }

    /// Whether purges may have been missed since it was fetched.
    fn is_distrusted(&self, barriers: &Barriers) -> bool {
        let (now, then) = (barriers.losses(), self.began.losses);
        now.all != then.all || self.consistency.reaches_beyond_the_node() && now.strict != then.strict
    }

    /// Whether a barrier has made it stale, as of the last verdict.
    pub(crate) fn is_soft_purged(&self) -> bool {
        self.soft_purged.load(Ordering::Acquire)
    }

    /// Has it validated before it is next used.
    pub(crate) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Whether it is to be validated before it is used.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Has it never served again, by whoever still holds it, unless the origin confirms it.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.doubt();
    }

    /// Whether the origin no longer has it.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The stored response; none where this is a list of variants.
    pub fn response(&self) -> Option<&StoredResponse> {
        match &self.entry {
            Entry::Response(response) => Some(response),
            Entry::Variants(_) => None,
        }
    }
}

/// The entry with its content charged, and what pays for the rest of its weight; none where one of them finds no room.
fn charged(entry: Entry, weight_bytes: u64, budget: &Arc<MemoryBudget>) -> (Entry, Option<Reserved>) {
    let reserve = |bytes| budget.reserve(Use::Entries, bytes);
    match entry {
        Entry::Variants(_) => (entry, reserve(weight_bytes)),
        Entry::Response(response) => {
            let Some(body) = response.body.clone().charged(budget, Use::Entries) else {
                return (Entry::Response(response), None);
            };
            let room = reserve(weight_bytes - body.len() as u64);
            (Entry::Response(StoredResponse { body, ..response }), room)
        }
    }
}

/// Chunks of a stored response, to be sent: for as long as a client has not got them, the entry stays charged, although L1
/// may have let it go.
pub(crate) fn kept_while_sent(cached: &Arc<Cached>, mut chunks: Vec<Bytes>) -> Vec<Bytes> {
    if chunks.iter().map(Bytes::len).sum::<usize>() >= SENT_ALONE_BYTES_MAX {
        for chunk in &mut chunks {
            *chunk = sent(std::mem::take(chunk), cached);
        }
    }
    chunks
}
