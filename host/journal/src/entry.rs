//! A write as memory knows it.

use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;
use sandbar_base::{KeyHash, Timestamp};

use crate::format::body::Death;
use crate::segment::Place;

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) tenant: Arc<str>,
    pub(crate) key: KeyHash,
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
    pub(crate) replaces: bool,
    pub(crate) author: u64,
    pub(crate) client: Option<NonZeroU64>,
    /// Whether it has been handed out, by this process or perhaps by one before: it is never absorbed then.
    pub(crate) sent: bool,
    /// How often it has been handed out by this process.
    pub(crate) attempts: u32,
    /// Its record's body, where memory has room for it.
    pub(crate) held: Option<Bytes>,
    /// Why it is a dead letter, where it is one.
    pub(crate) grave: Option<Box<Grave>>,
}

/// Why a write is a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grave {
    pub(crate) at: Timestamp,
    pub(crate) reason: String,
    /// Whether a later write to its key has been done since.
    pub(crate) overtaken: bool,
}

impl Entry {
    /// Bytes of it that memory holds beside what every write takes.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.held.as_ref().map_or(0, Bytes::len) as u64
    }
}

impl Grave {
    pub(crate) fn of(death: &Death<'_>) -> Self {
        Self { at: death.at, reason: death.reason.to_owned(), overtaken: death.overtaken }
    }

    pub(crate) fn as_death(&self) -> Death<'_> {
        Death { at: self.at, reason: &self.reason, overtaken: self.overtaken }
    }
}
