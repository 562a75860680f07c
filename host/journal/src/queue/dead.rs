//! Dead letters: writes that are not delivered, kept until somebody decides.

use sandbar_base::{KeyHash, Timestamp};

use super::{Queue, Told};
use crate::entry::Grave;
use crate::letters::{Overtaken, Retry};

/// Bytes of a reason that are kept at most.
const REASON_BYTES_MAX: usize = 1024;

/// A dead letter as memory knows it.
#[derive(Clone, Debug)]
pub(crate) struct Buried {
    pub(crate) seq: u64,
    pub(crate) bytes: u32,
    pub(crate) grave: Grave,
}

impl Queue {
    /// Notes that a write can't be delivered.
    pub(crate) fn bury(&mut self, seq: u64, reason: &str, at: Timestamp) {
        let Some(entry) = self.entries.get_mut(&seq).filter(|entry| entry.grave.is_none()) else { return };
        let reason = reason[..reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned();
        let grave = Grave { at, reason, overtaken: false };
        entry.grave = Some(Box::new(grave.clone()));
        // Nobody reads it soon.
        self.held_bytes -= entry.held.take().map_or(0, |body| body.len() as u64);
        let (key, bytes) = (entry.key, u64::from(entry.place.bytes));
        let account = self.accounts.entry(&entry.tenant);
        account.pending.remove(&seq);
        account.dead.insert(seq);
        account.dead_bytes += bytes;
        account.changed.notify_one();
        self.lines.remove(key, seq);
        self.graves.entry(key).or_default().push(seq);
        self.counts.buried += 1;
        self.note(seq, Told::Dead(grave));
    }

    /// A tenant's dead letters from a number on, in the order in which they were written.
    pub(crate) fn buried(&self, tenant: &str, after: Option<u64>, len: usize) -> Vec<Buried> {
        let Some(account) = self.accounts.of(tenant) else { return Vec::new() };
        let from = after.map_or(0, |after| after.saturating_add(1));
        let buried = |seq: &u64| {
            let entry = self.entries.get(seq)?;
            Some(Buried { seq: *seq, bytes: entry.place.bytes, grave: entry.grave.as_deref()?.clone() })
        };
        account.dead.range(from..).filter_map(buried).take(len).collect()
    }

    /// Makes a dead letter a write that is due at once.
    pub(crate) fn revive(&mut self, tenant: &str, seq: u64, overtaken: Overtaken, now: Timestamp) -> Retry {
        let Some(entry) = self.entries.get(&seq).filter(|entry| &*entry.tenant == tenant) else {
            return Retry::Unknown;
        };
        let Some(grave) = &entry.grave else { return Retry::Unknown };
        let key = entry.key;
        let is_sent = |later: u64| later > seq && self.entries.get(&later).is_some_and(|entry| entry.sent);
        let is_overtaken = grave.overtaken || self.lines.of(key).any(is_sent);
        if is_overtaken && overtaken == Overtaken::Refuse {
            return Retry::Overtaken;
        }
        self.unbury(key, seq);
        let Some(entry) = self.entries.get_mut(&seq) else { return Retry::Unknown };
        (entry.grave, entry.attempts) = (None, 0);
        let account = self.accounts.entry(&entry.tenant);
        account.dead.remove(&seq);
        account.dead_bytes -= u64::from(entry.place.bytes);
        account.pending.insert(seq);
        account.changed.notify_one();
        self.lines.insert(&entry.tenant, key, seq, now);
        self.note(seq, Told::Revived);
        Retry::Due
    }

    /// Forgets a dead letter; false where there is none with that number.
    pub(crate) fn drop_dead(&mut self, tenant: &str, seq: u64) -> bool {
        let Some(entry) = self.entries.get(&seq).filter(|entry| &*entry.tenant == tenant && entry.grave.is_some())
        else {
            return false;
        };
        self.unbury(entry.key, seq);
        self.forget(seq);
        self.counts.dropped += 1;
        self.note(seq, Told::Done);
        true
    }

    /// Notes with the dead letters of a key that a later write has been done.
    pub(super) fn overtake(&mut self, key: KeyHash, done: u64) {
        let Some(seqs) = self.graves.get(&key) else { return };
        let mut told = Vec::new();
        for seq in seqs.iter().filter(|seq| **seq < done) {
            if let Some(grave) = self.entries.get_mut(seq).and_then(|entry| entry.grave.as_deref_mut())
                && !grave.overtaken
            {
                grave.overtaken = true;
                told.push((*seq, Told::Dead(grave.clone())));
            }
        }
        told.into_iter().for_each(|(seq, what)| self.note(seq, what));
    }

    /// Takes a number off the list of its key.
    pub(super) fn unbury(&mut self, key: KeyHash, seq: u64) {
        if let Some(seqs) = self.graves.get_mut(&key) {
            seqs.retain(|other| *other != seq);
            if seqs.is_empty() {
                self.graves.remove(&key);
            }
        }
    }
}
