//! Histories: what clients of a fleet saw, and a check whether the fleet kept its promises.
//!
//! A *promise* is an acknowledgement of a write or of a purge. From then on (on the node that gave it at once, on
//! others within the bound of the consistency mode) no request may be shown an older version of the page than the one
//! of that time. A
//! *read* is what a visitor was shown, when, and to what request: no visitor may see what was made for another, and one
//! that insists on new content is shown nothing older than what there was when it asked. [`check()`] is a pure function
//! of promises and reads; [`traffic`] and [`faults`] bring them about.
//!
//! All times are on one clock, as all clients are in one process: a promise counts from when its acknowledgement had
//! arrived, a read from before its request was sent. So no history of a correct fleet is called a violation.

mod askers;
mod check;
mod clock;
pub mod faults;
pub mod traffic;

use std::time::Duration;

use crate::versions::Variant;

pub use check::{Rules, Tally, Violation, check};
pub use clock::HistoryClock;

/// A page of the origin, by its index in the list of pages.
pub type Page = usize;

/// One run of a node: from a start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The node's number.
    pub node: usize,
    /// The number of the start.
    pub start: u32,
}

/// What a visitor was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The page.
    pub page: Page,
    /// The version that was shown.
    pub version: u64,
    /// The node that showed it.
    pub by: Run,
    /// Where that node had it from.
    pub source: Source,
    /// When the request was about to be sent.
    pub asked: Duration,
    /// When the answer had arrived.
    pub answered: Duration,
    /// Who asked, and for whom the answer was made.
    pub seen: Seen,
}

/// Who asked, and for whom the answer was made; the default is an answer that is the same for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The visitor.
    pub visitor: String,
    /// The variant that the visitor's request selects; empty where the page is the same for all.
    pub selects: Variant,
    /// The variant that was shown; empty where it is the same for all.
    pub shows: Variant,
    /// The visitor whose request brought the answer, where the answer says so.
    pub made_for: Option<String>,
    /// The visitor whom the answer's cookie names.
    pub cookie_of: Option<String>,
    /// The version at the time of the request, where the visitor insisted on new content (RFC 9111 section 5.2.1.4).
    pub insists_on: Option<u64>,
}

/// Where a node had from what it showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The node's memory.
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
    /// The page's version when the write was done, or the purge sent.
    pub version: u64,
    /// The node that gave the acknowledgement.
    pub by: Run,
    /// The nodes that are bound by it.
    pub reach: Reach,
    /// When the acknowledgement had arrived.
    pub acknowledged: Duration,
}

/// The nodes that a promise binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All nodes.
    Everywhere,
    /// The node that gave it, until that run ends (202: not yet recorded).
    Here,
}

/// What happened, in any order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What was shown.
    pub reads: Vec<Read>,
    /// What was promised.
    pub promises: Vec<Promise>,
    /// Spans of time in which the shared tier may have lost its content: from, until.
    pub emptied: Vec<(Duration, Duration)>,
}

impl History {
    /// Adds the history of other clients.
    pub fn merge(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.promises.extend(other.promises);
        self.emptied.extend(other.emptied);
    }
}
