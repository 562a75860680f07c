//! How an entry becomes bytes, for every tier below memory, and how bytes of unknown origin become an entry.
//!
//! ```text
//! "SBE"  version  crc32 (LE)  encoding  raw length (u32 LE)  payload
//! payload, raw or one zstd frame: meta length (u32 LE), meta (postcard, see [`wire`]), body
//! ```
//!
//! The checksum covers everything behind it. Bytes that can't be read are a miss, never a panic: see [`Unreadable`].
//! Nothing is allocated for a length that was merely claimed, so hostile bytes cost at most what they really unpack to,
//! and that is bounded by [`ENTRY_BYTES_MAX`].
//!
//! # How a field is added
//! Meta ends with a list of *extras*, pairs of a tag and bytes. A new field takes the next free tag: an **even** one if a
//! reader that does not know it may ignore it, an **odd** one if such a reader must treat the entry as a miss.
//!
//! | | old data | new data, even tag | new data, odd tag |
//! |---|---|---|---|
//! | old reader | reads | reads, without the field; writing it back loses the field | a miss |
//! | new reader | reads; the field has its default | reads | reads |
//!
//! | tag | since | what |
//! |---|---|---|
//! | 2 | 0.1.0 | the response's version, of a class with `consistency = "versioned"` |
//! | 3 | 0.1.0 | for a body that consists of several parts of a representation: which parts, in order |
//!
//! Anything else (a field removed, retyped or reordered) takes a new version byte, and a version unknown to a reader is a
//! miss to it: nodes of both versions side by side then lose hits, not correctness.

mod pack;
mod wire;

use std::sync::Arc;

use bytes::Bytes;

use sandbar_base::memory_budget::{Content, Reserved};
use sandbar_http::entry::{Entry, StoredResponse};

/// The largest entry that is stored or read, in bytes before compression.
pub const ENTRY_BYTES_MAX: usize = 256 << 20;

/// Bytes that an encoded entry takes beyond its meta and body.
pub const HEADER_BYTES: usize = 13;

/// How an entry is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding {
    /// Payloads of at least this many bytes are compressed with zstd if that saves at least an eighth; with `None`
    /// nothing is compressed. A response with a `Content-Encoding` is stored as it is.
    pub compress_above_bytes: Option<usize>,
    /// Milliseconds added to the times that are stored: the difference between the node's clock and the tier's.
    pub shift_ms: i64,
}

/// Why stored bytes do not yield the entry that was asked for. Each of these is a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The bytes do not begin like an entry.
    #[error("not an entry")]
    Foreign,
    /// A format that this program does not know, newer or long gone.
    #[error("format version {0}")]
    Version(u8),
    /// The checksum differs, or there are too few bytes.
    #[error("damaged")]
    Damaged,
    /// The checksum is right and the content is not: another writer's mistake.
    #[error("malformed")]
    Malformed,
    /// The entry is larger than [`ENTRY_BYTES_MAX`].
    #[error("larger than {ENTRY_BYTES_MAX} bytes")]
    TooLarge,
    /// The memory budget has no room for the unpacked entry.
    #[error("no room to unpack it")]
    NoRoom,
    /// The bytes are an intact entry of another key.
    #[error("another key's entry")]
    OtherKey,
}

/// Encodes an entry, uncompressed.
///
/// # Panics
/// Never for an entry of less than 4 GiB.
pub fn encode(entry: &Entry) -> Vec<u8> {
    encode_with(entry, &Encoding::default())
}

/// Encodes an entry.
pub fn encode_with(entry: &Entry, encoding: &Encoding) -> Vec<u8> {
    let (meta, body) = wire::write(entry, encoding.shift_ms);
    let compress = match entry {
        Entry::Response(response) if !response.fields.contains_key(http::header::CONTENT_ENCODING) => {
            encoding.compress_above_bytes
        }
        _ => None,
    };
    pack::pack(&meta, &body, compress)
}

/// Decodes an entry that was stored under `key_text`.
///
/// # Errors
/// When the bytes are not a readable entry, or belong to another key.
pub fn decode(bytes: &[u8], key_text: &str) -> Result<Entry, Unreadable> {
    decode_shared(&Bytes::copy_from_slice(bytes), &Arc::from(key_text), 0)
}

/// Like [`decode`], without copying the body and the key: the body points into `bytes`. `shift_ms` is subtracted from
/// the stored times.
///
/// # Errors
/// As for [`decode`].
pub fn decode_shared(bytes: &Bytes, key_text: &Arc<str>, shift_ms: i64) -> Result<Entry, Unreadable> {
    let payload = pack::unpack(bytes, |_| true)?;
    wire::read(&payload, key_text, shift_ms)
}

/// Like [`decode_shared`], with memory that is charged to `room`: `bytes` themselves, what they unpack to, and from
/// then on the entry.
///
/// # Errors
/// As for [`decode`], and [`Unreadable::NoRoom`].
pub fn decode_within(
    bytes: Bytes,
    key_text: &Arc<str>,
    shift_ms: i64,
    mut room: Reserved,
) -> Result<Entry, Unreadable> {
    let packed_bytes = bytes.len() as u64;
    let mut raw_bytes = None;
    let payload = pack::unpack(&bytes, |raw| {
        raw_bytes = Some(raw);
        room.cover(packed_bytes + raw)
    })?;
    drop(bytes);
    let entry = wire::read(&payload, key_text, shift_ms)?;
    drop(payload);
    // Unpacked bytes lie in memory of their own, and the packed bytes have been freed.
    room.shrink_to(raw_bytes.unwrap_or(packed_bytes));
    Ok(match entry {
        Entry::Response(response) => {
            let body = Content::kept(Bytes::clone(&response.body), Arc::new(room));
            Entry::Response(StoredResponse { body, ..response })
        }
        variants @ Entry::Variants(_) => variants,
    })
}

#[cfg(test)]
mod tests;
