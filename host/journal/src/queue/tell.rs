//! What the disk must be told of, and the figures of the queue.

use tokio::sync::oneshot;

use super::Queue;
use crate::entry::Grave;
use crate::error::{AppendError, Bound};
use crate::stats::{JournalStats, TenantStats};

/// What the disk must be told about a write. Nothing waits for it: until it is told, a crash has the write come back.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) seq: u64,
    pub(crate) told: Told,
    /// Who wants to know when it is on the disk.
    pub(crate) ack: Option<oneshot::Sender<Result<(), AppendError>>>,
}

/// What has become of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Done,
    Dead(Grave),
    Revived,
}

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) acknowledged: u64,
    pub(super) absorbed: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) buried: u64,
    pub(super) dropped: u64,
    pub(super) refused: [u64; Bound::ALL.len()],
}

impl Queue {
    pub(super) fn note(&mut self, seq: u64, told: Told) {
        self.notes.push(Note { seq, told, ack: None });
    }

    /// Has somebody told when the note that was made last is on the disk.
    pub(crate) fn ack_last(&mut self) -> oneshot::Receiver<Result<(), AppendError>> {
        let (ack, told) = oneshot::channel();
        if let Some(note) = self.notes.last_mut() {
            note.ack = Some(ack);
        }
        told
    }

    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Takes back notes that could not be written, before those that were made since.
    pub(crate) fn return_notes(&mut self, notes: Vec<Note>) {
        self.notes.splice(..0, notes);
    }

    pub(crate) const fn notes_len(&self) -> usize {
        self.notes.len()
    }

    /// Adds the queue's figures.
    pub(crate) fn add_to(&self, stats: &mut JournalStats) {
        let Counts { acknowledged, absorbed, done, failed, buried, dropped, refused } = &self.counts;
        stats.acknowledged = *acknowledged;
        stats.absorbed = *absorbed;
        stats.done = *done;
        stats.failed = *failed;
        stats.buried = *buried;
        stats.dropped = *dropped;
        stats.refused = Bound::ALL.map(|bound| (bound, refused[bound as usize])).into();
        stats.held_bytes = self.held_bytes;
        stats.bytes = self.accounts.bytes();
        stats.tenants = self
            .accounts
            .all()
            .map(|(name, account)| {
                let tenant = TenantStats {
                    pending: account.pending.len() as u64,
                    dead: account.dead.len() as u64,
                    bytes: account.bytes,
                    dead_bytes: account.dead_bytes,
                    oldest: account.pending.first().and_then(|seq| self.entries.get(seq)).map(|entry| entry.at),
                };
                (name.to_string(), tenant)
            })
            .collect();
    }
}
