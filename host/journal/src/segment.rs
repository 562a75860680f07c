//! One file of the log, and a record's place in it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use crate::files::LogFile;
use crate::format::record::{Marker, RECORD_BYTES, Seen};

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) marker: Marker,
    pub(crate) file: Arc<dyn LogFile>,
    /// Whether something in it was found to be damaged.
    pub(crate) is_damaged: AtomicBool,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u32,
    pub(crate) bytes: u32,
}

/// Why a write that is held can't be read. It stays in the journal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk refuses.
    #[error("a write that the journal holds can't be read: {0}")]
    Disk(io::Error),
    /// It is not what was written there.
    #[error(
        "write {seq} is damaged on the disk, at byte {offset} of segment {segment:016x}: look at the kernel's log; a copy \
         of the file may be in a backup"
    )]
    Damaged {
        /// Its number.
        seq: u64,
        /// The number in the file's name.
        segment: u64,
        /// Where its record begins.
        offset: u32,
    },
}

impl Segment {
    /// Reads the body of the record of a write, and checks that it is the one that was written.
    pub(crate) fn body(&self, seq: u64, place: Place) -> Result<Bytes, ReadError> {
        let bytes =
            self.file.read_at(u64::from(place.offset), place.bytes as usize).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => ReadError::damaged(seq, place),
                _ => ReadError::Disk(error),
            })?;
        match Seen::read(&bytes, self.marker) {
            Some(seen) if seen.seq == seq => Ok(Bytes::from(bytes).slice(RECORD_BYTES as usize..)),
            _ => Err(ReadError::damaged(seq, place)),
        }
    }
}

impl ReadError {
    pub(crate) const fn damaged(seq: u64, place: Place) -> Self {
        Self::Damaged { seq, segment: place.segment, offset: place.offset }
    }
}
