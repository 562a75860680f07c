//! What clients of a fleet saw, and whether it keeps its promises.
//!
//! A *promise* is an acknowledgement: of a write, or of a purge. From then on (here at once, elsewhere within the bound of
//! the consistency mode) nobody who asks may be shown an older version of the page than the one there was when it was
//! given. A *read* is what somebody was shown, and when they asked. [`check()`] is a pure function of both; how they come
//! about is [`traffic`]'s and [`faults`]' business.
//!
//! All times are on one clock, that of the process which is all the clients: a promise counts from when its
//! acknowledgement had arrived, a read from before it was sent. So no true history is called a violation.

mod check;
pub mod faults;
pub mod traffic;

use std::time::Duration;

pub use check::{Rules, Tally, Violation, check};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
