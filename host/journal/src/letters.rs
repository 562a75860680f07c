//! Dead letters, as they are listed and decided on.

use sandbar_base::Timestamp;

use crate::write::{HeldWrite, Seq};

/// A write that was not delivered and is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its number.
    pub seq: Seq,
    /// Its size.
    pub bytes: u64,
    /// Since when it is one.
    pub at: Timestamp,
    /// Why, as the sender said; at most 1 KiB.
    pub reason: String,
    /// Whether a later write to its key has been done since, which a retry would undo.
    pub overtaken: bool,
    /// The write; none where its record is damaged on the disk.
    pub write: Option<HeldWrite>,
}

/// What becomes of the retry of a dead letter whose key has been written since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overtaken {
    /// It is refused: it would bring back an older state.
    Refuse,
    /// It is delivered all the same, for writes that don't replace each other.
    Deliver,
}

/// What became of the retry of a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It is due now.
    Due,
    /// It is refused, because a later write to its key was handed out.
    Overtaken,
    /// The tenant has no dead letter with that number.
    Unknown,
}
