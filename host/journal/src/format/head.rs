//! What a segment begins with.
//!
//! ```text
//! "SBX-JRNL"  version (4)  crc32 of what follows (4)  journal id (16)  number (8)  next sequence (8)
//! end of the segment before (4)  reserved (12)
//! ```
//! All numbers little-endian. The end of the segment before is what makes a segment final: bytes behind it were never
//! acknowledged and are never read, and below it every record must be whole.

use super::VERSION;
use super::record::Marker;
use crate::bytes_at::{part, u32_at, u64_at};

const MAGIC: [u8; 8] = *b"SBX-JRNL";
/// Bytes of a head.
pub(crate) const HEAD_BYTES: u32 = 64;

/// The id of a journal, which nobody who writes through it may know: see [`Marker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalId(pub(crate) [u8; 16]);

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) journal: JournalId,
    pub(crate) number: u64,
    /// The sequence number of the next write when the segment was begun.
    pub(crate) next_seq: u64,
    /// Where the segment before ends; 0 where there is none before.
    pub(crate) previous_end: u32,
}

/// Why bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoHead {
    /// They are damaged.
    Damaged,
    /// They are a newer version's.
    Newer(u32),
}

impl JournalId {
    /// What the records of a segment begin with.
    pub(crate) fn marker(self, number: u64) -> Marker {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(&number.to_le_bytes());
        Marker(part(hasher.finalize().as_bytes(), 0))
    }
}

impl Head {
    pub(crate) fn to_bytes(self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.journal.0);
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.next_seq.to_le_bytes());
        bytes[48..52].copy_from_slice(&self.previous_end.to_le_bytes());
        let sum = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the head that a file begins with.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, NoHead> {
        let bytes = bytes.get(..HEAD_BYTES as usize).ok_or(NoHead::Damaged)?;
        if bytes[..8] != MAGIC {
            return Err(NoHead::Damaged);
        }
        match u32_at(bytes, 8) {
            VERSION => {}
            newer if newer > VERSION => return Err(NoHead::Newer(newer)),
            _ => return Err(NoHead::Damaged),
        }
        if crc32fast::hash(&bytes[16..]) != u32_at(bytes, 12) {
            return Err(NoHead::Damaged);
        }
        Ok(Self {
            journal: JournalId(part(bytes, 16)),
            number: u64_at(bytes, 32),
            next_seq: u64_at(bytes, 40),
            previous_end: u32_at(bytes, 48),
        })
    }
}

/// The name of a segment's file.
pub(crate) fn name_of(number: u64) -> String {
    format!("{number:016x}.journal")
}

/// The number in the name of a segment's file; none for any other file.
pub(crate) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".journal")?;
    let number = (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok()).flatten()?;
    // So that one more and one less are numbers too.
    let is_sound = (1..u64::MAX / 2).contains(&number) && name_of(number) == name;
    is_sound.then_some(number)
}
