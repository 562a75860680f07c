//! What the two processes tell each other. They may be of different versions: fields that one does not know it ignores,
//! and what they can't do without has the number of a format.

use sandbar::barrier::Purge;
use sandbar::cache::PurgeReport;
use serde::{Deserialize, Serialize};

/// The format of all of it.
pub(super) const FORMAT: u32 = 1;

/// What comes first, together with the sockets' descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Beginning {
    pub(super) format: u32,
    /// The process that hands over.
    pub(super) pid: u32,
    /// The sockets, in the order of their descriptors.
    pub(super) sockets: Vec<Given>,
}

/// A socket that is handed over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Given {
    /// The name that a service manager would give it: see [`crate::Sockets`].
    pub(super) name: String,
    /// Whether a service manager opened it, so that it stands for whatever address the settings name.
    pub(super) is_activated: bool,
}

/// What the old process tells the new one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ToNew {
    /// What only one process can have is the new one's.
    Yours,
    /// The old process has made a purge, which has to hold in the new one.
    Purge(Order),
    /// Requests are the new process's to answer.
    Go,
    /// The old process accepts no more, and the service manager knows the new one.
    Done,
}

/// A purge that the old process has made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Which order it is, for its answer.
    pub(super) id: u64,
    pub(super) tenant: String,
    pub(super) purge: Purge,
    /// Its number in the old process.
    pub(super) sequence: u64,
    /// Whether other nodes are to be told of it.
    pub(super) is_for_others: bool,
}

/// What the new process tells the old one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ToOld {
    /// All is checked and prepared that needs nothing of the old process.
    Ready {
        /// The new program's version.
        version: String,
    },
    /// It gives up, and changes nothing.
    Failed(Failed),
    /// It has all that it needs to answer requests.
    Open,
    /// It accepts connections.
    Serving,
    /// A purge has been made.
    Purged {
        /// The order's.
        id: u64,
        report: Purged,
    },
}

/// Why the new process gives up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) reason: String,
    /// Whether the settings are at fault.
    pub(super) is_of_settings: bool,
}

/// What became of a purge: a [`PurgeReport`].
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Purged {
    recorded: usize,
    pending: usize,
    failed: usize,
    confirmed: Vec<String>,
    missing: Vec<String>,
    reason: Option<String>,
}

impl From<PurgeReport> for Purged {
    fn from(report: PurgeReport) -> Self {
        let PurgeReport { recorded, pending, failed, confirmed, missing, reason } = report;
        Self { recorded, pending, failed, confirmed, missing, reason }
    }
}

impl From<Purged> for PurgeReport {
    fn from(purged: Purged) -> Self {
        let Purged { recorded, pending, failed, confirmed, missing, reason } = purged;
        Self { recorded, pending, failed, confirmed, missing, reason }
    }
}
