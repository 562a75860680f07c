//! The log on the disk: segments in the order in which they were begun, the newest open for writing. Synchronous, with
//! one writer.
//!
//! A segment is made under another name with all that it begins with, synced, and then given its own: so it is there as
//! a whole or not at all. What it begins with says where the segment before ends, and that is final: after a write or
//! an `fsync` that failed the segment is never written to again, and what had not been synced in it is never read,
//! whatever of it reached the disk.

pub(crate) mod replay;

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sandbar_base::clock::Clock;
use sandbar_base::replace::UNFINISHED;

use crate::files::Files;
use crate::format::head::{HEAD_BYTES, Head, JournalId, name_of};
use crate::format::record::Record;
use crate::segment::{Place, Segment};

/// What the name of a segment with damage in it ends with once it is of no further use: it is kept for whoever wants to
/// look.
const DAMAGED: &str = ".damaged";

/// The log of a journal.
#[derive(Debug)]
pub(crate) struct Log {
    files: Arc<dyn Files>,
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    journal: JournalId,
    segment_bytes: u32,
    /// Those that are final, oldest first.
    closed: VecDeque<Closed>,
    active: Option<Active>,
    next_seq: u64,
    /// Whether a removal might not outlive a crash yet.
    is_removing: bool,
    /// Held for as long as the log is open.
    _lock: Box<dyn Any + Send + Sync>,
}

#[derive(Debug)]
struct Closed {
    segment: Arc<Segment>,
    end: u32,
}

#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    /// All bytes before this are on the disk.
    end: u32,
}

/// Records that are on the disk.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) segment: Arc<Segment>,
    /// Of each record, in order.
    pub(crate) places: Vec<Place>,
    /// How long the disk took.
    pub(crate) sync_time: Duration,
}

impl Log {
    /// The next sequence number, which is used up by this.
    pub(crate) const fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq = seq.saturating_add(1);
        seq
    }

    /// Writes records and has them outlive a crash. Begins another segment where this one has its size, or where there
    /// is none since something failed.
    ///
    /// # Errors
    /// When the disk refuses; none of the records is held then.
    pub(crate) fn commit(&mut self, records: &[Record]) -> io::Result<Commit> {
        if self.active.as_ref().is_some_and(|active| active.end >= self.segment_bytes) {
            self.close();
        }
        if self.active.is_none() {
            return self.begin(records);
        }
        let appended = self.append(records);
        if appended.is_err() {
            self.abandon();
        }
        appended
    }

    fn append(&mut self, records: &[Record]) -> io::Result<Commit> {
        let active = self.active.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::with_capacity(records.iter().map(|record| record.bytes() as usize).sum());
        let places = lay_out(records, &active.segment, active.end, active.end, &mut bytes);
        let end = active.end.checked_add(bytes.len() as u32).ok_or(io::ErrorKind::FileTooLarge)?;
        active.segment.file.append(&bytes)?;
        let before = self.clock.monotonic();
        active.segment.file.sync()?;
        active.end = end;
        let sync_time = self.clock.monotonic().saturating_sub(before);
        Ok(Commit { segment: Arc::clone(&active.segment), places, sync_time })
    }

    /// Begins a segment with these records in it.
    fn begin(&mut self, records: &[Record]) -> io::Result<Commit> {
        let (number, previous_end) = match self.closed.back() {
            // Nothing was ever held in the last one: the new one takes its place.
            Some(last) if last.end <= HEAD_BYTES => (last.segment.number, self.end_of(last.segment.number - 1)),
            Some(last) => (last.segment.number + 1, last.end),
            None => (1, 0),
        };
        let head = Head { journal: self.journal, number, next_seq: self.next_seq, previous_end };
        let (path, unfinished) = (self.path(&name_of(number)), self.path(&(name_of(number) + UNFINISHED)));
        match self.files.remove(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.files.create(&unfinished)?;
        let marker = self.journal.marker(number);
        let segment = Arc::new(Segment { number, marker, file, is_damaged: AtomicBool::new(false) });
        let mut bytes = head.to_bytes().to_vec();
        let places = lay_out(records, &segment, HEAD_BYTES, HEAD_BYTES, &mut bytes);
        let end = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        segment.file.append(&bytes)?;
        let before = self.clock.monotonic();
        segment.file.sync()?;
        self.files.rename(&unfinished, &path)?;
        // Should this fail, the name may be there after a crash or not. If it is, the segment before is final there, as
        // it is here: it is not written to again.
        let named = self.files.sync_dir(&self.dir);
        let sync_time = self.clock.monotonic().saturating_sub(before);
        if self.closed.back().is_some_and(|last| last.segment.number == number) {
            self.closed.pop_back();
        }
        if let Err(error) = named {
            // Nothing in it was acknowledged, so that the next one takes its place.
            self.closed.push_back(Closed { segment, end: HEAD_BYTES });
            return Err(error);
        }
        self.is_removing = false;
        self.active = Some(Active { segment: Arc::clone(&segment), end });
        Ok(Commit { segment, places, sync_time })
    }

    /// Where a closed segment ends; 0 where it is gone.
    fn end_of(&self, number: u64) -> u32 {
        self.closed.iter().find(|closed| closed.segment.number == number).map_or(0, |closed| closed.end)
    }

    fn close(&mut self) {
        if let Some(Active { segment, end }) = self.active.take() {
            self.closed.push_back(Closed { segment, end });
        }
    }

    /// Gives the active segment up after a failure: of what was written last nothing can be trusted, not even where a
    /// second `fsync` succeeds.
    fn abandon(&mut self) {
        let Some(active) = &self.active else { return };
        // To give back the room. It makes no difference whether this succeeds: the next segment says where this one
        // ends.
        let _ = active.segment.file.truncate(u64::from(active.end));
        self.close();
    }

    /// The oldest segment, where it is not the newest as well.
    pub(crate) fn oldest(&self) -> Option<Arc<Segment>> {
        let is_last = self.closed.len() == 1 && self.active.is_none();
        self.closed.front().filter(|_| !is_last).map(|oldest| Arc::clone(&oldest.segment))
    }

    /// Removes the oldest segment; one with damage in it is set aside. The removal outlives a crash before the next one
    /// begins, so that what remains is always the end of the log, without gaps.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn remove_oldest(&mut self) -> io::Result<()> {
        if self.is_removing {
            self.files.sync_dir(&self.dir)?;
            self.is_removing = false;
        }
        let Some(oldest) = self.oldest() else { return Ok(()) };
        let path = self.path(&name_of(oldest.number));
        match oldest.is_damaged.load(Ordering::Relaxed) {
            true => self.files.rename(&path, &self.path(&(name_of(oldest.number) + DAMAGED)))?,
            false => self.files.remove(&path)?,
        }
        self.closed.pop_front();
        self.is_removing = self.files.sync_dir(&self.dir).is_err();
        Ok(())
    }

    /// Bytes of all segments, and their number.
    pub(crate) fn size(&self) -> (u64, u64) {
        let ends = self.closed.iter().map(|closed| closed.end).chain(self.active.as_ref().map(|active| active.end));
        ends.fold((0, 0), |(bytes, count), end| (bytes + u64::from(end), count + 1))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Writes records behind each other into `bytes`, which come to lie at `at`, and says where each will be.
fn lay_out(records: &[Record], segment: &Segment, at: u32, synced: u32, bytes: &mut Vec<u8>) -> Vec<Place> {
    let mut offset = at;
    let mut place = |record: &Record| {
        record.write(segment.marker, synced, bytes);
        let place = Place { segment: segment.number, offset, bytes: record.bytes() };
        offset = offset.saturating_add(record.bytes());
        place
    };
    records.iter().map(&mut place).collect()
}
