//! One file of the log: records one after the other, appended once and never changed.
//!
//! ```text
//! record: "SBR1"  crc32 of the rest of the header  key hash (16)  until ms (8)  value length (4)  kind (4)  value
//! ```
//! All numbers little-endian. The header has its own checksum, so that a scan needs no value; the value carries one of
//! its own ([`crate::tier::codec`]) that is checked when it is read.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sandbar_base::clock::Timestamp;
use sandbar_http::key::KeyHash;

const MAGIC: [u8; 4] = *b"SBR1";
/// Bytes of a record beside its value.
pub(super) const HEADER_BYTES: u32 = 40;
const SCAN_BUFFER_BYTES: usize = 64 << 10;

/// An open segment file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: u64,
    path: PathBuf,
    file: File,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key: KeyHash,
    /// When the value is of no further use.
    pub(super) until: Timestamp,
    pub(super) value_bytes: u32,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Stores a value.
    Put,
    /// The key has no value from here on.
    Removed,
}

impl Segment {
    /// Creates or opens segment `id` in `dir`.
    pub(super) fn open(dir: &Path, id: u64) -> io::Result<Self> {
        let path = dir.join(format!("{id:016x}.seg"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        Ok(Self { id, path, file })
    }

    /// The segment's id, from a file's name; `None` for any other file.
    pub(super) fn id_of(path: &Path) -> Option<u64> {
        let name = path.file_name()?.to_str()?.strip_suffix(".seg")?;
        (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok()).flatten()
    }

    /// Writes a record at `offset` and returns its length in bytes.
    pub(super) fn write(&self, offset: u64, header: &Header, value: &[u8]) -> io::Result<u64> {
        let mut record = Vec::with_capacity(HEADER_BYTES as usize + value.len());
        record.extend_from_slice(&header.to_bytes());
        record.extend_from_slice(value);
        self.file.write_all_at(&record, offset)?;
        Ok(record.len() as u64)
    }

    /// Reads the value of the record at `offset`.
    pub(super) fn value(&self, offset: u64, value_bytes: u32) -> io::Result<Vec<u8>> {
        let mut value = vec![0; value_bytes as usize];
        self.file.read_exact_at(&mut value, offset + u64::from(HEADER_BYTES))?;
        Ok(value)
    }

    /// Calls `each` with every whole record in order, and returns the offset where they end. Bytes behind that are a
    /// torn write or damage, which can't be told apart.
    pub(super) fn scan(&self, mut each: impl FnMut(u64, Header)) -> io::Result<u64> {
        let file_bytes = self.file.metadata()?.len();
        let mut reader = BufReader::with_capacity(SCAN_BUFFER_BYTES, &self.file);
        reader.rewind()?;
        let mut offset = 0;
        let mut bytes = [0; HEADER_BYTES as usize];
        while file_bytes - offset >= u64::from(HEADER_BYTES) {
            reader.read_exact(&mut bytes)?;
            let Some(header) = Header::from_bytes(&bytes) else { break };
            let end = offset + u64::from(HEADER_BYTES) + u64::from(header.value_bytes);
            if end > file_bytes {
                break;
            }
            each(offset, header);
            reader.seek_relative(i64::from(header.value_bytes))?;
            offset = end;
        }
        Ok(offset)
    }

    /// The file's size in bytes.
    pub(super) fn file_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Cuts the file off behind so many bytes.
    pub(super) fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)
    }

    /// Removes the file. Reads that are under way can finish.
    pub(super) fn delete(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES as usize] {
        let mut bytes = [0; HEADER_BYTES as usize];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.key.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.until.as_millis().to_le_bytes());
        bytes[32..36].copy_from_slice(&self.value_bytes.to_le_bytes());
        bytes[36] = match self.kind {
            Kind::Put => 1,
            Kind::Removed => 2,
        };
        let sum = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES as usize]) -> Option<Self> {
        let sum = u32::from_le_bytes(part(bytes, 4));
        if bytes[..4] != MAGIC || crc32fast::hash(&bytes[8..]) != sum {
            return None;
        }
        let kind = match bytes[36] {
            1 => Kind::Put,
            2 => Kind::Removed,
            _ => return None,
        };
        Some(Self {
            key: KeyHash(u128::from_le_bytes(part(bytes, 8))),
            until: Timestamp::from_millis(u64::from_le_bytes(part(bytes, 24))),
            value_bytes: u32::from_le_bytes(part(bytes, 32)),
            kind,
        })
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}
