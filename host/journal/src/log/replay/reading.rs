//! What the segments of a log say, read one after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;

use crate::entry::{Entry, Grave};
use crate::error::OpenError;
use crate::files::LogFile;
use crate::format::body;
use crate::format::head::{HEAD_BYTES, Head, JournalId, name_of};
use crate::format::record::{Kind, Record, Seen};
use crate::format::scan::{Scan, scan};
use crate::log::Closed;
use crate::segment::{Place, Segment};
use crate::write::hash_of;

/// Damage to what had been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// From which byte on.
    pub from: u64,
    /// Up to which byte, itself left out; as `from` where the whole file is missing.
    pub to: u64,
}

/// A segment's file, as it was found.
pub(super) struct File {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn LogFile>,
    /// None where it can't be read.
    pub(super) head: Option<Head>,
}

/// What was read so far.
pub(super) struct Reading {
    pub(super) id: JournalId,
    pub(super) closed: VecDeque<Closed>,
    pub(super) writes: BTreeMap<u64, Entry>,
    pub(super) next_seq: u64,
    /// The records of the last group commit.
    pub(super) in_doubt: Vec<Record>,
    pub(super) torn_bytes: u64,
    pub(super) damage: Vec<Damage>,
    /// One name for all writes of a tenant.
    tenants: BTreeSet<Arc<str>>,
    held_bytes: u64,
    held_bytes_max: u64,
}

impl Reading {
    pub(super) fn new(id: JournalId, held_bytes_max: u64) -> Self {
        Self {
            id,
            closed: VecDeque::new(),
            writes: BTreeMap::new(),
            next_seq: 1,
            in_doubt: Vec::new(),
            torn_bytes: 0,
            damage: Vec::new(),
            tenants: BTreeSet::new(),
            held_bytes: 0,
            held_bytes_max,
        }
    }

    /// Reads a segment; the one after it says where it ends.
    pub(super) fn read(&mut self, file: &File, next: Option<&File>) -> Result<(), OpenError> {
        let refused = |error| OpenError::refused(&file.path, error);
        let size = file.file.size().map_err(refused)?;
        let size = u32::try_from(size).map_err(|_| refused(io::ErrorKind::FileTooLarge.into()))?;
        let bytes = file.file.read_at(0, size as usize).map_err(refused)?;
        let follows = next.filter(|next| next.number == file.number + 1).and_then(|next| next.head);
        let sealed = follows.map(|head| head.previous_end).filter(|end| *end >= HEAD_BYTES);
        let marker = self.id.marker(file.number);
        let scan = scan(&bytes, marker, sealed);
        let damage_before = self.damage.len();
        self.note_damage(file, &scan);
        let end = if next.is_none() { scan.last_commit } else { scan.end };
        for &offset in &scan.records {
            let Some(seen) = Seen::read(&bytes[offset as usize..], marker) else { continue };
            let place = Place { segment: file.number, offset, bytes: seen.bytes() as u32 };
            if self.apply(&seen, place).is_none() {
                // It has the right sum and makes no sense: no crash leaves that behind.
                self.damage.push(damage(file, offset, offset + place.bytes));
            } else if offset >= end {
                let body = Bytes::copy_from_slice(seen.body);
                self.in_doubt.push(Record { kind: seen.kind, seq: seen.seq, body });
            }
        }
        if next.is_none() {
            self.torn_bytes = u64::from(size.saturating_sub(scan.end));
        }
        self.next_seq = self.next_seq.max(file.head.map_or(1, |head| head.next_seq));
        let is_damaged = AtomicBool::new(self.damage.len() > damage_before);
        let segment = Segment { number: file.number, marker, file: Arc::clone(&file.file), is_damaged };
        self.closed.push_back(Closed { segment: Arc::new(segment), end });
        Ok(())
    }

    fn note_damage(&mut self, file: &File, scan: &Scan) {
        let expected = self.closed.back().map(|last| last.segment.number + 1);
        if let Some(missing) = expected.filter(|expected| *expected != file.number) {
            self.damage.push(Damage { path: file.path.with_file_name(name_of(missing)), from: 0, to: 0 });
        }
        if file.head.is_none() {
            self.damage.push(damage(file, 0, HEAD_BYTES));
        }
        self.damage.extend(scan.damage.iter().map(|(from, to)| damage(file, *from, *to)));
    }

    /// Takes in a record; none where its body makes no sense. A record about a write that is not known is one about a
    /// write whose segment is gone already.
    fn apply(&mut self, seen: &Seen<'_>, place: Place) -> Option<()> {
        self.next_seq = self.next_seq.max(seen.seq.saturating_add(1));
        match seen.kind {
            Kind::Write => {
                let entry = self.entry(seen.body, place)?;
                self.forget(seen.seq);
                self.held_bytes += entry.held_bytes();
                self.writes.insert(seen.seq, entry);
            }
            Kind::Done => self.forget(seen.seq),
            Kind::Dead => self.bury(seen.seq, Some(Grave::of(&body::read_death(seen.body)?))),
            Kind::Revived => self.bury(seen.seq, None),
        }
        Some(())
    }

    fn entry(&mut self, body: &[u8], place: Place) -> Option<Entry> {
        let (about, _) = body::read(body)?;
        if !self.tenants.contains(about.tenant) {
            self.tenants.insert(about.tenant.into());
        }
        let has_room = about.death.is_none() && self.held_bytes + body.len() as u64 <= self.held_bytes_max;
        Some(Entry {
            tenant: Arc::clone(self.tenants.get(about.tenant)?),
            key: hash_of(about.tenant, about.key),
            place,
            at: about.at,
            replaces: about.replaces,
            author: about.author,
            client: about.client,
            sent: true,
            attempts: 0,
            held: has_room.then(|| Bytes::copy_from_slice(body)),
            grave: about.death.as_ref().map(|death| Box::new(Grave::of(death))),
        })
    }

    fn forget(&mut self, seq: u64) {
        self.held_bytes -= self.writes.remove(&seq).map_or(0, |entry| entry.held_bytes());
    }

    fn bury(&mut self, seq: u64, grave: Option<Grave>) {
        if let Some(entry) = self.writes.get_mut(&seq) {
            entry.grave = grave.map(Box::new);
        }
    }
}

fn damage(file: &File, from: u32, to: u32) -> Damage {
    Damage { path: file.path.clone(), from: from.into(), to: to.into() }
}
