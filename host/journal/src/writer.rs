//! The writer: one thread that has the log. What has come together since its last `fsync` shares the next one.

mod compact;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sandbar_base::disk_trouble::DiskTrouble;

use crate::entry::Entry;
use crate::error::AppendError;
use crate::format::body::write_death;
use crate::format::record::{Kind, Record};
use crate::inbox::Waiting;
use crate::log::{Commit, Log};
use crate::queue::{Note, Told};
use crate::shared::Shared;
use crate::write::Seq;

/// For so long what has become of writes waits for others at most, until the disk is told.
const NOTES_WAIT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
}

impl Writer {
    /// Writes until the journal is closed; says whether the disk knows all then.
    pub(crate) fn run(mut self) -> Result<(), AppendError> {
        let _end = End(Arc::clone(&self.shared));
        while self.shared.inbox.wait(NOTES_WAIT) {
            // Whoever waited has been told of a failure, and the trouble with the disk is counted.
            let _ = self.round();
        }
        let told = self.round();
        told.map_err(|error| self.refused(&error))
    }

    /// One group commit of what waits, and the tidying behind it.
    ///
    /// # Errors
    /// When the disk refused; whoever waited has been told.
    pub(crate) fn round(&mut self) -> io::Result<()> {
        let waiting = self.shared.inbox.take(self.shared.settings.batch_bytes.into());
        let notes = self.shared.queue.write().take_notes();
        let bytes = waiting.iter().map(Waiting::bytes).sum();
        let written = self.write(waiting, notes);
        self.shared.inbox.written(bytes);
        // A full disk has room again once old segments are gone: for that nothing needs to be written.
        let tidied = if written.is_ok() { self.tidy() } else { self.remove_useless() };
        for error in [&written, &tidied].into_iter().filter_map(|done| done.as_ref().err()) {
            self.shared.trouble.refused(error, self.shared.clock.now());
        }
        self.note_size();
        written
    }

    fn write(&mut self, waiting: Vec<Waiting>, notes: Vec<Note>) -> io::Result<()> {
        if waiting.is_empty() && notes.is_empty() {
            return Ok(());
        }
        let seqs: Vec<u64> = waiting.iter().map(|_| self.log.take_seq()).collect();
        let writes = waiting.iter().zip(&seqs).map(|(waiting, seq)| Record {
            kind: Kind::Write,
            seq: *seq,
            body: waiting.body.clone(),
        });
        let records: Vec<Record> = writes.chain(notes.iter().map(record_of)).collect();
        match self.commit(&records) {
            Ok(commit) => {
                self.take_in(waiting, &seqs, &commit);
                for ack in notes.into_iter().filter_map(|note| note.ack) {
                    let _ = ack.send(Ok(()));
                }
                Ok(())
            }
            Err(error) => {
                self.give_back(waiting, notes, &error);
                Err(error)
            }
        }
    }

    fn commit(&mut self, records: &[Record]) -> io::Result<Commit> {
        let commit = self.log.commit(records);
        let mut figures = self.shared.figures.lock();
        match &commit {
            Ok(commit) => {
                figures.commits += 1;
                figures.records += records.len() as u64;
                figures.sync_time += commit.sync_time;
                figures.sync_time_max = figures.sync_time_max.max(commit.sync_time);
                drop(figures);
                self.shared.queue.write().shelve(&commit.segment);
            }
            Err(_) => figures.commits_failed += 1,
        }
        commit
    }

    /// Has the queue know of writes that are on the disk now, then acknowledges them: whoever reads after that sees
    /// them.
    fn take_in(&self, waiting: Vec<Waiting>, seqs: &[u64], commit: &Commit) {
        let mut acks = Vec::with_capacity(waiting.len());
        let mut queue = self.shared.queue.write();
        for ((waiting, seq), place) in waiting.into_iter().zip(seqs).zip(&commit.places) {
            let Waiting { tenant, key, at, replaces, author, client, body, ack } = waiting;
            let (place, held) = (*place, Some(body));
            let (sent, attempts, grave) = (false, 0, None);
            let entry = Entry { tenant, key, place, at, replaces, author, client, sent, attempts, held, grave };
            queue.insert(*seq, entry);
            acks.push((ack, Seq(*seq)));
        }
        let has_notes = queue.notes_len() > 0;
        drop(queue);
        for (ack, seq) in acks {
            let _ = ack.send(Ok(seq));
        }
        if has_notes {
            self.shared.inbox.ring(false);
        }
    }

    /// After a failure: tells whoever waits, and keeps the notes for another try.
    fn give_back(&self, waiting: Vec<Waiting>, mut notes: Vec<Note>, error: &io::Error) {
        let acks: Vec<_> = notes.iter_mut().filter_map(|note| note.ack.take()).collect();
        let mut queue = self.shared.queue.write();
        for waiting in &waiting {
            queue.release(&waiting.tenant, waiting.client, waiting.bytes());
        }
        let has_notes = !notes.is_empty();
        queue.return_notes(notes);
        drop(queue);
        for waiting in waiting {
            let _ = waiting.ack.send(Err(self.refused(error)));
        }
        for ack in acks {
            let _ = ack.send(Err(self.refused(error)));
        }
        if has_notes {
            self.shared.inbox.ring(false);
        }
    }

    fn refused(&self, error: &io::Error) -> AppendError {
        AppendError::Refused {
            path: self.shared.dir.clone(),
            reason: error.to_string(),
            remedy: DiskTrouble::remedy(error),
            retry_after: self.shared.settings.retry_after_busy,
        }
    }

    pub(crate) fn note_size(&self) {
        let mut figures = self.shared.figures.lock();
        (figures.disk_bytes, figures.segments) = self.log.size();
    }
}

/// Has nobody wait for a writer that is gone, even if it panicked.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.inbox.end();
    }
}

fn record_of(note: &Note) -> Record {
    let (kind, body) = match &note.told {
        Told::Done => (Kind::Done, bytes::Bytes::new()),
        Told::Dead(grave) => (Kind::Dead, write_death(&grave.as_death())),
        Told::Revived => (Kind::Revived, bytes::Bytes::new()),
    };
    Record { kind, seq: note.seq, body }
}
