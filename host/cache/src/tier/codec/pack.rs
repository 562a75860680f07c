//! The envelope of an encoded entry: magic, version, checksum, compression.

use std::io::Read;

use bytes::Bytes;

use super::{ENTRY_BYTES_MAX, HEADER_BYTES, Unreadable};

const MAGIC: &[u8; 3] = b"SBE";
const VERSION: u8 = 1;
const RAW: u8 = 0;
const ZSTD: u8 = 1;
/// zstd's fastest regular level, because clients may wait for the tier.
const LEVEL: i32 = 1;
/// Offset of the first byte that the checksum covers.
const SUMMED_FROM: usize = 8;

/// An unpacked payload.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) meta: Bytes,
    pub(super) body: Bytes,
}

/// Packs meta and body (given in chunks), and compresses them from `compress_above_bytes` on.
pub(super) fn pack(meta: &[u8], body: &[&[u8]], compress_above_bytes: Option<usize>) -> Vec<u8> {
    let raw_bytes = size_of::<u32>() + meta.len() + body.iter().map(|chunk| chunk.len()).sum::<usize>();
    let mut packed = Vec::with_capacity(HEADER_BYTES + raw_bytes);
    packed.extend_from_slice(MAGIC);
    packed.push(VERSION);
    packed.extend_from_slice(&[0; 4]);
    packed.push(RAW);
    packed.extend_from_slice(&length(raw_bytes));
    packed.extend_from_slice(&length(meta.len()));
    packed.extend_from_slice(meta);
    body.iter().for_each(|chunk| packed.extend_from_slice(chunk));
    if compress_above_bytes.is_some_and(|above| raw_bytes >= above) {
        compress(&mut packed);
    }
    let sum = crc32fast::hash(&packed[SUMMED_FROM..]);
    packed[MAGIC.len() + 1..SUMMED_FROM].copy_from_slice(&sum.to_le_bytes());
    packed
}

/// Checks and unpacks bytes. Before they are decompressed, `covers` is asked for room for that many raw bytes.
pub(super) fn unpack(bytes: &Bytes, covers: impl FnOnce(u64) -> bool) -> Result<Payload, Unreadable> {
    if bytes.len() < MAGIC.len() + 1 || &bytes[..MAGIC.len()] != MAGIC {
        return Err(Unreadable::Foreign);
    }
    if bytes[MAGIC.len()] != VERSION {
        return Err(Unreadable::Version(bytes[MAGIC.len()]));
    }
    if bytes.len() < HEADER_BYTES {
        return Err(Unreadable::Damaged);
    }
    if crc32fast::hash(&bytes[SUMMED_FROM..]) != word(bytes, MAGIC.len() + 1) {
        return Err(Unreadable::Damaged);
    }
    let raw_bytes = word(bytes, SUMMED_FROM + 1) as usize;
    if raw_bytes > ENTRY_BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let packed = bytes.slice(HEADER_BYTES..);
    let raw = match bytes[SUMMED_FROM] {
        RAW => packed,
        ZSTD if !covers(raw_bytes as u64) => return Err(Unreadable::NoRoom),
        ZSTD => decompress(&packed, raw_bytes)?,
        _ => return Err(Unreadable::Malformed),
    };
    if raw.len() != raw_bytes || raw_bytes < size_of::<u32>() {
        return Err(Unreadable::Malformed);
    }
    let meta_bytes = word(&raw, 0) as usize;
    let mut meta = raw.slice(size_of::<u32>()..);
    if meta_bytes > meta.len() {
        return Err(Unreadable::Malformed);
    }
    let body = meta.split_off(meta_bytes);
    Ok(Payload { meta, body })
}

/// Replaces the payload by its compressed form if that saves an eighth.
fn compress(packed: &mut Vec<u8>) {
    let raw_bytes = packed.len() - HEADER_BYTES;
    if let Ok(small) = zstd::bulk::compress(&packed[HEADER_BYTES..], LEVEL)
        && small.len() <= raw_bytes - raw_bytes / 8
    {
        packed.truncate(HEADER_BYTES);
        packed.extend_from_slice(&small);
        packed[SUMMED_FROM] = ZSTD;
        packed.shrink_to_fit();
    }
}

/// Memory grows with the bytes that really come out, and no further than the announced length.
fn decompress(packed: &[u8], raw_bytes: usize) -> Result<Bytes, Unreadable> {
    let decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(|_| Unreadable::Malformed)?;
    let first_bytes = raw_bytes.min(packed.len().saturating_mul(8));
    let mut raw = Vec::with_capacity(first_bytes);
    decoder.take(raw_bytes as u64 + 1).read_to_end(&mut raw).map_err(|_| Unreadable::Malformed)?;
    Ok(raw.into())
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).expect("an entry is far smaller than 4 GiB: bodies are bounded").to_le_bytes()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
