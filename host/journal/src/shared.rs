//! What the journal's users and its writer share.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use sandbar_base::Timestamp;
use sandbar_base::clock::Clock;
use sandbar_base::disk_trouble::DiskTrouble;
use tokio::sync::oneshot;

use crate::error::{AppendError, Bound};
use crate::inbox::{Inbox, NotLetIn, Waiting};
use crate::queue::Queue;
use crate::segment::ReadError;
use crate::settings::Settings;
use crate::stats::JournalStats;
use crate::write::{HeldWrite, Seq, Write, hash_of};

/// Past so many notes the disk is told at once: it bounds what a crash has come back.
const NOTES_MAX: usize = 1024;

/// The parts of a journal beside its log, which the writer alone has.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) queue: RwLock<Queue>,
    pub(crate) inbox: Inbox,
    pub(crate) trouble: DiskTrouble,
    /// What the writer counts.
    pub(crate) figures: Mutex<JournalStats>,
}

impl Shared {
    /// Puts a write on its way to the disk; the receiver is told once it is there.
    pub(crate) fn submit(&self, write: &Write) -> Result<oneshot::Receiver<Result<Seq, AppendError>>, AppendError> {
        let body = write.encode(self.settings.write_bytes_max)?;
        let (ack, acknowledged) = oneshot::channel();
        let (tenant, key) = (Arc::clone(&write.tenant), hash_of(&write.tenant, &write.key));
        let Write { at, replaces, author, client, .. } = *write;
        let waiting = Waiting { tenant, key, at, replaces, author, client, body, ack };
        let bytes = waiting.bytes();
        self.queue.write().reserve(&write.tenant, client, bytes).map_err(|bound| self.full(bound))?;
        let let_in = self.inbox.push(waiting);
        if let Err(why) = let_in {
            let mut queue = self.queue.write();
            queue.release(&write.tenant, client, bytes);
            return Err(match why {
                NotLetIn::Closed => AppendError::Closed,
                NotLetIn::Full => {
                    queue.refused(Bound::Queue);
                    self.full(Bound::Queue)
                }
            });
        }
        Ok(acknowledged)
    }

    fn full(&self, bound: Bound) -> AppendError {
        let retry_after = match bound {
            Bound::Queue => self.settings.retry_after_busy,
            _ => self.settings.retry_after_full,
        };
        AppendError::Full { bound, retry_after }
    }

    /// Changes the queue; the disk is told of it soon.
    pub(crate) fn settle<T>(&self, settle: impl FnOnce(&mut Queue) -> T) -> T {
        let mut queue = self.queue.write();
        let settled = settle(&mut queue);
        let notes = queue.notes_len();
        drop(queue);
        if notes > 0 {
            self.inbox.ring(notes >= NOTES_MAX);
        }
        settled
    }

    /// The write with a number, from memory or the disk; none where it is done.
    pub(crate) fn read(&self, seq: u64) -> Result<Option<HeldWrite>, ReadError> {
        let write = self.body(seq)?.as_ref().and_then(Write::decode);
        Ok(write.map(|write| HeldWrite { seq: Seq(seq), write }))
    }

    /// The body of its record.
    pub(crate) fn body(&self, seq: u64) -> Result<Option<Bytes>, ReadError> {
        let (place, segment) = {
            let queue = self.queue.read();
            let Some(entry) = queue.entry(seq) else { return Ok(None) };
            if let Some(body) = &entry.held {
                return Ok(Some(body.clone()));
            }
            (entry.place, queue.segment(entry.place.segment))
        };
        // The file may be removed from here on, and can be read all the same.
        let segment = segment.ok_or_else(|| ReadError::damaged(seq, place))?;
        segment.body(seq, place).map(Some)
    }

    /// Whether reading a write asks the disk.
    pub(crate) fn is_on_disk_alone(&self, seq: u64) -> bool {
        self.queue.read().entry(seq).is_some_and(|entry| entry.held.is_none())
    }

    pub(crate) fn stats(&self, now: Timestamp) -> JournalStats {
        let mut stats = self.figures.lock().clone();
        self.queue.read().add_to(&mut stats);
        stats.queued_bytes = self.inbox.bytes();
        stats.disk = self.trouble.report(now);
        stats
    }

    /// Gives up a write whose record is damaged, and says so loudly. Its file is set aside once it is of no further
    /// use.
    pub(crate) fn lose(&self, seq: u64, damaged: &ReadError) {
        let tenant = self.settle(|queue| queue.lose(seq));
        let (tenant, dir) = (tenant.as_deref().unwrap_or_default(), self.dir.display());
        tracing::error!(tenant, "a write that had been acknowledged is lost from the journal {dir}: {damaged}");
        self.figures.lock().damaged += 1;
    }
}
