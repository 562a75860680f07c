//! What is not yet done, as memory mirrors it: where each write lies, whose turn it is, what the disk must still be
//! told. A state without effects: nothing here waits, reads a clock or a file.

mod accounts;
mod dead;
mod lines;
mod pick;
mod shelf;
mod tell;

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbar_base::{KeyHash, Timestamp};
use tokio::sync::Notify;

pub(crate) use self::dead::Buried;
pub(crate) use self::pick::Picked;
pub(crate) use self::tell::{Note, Told};

use self::accounts::Accounts;
use self::lines::Lines;
use self::shelf::Shelf;
use self::tell::Counts;
use crate::entry::Entry;
use crate::error::Bound;
use crate::segment::{Place, Segment};
use crate::settings::{Settings, TenantBounds};

/// All writes that are held.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: HashMap<u64, Entry>,
    lines: Lines,
    accounts: Accounts,
    shelf: Shelf,
    /// Keys that have dead letters, and their numbers.
    graves: HashMap<KeyHash, Vec<u64>>,
    notes: Vec<Note>,
    held_bytes: u64,
    held_bytes_max: u64,
    counts: Counts,
}

impl Queue {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            entries: HashMap::new(),
            lines: Lines::default(),
            accounts: Accounts::new(settings),
            shelf: Shelf::default(),
            graves: HashMap::new(),
            notes: Vec::new(),
            held_bytes: 0,
            held_bytes_max: settings.held_bytes_max,
            counts: Counts::default(),
        }
    }

    /// Takes room for a write that is about to be written.
    pub(crate) fn reserve(&mut self, tenant: &Arc<str>, client: Option<NonZeroU64>, bytes: u64) -> Result<(), Bound> {
        let reserved = self.accounts.reserve(tenant, client, bytes);
        if let Err(bound) = reserved {
            self.refused(bound);
        }
        reserved
    }

    /// Counts a write that a bound refused.
    pub(crate) fn refused(&mut self, bound: Bound) {
        self.counts.refused[bound as usize] += 1;
    }

    /// Gives back the room of a write that was not written.
    pub(crate) fn release(&mut self, tenant: &str, client: Option<NonZeroU64>, bytes: u64) {
        self.accounts.release(tenant, client, bytes);
    }

    pub(crate) fn bound_tenant(&mut self, tenant: &str, bounds: TenantBounds) {
        self.accounts.bound(tenant, bounds);
    }

    /// Takes in a write that was found on the disk. It may have been handed out before.
    pub(crate) fn restore(&mut self, seq: u64, entry: Entry) {
        self.accounts.add(&entry.tenant, entry.client, u64::from(entry.place.bytes));
        self.take_in(seq, Entry { sent: true, ..entry }, None);
    }

    /// Takes in a write that is on the disk now and for which room was taken: it absorbs what it may.
    pub(crate) fn insert(&mut self, seq: u64, entry: Entry) {
        let waiting_since = if entry.replaces { self.absorb(entry.key, entry.author) } else { None };
        self.counts.acknowledged += 1;
        self.take_in(seq, entry, waiting_since);
    }

    fn take_in(&mut self, seq: u64, mut entry: Entry, waiting_since: Option<Timestamp>) {
        self.shelf.count(entry.place);
        entry.held = entry.held.filter(|body| self.held_bytes + body.len() as u64 <= self.held_bytes_max);
        self.held_bytes += entry.held_bytes();
        let account = self.accounts.entry(&entry.tenant);
        if entry.grave.is_some() {
            account.dead.insert(seq);
            account.dead_bytes += u64::from(entry.place.bytes);
            self.graves.entry(entry.key).or_default().push(seq);
        } else {
            account.pending.insert(seq);
            let due = waiting_since.unwrap_or(entry.at);
            self.lines.insert(&entry.tenant, entry.key, seq, due);
            self.wake(&entry.tenant);
        }
        self.entries.insert(seq, entry);
    }

    /// Has those at the end of a key's line absorbed that a write of this author, which replaces the state of the key,
    /// makes needless.
    /// Says since when the first of them has waited: whoever writes all the time must not put delivery off for ever.
    fn absorb(&mut self, key: KeyHash, author: u64) -> Option<Timestamp> {
        let mut waiting_since = None;
        while let Some(seq) = self.lines.last(key) {
            let is_needless = |last: &Entry| last.replaces && !last.sent && last.author == author;
            let may_be_absorbed = self.entries.get(&seq).is_some_and(is_needless);
            if !may_be_absorbed {
                break;
            }
            waiting_since = self.lines.remove(key, seq);
            self.forget(seq);
            self.counts.absorbed += 1;
            self.note(seq, Told::Done);
        }
        waiting_since
    }

    /// Notes that a write is delivered: it is never handed out again, at least by this process.
    pub(crate) fn done(&mut self, seq: u64) {
        let Some(entry) = self.entries.get(&seq) else { return };
        let (key, tenant) = (entry.key, Arc::clone(&entry.tenant));
        self.lines.remove(key, seq);
        self.forget(seq);
        self.counts.done += 1;
        self.note(seq, Told::Done);
        self.overtake(key, seq);
        self.wake(&tenant);
    }

    /// Notes that a write was not delivered: it is due again at that time, and nothing to its key before.
    pub(crate) fn failed(&mut self, seq: u64, retry_at: Timestamp) {
        let Some(entry) = self.entries.get(&seq) else { return };
        self.lines.put_back(entry.key, seq, retry_at);
        self.counts.failed += 1;
        self.wake(&Arc::clone(&entry.tenant));
    }

    /// Notes that the disk has a write somewhere else as well now.
    pub(crate) fn moved(&mut self, seq: u64, to: Place) {
        let Some(entry) = self.entries.get_mut(&seq) else { return };
        let from = std::mem::replace(&mut entry.place, to);
        self.shelf.discount(from);
        self.shelf.count(to);
        // A dead letter's record has grown by the reason.
        let (is_dead, client) = (entry.grave.is_some(), entry.client);
        self.accounts.resize(&entry.tenant, client, is_dead, from.bytes.into(), to.bytes.into());
    }

    /// Gives up a write that can't be read; says whose it was.
    pub(crate) fn lose(&mut self, seq: u64) -> Option<Arc<str>> {
        let entry = self.entries.get(&seq)?;
        let (key, tenant) = (entry.key, Arc::clone(&entry.tenant));
        if let Some(segment) = self.shelf.get(entry.place.segment) {
            segment.is_damaged.store(true, Ordering::Relaxed);
        }
        self.lines.remove(key, seq);
        self.unbury(key, seq);
        self.forget(seq);
        // Should it be readable again one day, it must not be delivered behind those that came after it.
        self.note(seq, Told::Done);
        self.wake(&tenant);
        Some(tenant)
    }

    /// The writes that are held in a segment, in order. This looks at all writes.
    pub(crate) fn all_in(&self, segment: u64) -> Vec<u64> {
        let is_there = |(seq, entry): (&u64, &Entry)| (entry.place.segment == segment).then_some(*seq);
        let mut seqs: Vec<u64> = self.entries.iter().filter_map(is_there).collect();
        seqs.sort_unstable();
        seqs
    }

    pub(crate) fn entry(&self, seq: u64) -> Option<&Entry> {
        self.entries.get(&seq)
    }

    /// The numbers of all writes, in order.
    #[cfg(test)]
    pub(crate) fn seqs(&self) -> Vec<u64> {
        let mut seqs: Vec<u64> = self.entries.keys().copied().collect();
        seqs.sort_unstable();
        seqs
    }

    /// The latest write to a key that is not done; none as well where it is a dead letter.
    pub(crate) fn latest(&self, key: KeyHash) -> Option<u64> {
        self.lines.last(key)
    }

    /// How many writes of a tenant are not done.
    pub(crate) fn pending(&self, tenant: &str) -> usize {
        self.accounts.of(tenant).map_or(0, |account| account.pending.len())
    }

    pub(crate) fn shelve(&mut self, segment: &Arc<Segment>) {
        self.shelf.add(segment);
    }

    pub(crate) fn unshelve(&mut self, number: u64) {
        self.shelf.remove(number);
    }

    pub(crate) fn segment(&self, number: u64) -> Option<Arc<Segment>> {
        self.shelf.get(number)
    }

    /// How many writes are held in a segment.
    pub(crate) fn writes_in(&self, segment: u64) -> u64 {
        self.shelf.writes_in(segment)
    }

    /// Bytes of all writes that are held or on their way to the disk.
    pub(crate) const fn bytes(&self) -> u64 {
        self.accounts.bytes()
    }

    /// What tells that something has changed for a tenant's sender.
    pub(crate) fn changed(&mut self, tenant: &str) -> Arc<Notify> {
        Arc::clone(&self.accounts.entry(tenant).changed)
    }

    fn wake(&self, tenant: &str) {
        if let Some(account) = self.accounts.of(tenant) {
            account.changed.notify_one();
        }
    }

    /// Forgets a write that is in no line any more.
    fn forget(&mut self, seq: u64) {
        let Some(entry) = self.entries.remove(&seq) else { return };
        self.shelf.discount(entry.place);
        self.held_bytes -= entry.held_bytes();
        let bytes = u64::from(entry.place.bytes);
        let account = self.accounts.entry(&entry.tenant);
        account.pending.remove(&seq);
        if account.dead.remove(&seq) {
            account.dead_bytes -= bytes;
        }
        self.accounts.release(&entry.tenant, entry.client, bytes);
    }
}
