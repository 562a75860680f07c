//! Reading a whole segment, damaged ones too.
//!
//! A record that is not whole is either one that a crash has torn, which nobody was told was held, or damage to what
//! was acknowledged. Records tell them apart: each says how much of the file was on the disk when it was written.
//! Behind damage the next whole record is searched for by its marker; behind a torn record nothing is read.

use super::head::HEAD_BYTES;
use super::record::{Marker, Seen};

/// Where something begins, and where it ends, itself left out.
type Range = (u32, u32);

/// What a segment holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// The offsets of whole records, in order.
    pub(crate) records: Vec<u32>,
    /// Damage to what had been acknowledged.
    pub(crate) damage: Vec<Range>,
    /// Where the last group commit begins, of which the disk may have less than was written.
    pub(crate) last_commit: u32,
    /// Where what can be read ends.
    pub(crate) end: u32,
}

/// A whole record.
#[derive(Clone, Copy, Debug)]
struct Whole {
    at: Range,
    /// What was on the disk when it was written.
    synced: u32,
}

/// Reads a segment. `sealed` says where it ends, if it is not the last one: everything before that was acknowledged.
pub(crate) fn scan(bytes: &[u8], marker: Marker, sealed: Option<u32>) -> Scan {
    let file_end = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let limit = sealed.unwrap_or(file_end).min(file_end);
    let (found, holes) = all_records(&bytes[..limit as usize], marker);
    let last_commit = last_commit(&found);
    let held = sealed.unwrap_or(last_commit);
    let end = holes.iter().find(|(start, _)| *start >= held).map_or(limit, |(start, _)| *start);
    let mut damage: Vec<Range> = holes.into_iter().filter(|(start, _)| *start < held).collect();
    damage.extend(sealed.filter(|sealed| *sealed > limit).map(|sealed| (limit, sealed)));
    let records = found.into_iter().map(|whole| whole.at.0).filter(|offset| *offset < end).collect();
    Scan { records, damage, last_commit, end }
}

/// The most that any record says was on the disk before it; never the middle of a record.
fn last_commit(found: &[Whole]) -> u32 {
    let synced = found.iter().map(|whole| whole.synced.min(whole.at.0)).max().unwrap_or(HEAD_BYTES).max(HEAD_BYTES);
    let around = found.iter().find(|whole| whole.at.0 < synced && synced < whole.at.1);
    around.map_or(synced, |whole| whole.at.0)
}

/// All whole records, and the ranges between them.
fn all_records(bytes: &[u8], marker: Marker) -> (Vec<Whole>, Vec<Range>) {
    let (mut found, mut holes) = (Vec::new(), Vec::new());
    let mut at = (HEAD_BYTES as usize).min(bytes.len());
    while at < bytes.len() {
        if let Some(record) = Seen::read(&bytes[at..], marker) {
            let end = at + record.bytes();
            found.push(Whole { at: (at as u32, end as u32), synced: record.synced });
            at = end;
        } else {
            let next = next_record(bytes, at + 1, marker);
            holes.push((at as u32, next as u32));
            at = next;
        }
    }
    (found, holes)
}

/// Where the next whole record begins, or the end. The length in a record that is not whole can't be trusted, so every
/// place is looked at; a record is only summed where its marker stands, which no content can hold on purpose.
fn next_record(bytes: &[u8], from: usize, marker: Marker) -> usize {
    let mut at = from;
    while let Some(ahead) = bytes.get(at..).and_then(|rest| rest.windows(8).position(|window| window == marker.0)) {
        if Seen::read(&bytes[at + ahead..], marker).is_some() {
            return at + ahead;
        }
        at += ahead + 1;
    }
    bytes.len()
}
