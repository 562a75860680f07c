//! A record: what a segment consists of, behind its head.
//!
//! ```text
//! marker (8)  crc32 of what follows (4)  body length (4)  synced (4)  kind (1)  reserved (3)  sequence (8)  body
//! ```
//! All numbers little-endian. The marker is derived from the journal's id and the segment's number, so that nobody who
//! writes through the journal can put into a content what looks like a record when a damaged file is searched. *Synced*
//! is how many bytes of the file were known to be on the disk when the record was written: damage below that is damage
//! to what was acknowledged, and anything above it may be a write that a crash has torn.

use bytes::Bytes;

use crate::bytes_at::{u32_at, u64_at};

/// Bytes of a record beside its body.
pub(crate) const RECORD_BYTES: u32 = 32;

/// What every record of one segment begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker(pub(crate) [u8; 8]);

/// What a record says about the write with its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This is it, and where it is a dead letter, why.
    Write,
    /// It is done: delivered, absorbed by a later one, or dropped.
    Done,
    /// It is a dead letter from here on.
    Dead,
    /// It is no dead letter any more.
    Revived,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Write => 1,
            Self::Done => 2,
            Self::Dead => 3,
            Self::Revived => 4,
        }
    }

    const fn of(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Write),
            2 => Some(Self::Done),
            3 => Some(Self::Dead),
            4 => Some(Self::Revived),
            _ => None,
        }
    }
}

/// A record that is about to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) body: Bytes,
}

impl Record {
    /// The record's size in a file.
    pub(crate) fn bytes(&self) -> u32 {
        RECORD_BYTES + u32::try_from(self.body.len()).expect("bodies are bounded far below 4 GiB")
    }

    /// Writes the record behind what is in `to`.
    pub(crate) fn write(&self, marker: Marker, synced: u32, to: &mut Vec<u8>) {
        let start = to.len();
        to.extend_from_slice(&marker.0);
        to.extend_from_slice(&[0; 4]);
        to.extend_from_slice(&(self.bytes() - RECORD_BYTES).to_le_bytes());
        to.extend_from_slice(&synced.to_le_bytes());
        to.extend_from_slice(&[self.kind.code(), 0, 0, 0]);
        to.extend_from_slice(&self.seq.to_le_bytes());
        to.extend_from_slice(&self.body);
        let sum = crc32fast::hash(&to[start + 12..]);
        to[start + 8..start + 12].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen<'a> {
    pub(crate) kind: Kind,
    pub(crate) seq: u64,
    pub(crate) synced: u32,
    pub(crate) body: &'a [u8],
}

impl<'a> Seen<'a> {
    /// Reads the record that `bytes` begin with; none where it is not whole.
    pub(crate) fn read(bytes: &'a [u8], marker: Marker) -> Option<Self> {
        let head = bytes.get(..RECORD_BYTES as usize).filter(|head| head[..8] == marker.0)?;
        let end = (RECORD_BYTES as usize).checked_add(u32_at(head, 12) as usize)?;
        let record = bytes.get(..end)?;
        if crc32fast::hash(&record[12..]) != u32_at(head, 8) {
            return None;
        }
        let body = &record[RECORD_BYTES as usize..];
        Some(Self { kind: Kind::of(head[20])?, seq: u64_at(head, 24), synced: u32_at(head, 16), body })
    }

    /// The record's size in a file.
    pub(crate) const fn bytes(&self) -> usize {
        RECORD_BYTES as usize + self.body.len()
    }
}
