//! An entry as L1 holds it: with the barriers' last verdict on it, so that a hit compares one number.

mod began;
mod decoded;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use sandbar_base::memory_budget::{Content, MemoryBudget, Reserved, SENT_ALONE_BYTES_MAX, Use, sent};
use sandbar_http::entry::{Entry, StoredResponse};
use sandbar_memory::ENTRY_OVERHEAD_BYTES;

pub(crate) use self::began::Began;
pub(crate) use self::decoded::{Decoded, Form};
use crate::barrier::{Barriers, Verdict};
use crate::consistency::Consistency;

/// Bytes that a value takes beside its own: what is noted of it, the counts of its `Arc`, and two allocations.
const DECODED_BYTES: u64 = (size_of::<Decoded>() + 2 * size_of::<usize>() + 2 * 16) as u64;

/// An entry in L1.
#[derive(Debug)]
pub struct Cached {
    /// The stored response, or the list of a key's variants.
    pub entry: Entry,
    /// The tenant's plan epoch when the entry was planned; one of an older epoch is planned anew before it is next
    /// used.
    pub(crate) plan_epoch: u64,
    /// The beginning of the fill, or of the lookup in L2, that brought the entry.
    pub(crate) began: Began,
    /// What the entry's class promises.
    pub(crate) consistency: Consistency,
    /// The revision of the barriers at the last verdict.
    judged: AtomicU64,
    soft_purged: AtomicBool,
    /// The entry has to be validated before it is next used: the origin did not confirm it when it was last asked.
    doubtful: AtomicBool,
    /// The origin no longer has this response.
    ended: AtomicBool,
    weight_bytes: u64,
    /// Of a value in L1, the form in which the program uses it; the stored response has no body then.
    decoded: Option<Box<Decoded>>,
    /// The reservation for the weight without the content, which is charged on its own; `None` where the node had no
    /// memory for one of the two. Such an entry may answer the requests that fetched it, and is not kept.
    room: Option<Reserved>,
}

impl Cached {
    /// An entry that was planned in `plan_epoch`, charged to the node's memory if there is room for it.
    pub(crate) fn new(
        entry: Entry,
        plan_epoch: u64,
        began: Began,
        consistency: Consistency,
        budget: &Arc<MemoryBudget>,
    ) -> Self {
        Self::holding(entry, None, plan_epoch, began, consistency, budget)
    }

    /// Like [`Self::new`]. A value that is there in the form in which it is used takes the place of its bytes.
    pub(crate) fn holding(
        entry: Entry,
        decoded: Option<Decoded>,
        plan_epoch: u64,
        began: Began,
        consistency: Consistency,
        budget: &Arc<MemoryBudget>,
    ) -> Self {
        let entry = match entry {
            Entry::Response(stored) if decoded.is_some() => {
                Entry::Response(StoredResponse { body: Content::default(), ..stored })
            }
            entry => entry,
        };
        let (judged, soft_purged) = (AtomicU64::new(0), AtomicBool::new(false));
        let beside_bytes = (size_of::<Self>() - size_of::<Entry>()) as u64;
        let (doubtful, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let value_bytes = decoded.as_ref().map_or(0, |decoded| decoded.weight_bytes.saturating_add(DECODED_BYTES));
        let weight_bytes = entry.weight_bytes().saturating_add(beside_bytes).saturating_add(value_bytes);
        let (entry, room) = charged(entry, weight_bytes.saturating_add(ENTRY_OVERHEAD_BYTES), budget);
        Self {
            entry,
            plan_epoch,
            began,
            consistency,
            judged,
            soft_purged,
            doubtful,
            ended,
            weight_bytes,
            decoded: decoded.map(Box::new),
            room,
        }
    }

    /// Bytes that the entry takes in memory, with what is noted beside it and without L1's overhead.
    pub(crate) const fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// Whether the entry is charged to the node's memory. L1 may keep no other ones.
    pub(crate) const fn is_charged(&self) -> bool {
        self.room.is_some()
    }

    /// The value that the entry holds in the form in which it is used, if it does.
    pub(crate) fn decoded(&self) -> Option<&Decoded> {
        self.decoded.as_deref()
    }

    /// The length of the stored content in bytes, also where a value stands in its place.
    pub(crate) fn content_bytes(&self) -> u64 {
        let stored = || self.response().map_or(0, StoredResponse::body_bytes);
        self.decoded.as_ref().map_or_else(stored, |decoded| decoded.encoded_bytes)
    }

    /// What the barriers mean for the entry. They are consulted only if something has changed since the last verdict.
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

    /// Whether purges of the entry may have been missed since its fill began.
    fn is_distrusted(&self, barriers: &Barriers) -> bool {
        let (now, then) = (barriers.losses(), self.began.losses);
        now.all != then.all || self.consistency.reaches_beyond_the_node() && now.strict != then.strict
    }

    /// Whether a soft purge has made the entry stale, as of the last verdict.
    pub(crate) fn is_soft_purged(&self) -> bool {
        self.soft_purged.load(Ordering::Acquire)
    }

    /// Requires the entry to be validated before it is next used.
    pub(crate) fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    /// Whether the entry has to be validated before it is used.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Notes that the origin no longer has the response: it is not served again, not even by requests that hold it
    /// already, unless the origin confirms it.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.doubt();
    }

    /// Whether the origin no longer has the response.
    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The stored response; `None` where the entry is a list of variants.
    pub fn response(&self) -> Option<&StoredResponse> {
        match &self.entry {
            Entry::Response(response) => Some(response),
            Entry::Variants(_) => None,
        }
    }
}

/// Charges an entry's content, and reserves the rest of its weight; `None` where there is no room for one of the two.
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

/// Chunks of a stored response that are to be sent. They hold on to the entry, which so stays charged until the client
/// has them, even if L1 has evicted it.
pub(crate) fn kept_while_sent(cached: &Arc<Cached>, mut chunks: Vec<Bytes>) -> Vec<Bytes> {
    if chunks.iter().map(Bytes::len).sum::<usize>() >= SENT_ALONE_BYTES_MAX {
        for chunk in &mut chunks {
            *chunk = sent(std::mem::take(chunk), cached);
        }
    }
    chunks
}
