//! What clients of a fleet saw, and whether it keeps its promises.
//!
//! A *promise* is an acknowledgement: of a write, or of a purge. From then on (here at once, elsewhere within the bound of
//! the consistency mode) nobody who asks may be shown an older version of the page than the one there was when it was
//! given. A *read* is what somebody was shown, when they asked, and as whom: what was made for another is nobody's to see,
//! and who insists on what is new is shown nothing older than there was when they asked. [`check()`] is a pure function of
//! both; how they come about is [`traffic`]'s and [`faults`]' business.
//!
//! All times are on one clock, that of the process which is all the clients: a promise counts from when its
//! acknowledgement had arrived, a read from before it was sent. So no true history is called a violation.

mod askers;
mod check;
mod clock;
pub mod faults;
pub mod traffic;

use std::time::Duration;

use crate::versions::Variant;

pub use check::{Rules, Tally, Violation, check};
pub use clock::HistoryClock;

/// A page of the origin, by its place in a list.
pub type Page = usize;

/// A node from one start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Which node.
    pub node: usize,
    /// Which of its starts.
    pub start: u32,
}

/// What somebody was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The page.
    pub page: Page,
    /// Its version.
    pub version: u64,
    /// Who showed it.
    pub by: Run,
    /// From where it had it.
    pub source: Source,
    /// When it was about to be asked for.
    pub asked: Duration,
    /// When it had come.
    pub answered: Duration,
    /// Who asked, and whose it is.
    pub seen: Seen,
}

/// Who asked for what, and for whom it was made; by default it is for all alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The visitor.
    pub visitor: String,
    /// The variant that their request selects; empty where the page is the same for all.
    pub selects: Variant,
    /// The variant they were shown; empty where that is for all alike.
    pub shows: Variant,
    /// The visitor whose request brought it, where it says so.
    pub made_for: Option<String>,
    /// The visitor whom its cookie names.
    pub cookie_of: Option<String>,
    /// The version that there was when they asked, where they insisted on what is new (RFC 9111 section 5.2.1.4).
    pub insists_on: Option<u64>,
}

/// From where a node had what it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Its memory.
    L1,
    /// The shared tier.
    L2,
    /// The origin, by its own fetch or another request's.
    Origin,
}

/// An acknowledgement that nothing older than this version is shown any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The page.
    pub page: Page,
    /// Its version when the write was done, or the purge sent.
    pub version: u64,
    /// Who gave it.
    pub by: Run,
    /// Whose promise it is.
    pub reach: Reach,
    /// When the acknowledgement had arrived.
    pub acknowledged: Duration,
}

/// For whom a promise holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// For all nodes.
    Everywhere,
    /// For the node that gave it, until it ends (202: not yet recorded).
    Here,
}

/// What happened, in any order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What was shown.
    pub reads: Vec<Read>,
    /// What was promised.
    pub promises: Vec<Promise>,
    /// When the shared tier may have lost what it had: from, until.
    pub emptied: Vec<(Duration, Duration)>,
}

impl History {
    /// Adds what another saw.
    pub fn merge(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.promises.extend(other.promises);
        self.emptied.extend(other.emptied);
    }
}
