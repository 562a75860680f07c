//! What a journal must hold, kept as simply as can be.

use std::collections::{BTreeMap, VecDeque};

use crate::format::record::RECORD_BYTES;
use crate::shared::Shared;
use crate::{Seq, Write};

/// What is known of a write that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nobody was told: the machine stopped.
    Open,
    /// It was refused, and nothing was written since.
    Refused,
    /// It was refused, and something was written since: it must never be seen again.
    Gone,
    /// It is held.
    Held,
    /// It is a dead letter.
    Dead,
    /// It is delivered, absorbed or dropped.
    Done,
}

#[derive(Debug)]
pub(super) struct Tried {
    pub(super) write: Write,
    pub(super) seq: Option<Seq>,
    pub(super) fate: Fate,
    /// Whether the disk knows of its fate.
    pub(super) is_synced: bool,
    /// Whether it was handed out, or may have been before a restart.
    pub(super) is_sent: bool,
}

/// All writes that were tried, and the lines of their keys.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) tried: Vec<Tried>,
    pub(super) lines: BTreeMap<Vec<u8>, VecDeque<usize>>,
}

impl Model {
    pub(super) fn try_write(&mut self, write: Write) -> usize {
        self.tried.push(Tried { write, seq: None, fate: Fate::Open, is_synced: false, is_sent: false });
        self.tried.len() - 1
    }

    pub(super) fn acknowledged(&mut self, number: usize, seq: Seq) {
        let tried = &mut self.tried[number];
        (tried.seq, tried.fate, tried.is_synced) = (Some(seq), Fate::Held, true);
        let (key, replaces, author) = (tried.write.key.to_vec(), tried.write.replaces, tried.write.author);
        let line = self.lines.entry(key).or_default();
        while let Some(last) = line.back().copied().filter(|last| {
            let last = &self.tried[*last];
            replaces && last.write.replaces && last.write.author == author && !last.is_sent
        }) {
            line.pop_back();
            (self.tried[last].fate, self.tried[last].is_synced) = (Fate::Done, false);
        }
        line.push_back(number);
    }

    pub(super) fn settle(&mut self, number: usize, fate: Fate) {
        let tried = &mut self.tried[number];
        (tried.fate, tried.is_synced) = (fate, false);
        if let Some(line) = self.lines.get_mut(&tried.write.key[..]) {
            line.retain(|other| *other != number);
        }
    }

    /// A dead letter is due again, before those that were written after it.
    pub(super) fn revive(&mut self, number: usize) {
        let tried = &mut self.tried[number];
        (tried.fate, tried.is_synced, tried.is_sent) = (Fate::Held, false, true);
        let line = self.lines.entry(tried.write.key.to_vec()).or_default();
        let place = line.iter().position(|other| *other > number).unwrap_or(line.len());
        line.insert(place, number);
    }

    /// Something was written: the disk knows of every fate.
    pub(super) fn synced(&mut self) {
        for tried in &mut self.tried {
            tried.is_synced = true;
            if tried.fate == Fate::Refused {
                tried.fate = Fate::Gone;
            }
        }
    }

    pub(super) fn number_of(&self, write: &Write) -> usize {
        write.idempotency_key.parse().expect("a number")
    }

    /// Holds what the journal has after a crash against what it must have, and takes over what it may have. Says how
    /// many writes of unknown fate it has.
    pub(super) fn check_after_crash(&mut self, shared: &Shared) -> usize {
        let mut held = held(shared);
        let mut unknown = 0;
        self.lines.clear();
        for (number, tried) in self.tried.iter_mut().enumerate() {
            let found = held.remove(&number);
            if let Some((seq, write, _)) = &found {
                assert_eq!(*write, tried.write, "a write that is not the one that was tried");
                assert!(tried.seq.is_none_or(|given| given == *seq), "another number for {tried:?}");
            }
            let is_dead = found.as_ref().map(|(_, _, is_dead)| *is_dead);
            match (tried.fate, tried.is_synced, is_dead) {
                (Fate::Gone, _, None) | (Fate::Done, _, None) | (Fate::Open | Fate::Refused, _, None) => {}
                (Fate::Held, true, Some(false)) | (Fate::Dead, true, Some(true)) => {}
                (Fate::Held | Fate::Dead | Fate::Done, false, Some(_)) => {}
                (Fate::Open | Fate::Refused, _, Some(false)) => unknown += 1,
                _ => panic!("number {number} is {found:?}, and that was tried: {tried:?}"),
            }
            if let Some((seq, write, is_dead)) = found {
                (tried.seq, tried.is_sent) = (Some(seq), true);
                tried.fate = if is_dead { Fate::Dead } else { Fate::Held };
                if !is_dead {
                    self.lines.entry(write.key.to_vec()).or_default().push_back(number);
                }
            } else if tried.fate != Fate::Gone {
                tried.fate = Fate::Done;
            }
            tried.is_synced = true;
        }
        assert!(held.is_empty(), "writes that nobody tried: {held:?}");
        unknown
    }

    /// Holds what the journal has while it runs against what it must have.
    pub(super) fn check(&self, shared: &Shared) {
        let mut held = held(shared);
        for (number, tried) in self.tried.iter().enumerate() {
            let found = held.remove(&number).map(|(seq, write, is_dead)| {
                assert_eq!((Some(seq), &write), (tried.seq, &tried.write));
                is_dead
            });
            let expected = match tried.fate {
                Fate::Held => Some(false),
                Fate::Dead => Some(true),
                _ => None,
            };
            assert_eq!(found, expected, "number {number}: {tried:?}");
        }
        assert!(held.is_empty());
        let queue = shared.queue.read();
        for (key, line) in &self.lines {
            let last = line.back().and_then(|number| self.tried[*number].seq).map(|seq| seq.0);
            assert_eq!(queue.latest(crate::write::hash_of("shop", key)), last);
        }
    }
}

type Held = BTreeMap<usize, (Seq, Write, bool)>;

/// All that a journal holds, by the numbers that are their idempotency keys; its account is checked on the way.
fn held(shared: &Shared) -> Held {
    let stats = shared.stats(crate::tests::support::NOW);
    let mut held = Held::new();
    let (mut bytes, mut pending, mut dead) = (0, 0, 0);
    let seqs = shared.queue.read().seqs();
    for seq in seqs {
        let write = shared.read(seq).expect("it can be read").expect("it is there");
        let (is_dead, its_bytes) = {
            let queue = shared.queue.read();
            let entry = queue.entry(seq).expect("it is there");
            (entry.grave.is_some(), entry.place.bytes)
        };
        bytes += u64::from(its_bytes);
        *(if is_dead { &mut dead } else { &mut pending }) += 1;
        assert!(its_bytes > RECORD_BYTES);
        let number = write.write.idempotency_key.parse().expect("a number");
        assert!(held.insert(number, (write.seq, write.write, is_dead)).is_none(), "it is there twice");
    }
    let tenant = stats.tenants.get("shop").cloned().unwrap_or_default();
    assert_eq!((stats.bytes, tenant.bytes, tenant.pending, tenant.dead), (bytes, bytes, pending, dead));
    held
}
