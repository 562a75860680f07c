//! Why a journal can't be opened, and why a write is not taken.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbar_base::disk_trouble::DiskTrouble;

/// Why a journal can't be opened. No write in it has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A bound makes no sense.
    #[error("the journal's settings: {0}")]
    Settings(String),
    /// Another process, or another part of this one, has it.
    #[error(
        "the journal {path} is in use by another process, and one alone may write to it: stop that one, or name another \
         directory"
    )]
    InUse {
        /// Its directory.
        path: PathBuf,
    },
    /// A newer version of the program wrote it.
    #[error(
        "{path} has format {version} of the journal, and this program knows {known}: run the version that wrote it \
         until the journal is empty, or move the directory away and lose what is in it"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        version: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// A file of another journal lies in the directory.
    #[error(
        "{path} belongs to another journal than {other}: move the one of them that does not belong there elsewhere"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// A file of the other journal.
        other: PathBuf,
    },
    /// There are files, and the head of none can be read.
    #[error(
        "no file of the journal {path} has a readable head, so that none of its writes can be found: bring the files \
         back from a backup, or move them away and lose what is in them"
    )]
    NoHead {
        /// Its directory.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("the journal {path} can't be used: {error}; {remedy}")]
    Refused {
        /// Its directory, or a file in it.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
        /// What to do.
        remedy: &'static str,
    },
}

impl OpenError {
    pub(crate) fn refused(path: &Path, error: io::Error) -> Self {
        let remedy = DiskTrouble::remedy(&error);
        Self::Refused { path: path.to_owned(), error, remedy }
    }
}

/// Why a write was not taken: it is not acknowledged, and will not be handed out unless the process ends at this very
/// moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// It is larger than it may be.
    #[error("the {what} has {bytes} bytes, and may have {bytes_max}")]
    TooLarge {
        /// Which part of it.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// There is no room for it now.
    #[error("{bound} is full; there may be room in {retry_after:?}")]
    Full {
        /// Which bound is reached.
        bound: Bound,
        /// For how long to wait.
        retry_after: Duration,
    },
    /// The disk refuses it.
    #[error("the journal {path} can't be written: {reason}; {remedy}")]
    Refused {
        /// The journal's directory.
        path: PathBuf,
        /// What the system said.
        reason: String,
        /// What to do.
        remedy: &'static str,
        /// For how long to wait.
        retry_after: Duration,
    },
    /// The journal has been closed.
    #[error("the journal has been closed, because the node stops")]
    Closed,
}

impl AppendError {
    /// For how long to wait before it makes sense to try again; none where it never does, with this write or with this
    /// journal.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Full { retry_after, .. } | Self::Refused { retry_after, .. } => Some(*retry_after),
            Self::TooLarge { .. } | Self::Closed => None,
        }
    }
}

/// A bound of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// What waits for the disk.
    Queue,
    /// All writes, in bytes.
    Bytes,
    /// All writes, by their number.
    Writes,
    /// The tenant's writes, in bytes.
    TenantBytes,
    /// The tenant's writes, by their number.
    TenantWrites,
    /// The tenant's dead letters, in bytes or by their number.
    DeadLetters,
    /// What one client may have while the tenant's room is short.
    Client,
}

impl Bound {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Queue,
        Self::Bytes,
        Self::Writes,
        Self::TenantBytes,
        Self::TenantWrites,
        Self::DeadLetters,
        Self::Client,
    ];

    /// The stable word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Bytes => "bytes",
            Self::Writes => "writes",
            Self::TenantBytes => "tenant-bytes",
            Self::TenantWrites => "tenant-writes",
            Self::DeadLetters => "dead-letters",
            Self::Client => "client",
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Queue => "the queue to the journal's disk",
            Self::Bytes => "the journal",
            Self::Writes => "the journal's number of writes",
            Self::TenantBytes => "the tenant's share of the journal",
            Self::TenantWrites => "the tenant's share of the journal's number of writes",
            Self::DeadLetters => "the tenant's list of dead letters",
            Self::Client => "the client's part of the tenant's share of the journal",
        })
    }
}
