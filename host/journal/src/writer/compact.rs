//! Getting rid of old segments: one whose writes are all done is removed, always the oldest first; one that holds
//! little is written again at the end of the log.
//!
//! Because the oldest goes first, what became of a write (which stands in a later segment than the write) is there for
//! as long as the write is. And what is written again carries what became of it so far.

use std::io;

use bytes::Bytes;

use super::Writer;
use crate::entry::Grave;
use crate::format::body;
use crate::format::record::{Kind, Record};
use crate::segment::ReadError;

/// Segments that are put up with beside those that are full of writes.
const SEGMENTS_SPARE: u64 = 4;

impl Writer {
    /// Removes what is of no further use, and rewrites one segment at most.
    pub(super) fn tidy(&mut self) -> io::Result<()> {
        self.remove_useless()?;
        if self.is_wasteful() {
            self.carry_oldest()?;
            self.remove_useless()?;
        }
        Ok(())
    }

    pub(super) fn remove_useless(&mut self) -> io::Result<()> {
        while let Some(oldest) = self.log.oldest()
            && self.shared.queue.read().writes_in(oldest.number) == 0
        {
            self.log.remove_oldest()?;
            self.shared.queue.write().unshelve(oldest.number);
        }
        Ok(())
    }

    /// Whether the files have more than twice the bytes of what they hold and some spare segments, or are more than
    /// that.
    fn is_wasteful(&self) -> bool {
        let (disk_bytes, segments) = self.log.size();
        let segment_bytes = u64::from(self.shared.settings.segment_bytes);
        let held_bytes = self.shared.queue.read().bytes();
        disk_bytes > 2 * held_bytes + (SEGMENTS_SPARE - 1) * segment_bytes
            || segments > SEGMENTS_SPARE * (held_bytes / segment_bytes + 2)
    }

    /// Writes what is held in the oldest segment again, a batch at a time.
    fn carry_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.log.oldest() else { return Ok(()) };
        let (mut records, mut bytes) = (Vec::new(), 0);
        let writes = self.shared.queue.read().all_in(oldest.number);
        for seq in writes {
            let Some(record) = self.record(seq)? else { continue };
            bytes += record.bytes();
            records.push(record);
            if bytes >= self.shared.settings.batch_bytes {
                self.carry(std::mem::take(&mut records))?;
                bytes = 0;
            }
        }
        self.carry(records)
    }

    /// The record of a write, with what became of it since; none where it is done meanwhile, or lost.
    fn record(&self, seq: u64) -> io::Result<Option<Record>> {
        let grave = self.shared.queue.read().entry(seq).and_then(|entry| entry.grave.clone());
        let body = match self.shared.body(seq) {
            Ok(Some(body)) => body,
            Ok(None) => return Ok(None),
            Err(ReadError::Disk(error)) => return Err(error),
            Err(damaged) => {
                self.shared.lose(seq, &damaged);
                return Ok(None);
            }
        };
        let Some((about, content)) = body::read(&body) else { return Ok(None) };
        let death = grave.as_deref().map(Grave::as_death);
        let carried: Bytes = match about.death == death {
            true => body,
            false => body::write(&body::About { death, ..about }, &body[content..]),
        };
        Ok(Some(Record { kind: Kind::Write, seq, body: carried }))
    }

    fn carry(&mut self, records: Vec<Record>) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let commit = self.commit(&records)?;
        let mut queue = self.shared.queue.write();
        for (record, place) in records.iter().zip(commit.places) {
            queue.moved(record.seq, place);
        }
        drop(queue);
        let carried: u64 = records.iter().map(|record| u64::from(record.bytes())).sum();
        self.shared.figures.lock().carried_bytes += carried;
        Ok(())
    }
}
