//! Opening a log: taking its directory, reading all segments ([`reading`]), and beginning a new one.
//!
//! Of the last group commit nobody knows whether it is on the disk or only in the memory of the system, not even
//! whether an `fsync` of it has failed. So it is not trusted where it lies: what can be read of it is written again, as
//! the beginning of the new segment, which says that the old one ends before it.

mod reading;

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbar_base::clock::Clock;
use sandbar_base::replace::UNFINISHED;

pub use self::reading::Damage;

use self::reading::{File, Reading};
use super::Log;
use crate::entry::Entry;
use crate::error::OpenError;
use crate::files::Files;
use crate::format::VERSION;
use crate::format::head::{HEAD_BYTES, Head, JournalId, NoHead, name_of, number_of};
use crate::format::record::Kind;
use crate::segment::Segment;

/// Where and how a log is opened.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) dir: PathBuf,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) segment_bytes: u32,
    /// How many bytes of bodies are to be kept in memory.
    pub(crate) held_bytes_max: u64,
    /// For a journal that is not there yet.
    pub(crate) fresh_id: JournalId,
}

/// A log that was opened, and what its files say.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) log: Log,
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The writes that are not done, by their numbers.
    pub(crate) writes: BTreeMap<u64, Entry>,
    pub(crate) torn_bytes: u64,
    pub(crate) damage: Vec<Damage>,
}

impl Opening {
    /// Takes the directory and reads what is in it.
    pub(crate) fn open(self) -> Result<Opened, OpenError> {
        let refused = |error| OpenError::refused(&self.dir, error);
        self.files.create_dir(&self.dir).map_err(refused)?;
        let lock = self.files.lock(&self.dir.join("lock")).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { path: self.dir.clone() },
            _ => refused(error),
        })?;
        let files = self.segments()?;
        let id = the_id(&files)?;
        if id.is_none() && !files.is_empty() {
            return Err(OpenError::NoHead { path: self.dir });
        }
        let mut reading = Reading::new(id.unwrap_or(self.fresh_id), self.held_bytes_max);
        for (index, file) in files.iter().enumerate() {
            reading.read(file, files.get(index + 1))?;
        }
        self.begin(reading, lock)
    }

    /// The segments in the directory, oldest first. What was left unfinished is removed: nothing in it was
    /// acknowledged.
    fn segments(&self) -> Result<Vec<File>, OpenError> {
        let refused = |error| OpenError::refused(&self.dir, error);
        let mut numbers = Vec::new();
        for name in self.files.list(&self.dir).map_err(refused)? {
            if name.strip_suffix(UNFINISHED).and_then(number_of).is_some() {
                self.files.remove(&self.dir.join(&name)).map_err(refused)?;
            }
            numbers.extend(number_of(&name));
        }
        numbers.sort_unstable();
        numbers.into_iter().map(|number| self.segment(number)).collect()
    }

    fn segment(&self, number: u64) -> Result<File, OpenError> {
        let path = self.dir.join(name_of(number));
        let refused = |error| OpenError::refused(&path, error);
        let file = self.files.open(&path).map_err(refused)?;
        let size = file.size().map_err(refused)?.min(u64::from(HEAD_BYTES));
        let head = match Head::read(&file.read_at(0, size as usize).map_err(refused)?) {
            Ok(head) => Some(head).filter(|head| head.number == number),
            Err(NoHead::Newer(version)) => return Err(OpenError::Newer { path, version, known: VERSION }),
            Err(NoHead::Damaged) => None,
        };
        Ok(File { number, path, file, head })
    }

    /// Begins a segment with what was in doubt.
    fn begin(self, reading: Reading, lock: Box<dyn Any + Send + Sync>) -> Result<Opened, OpenError> {
        let Reading { id, closed, mut writes, next_seq, in_doubt, torn_bytes, damage, .. } = reading;
        let mut log = Log {
            files: self.files,
            dir: self.dir,
            clock: self.clock,
            journal: id,
            segment_bytes: self.segment_bytes,
            closed,
            active: None,
            next_seq,
            is_removing: true,
            _lock: lock,
        };
        let commit = log.begin(&in_doubt).map_err(|error| OpenError::refused(log.dir(), error))?;
        for (record, place) in in_doubt.iter().zip(commit.places) {
            if let Some(entry) = writes.get_mut(&record.seq).filter(|_| record.kind == Kind::Write) {
                entry.place = place;
            }
        }
        let segments = log.closed.iter().map(|closed| Arc::clone(&closed.segment)).chain([commit.segment]).collect();
        Ok(Opened { log, segments, writes, torn_bytes, damage })
    }
}

/// The id that all heads name; none where no head can be read.
fn the_id(files: &[File]) -> Result<Option<JournalId>, OpenError> {
    let mut first: Option<(&Path, JournalId)> = None;
    for file in files {
        match (first, file.head) {
            (Some((other, id)), Some(head)) if id != head.journal => {
                return Err(OpenError::Foreign { path: file.path.clone(), other: other.to_owned() });
            }
            (None, Some(head)) => first = Some((&file.path, head.journal)),
            _ => {}
        }
    }
    Ok(first.map(|(_, id)| id))
}
