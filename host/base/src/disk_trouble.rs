//! Writes that this node's disk refuses: logged once a minute, counted, and reported to the operator with a remedy for
//! as long as they go on.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use crate::Timestamp;

/// At most one log line in this time, for all writes refused since the last line.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// For so long after the last refusal the report says that something is the matter.
const SHOWN_FOR: Duration = Duration::from_secs(300);

/// Why a disk refuses a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    NoSpace,
    ReadOnly,
    Denied,
    Other,
}

impl Reason {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => Self::Other,
        }
    }

    /// The stable word for the reason in metrics.
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoSpace => "no-space",
            Self::ReadOnly => "read-only",
            Self::Denied => "denied",
            Self::Other => "other",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::NoSpace => {
                "free some room on that file system, or give less to what is kept there (l2.disk.capacity)"
            }
            Self::ReadOnly => "mount that file system for writing, or choose another directory",
            Self::Denied => "make the directory writable for the user of this process",
            Self::Other => "look at the kernel's log: the disk or its file system may be failing",
        }
    }
}

/// The refused writes of one kind to one directory.
#[derive(Debug)]
#[doc(hidden)]
pub struct DiskTrouble {
    what: &'static str,
    path: PathBuf,
    /// What happens while writes are refused.
    meanwhile: &'static str,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    refused: BTreeMap<Reason, u64>,
    last: Option<(Timestamp, Reason, String)>,
    told: Option<Timestamp>,
    untold: u64,
}

/// The refused writes of one kind, for an operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskReport {
    /// What is written: "stored responses", for instance.
    pub what: &'static str,
    /// Number of writes that were refused since the start, by reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Why writes are refused, what happens meanwhile and what to do; none where none was refused in the last five
    /// minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

impl DiskTrouble {
    /// For a kind of data, `what`, that is written below `path`; `meanwhile` says what happens while writes are
    /// refused.
    pub fn new(what: &'static str, path: &Path, meanwhile: &'static str) -> Self {
        Self { what, path: path.to_owned(), meanwhile, state: Mutex::default() }
    }

    /// What to do about an error of the disk.
    pub fn remedy(error: &io::Error) -> &'static str {
        Reason::of(error).remedy()
    }

    /// Notes a refused write, and logs it unless one was logged in the last minute.
    pub fn refused(&self, error: &io::Error, now: Timestamp) {
        let reason = Reason::of(error);
        let mut state = self.state.lock();
        *state.refused.entry(reason).or_default() += 1;
        state.untold += 1;
        state.last = Some((now, reason, error.to_string()));
        if state.told.is_some_and(|told| now < told.saturating_add(TOLD_EVERY)) {
            return;
        }
        state.told = Some(now);
        let writes = std::mem::take(&mut state.untold);
        drop(state);
        let (what, path, meanwhile, remedy) = (self.what, self.path.display(), self.meanwhile, reason.remedy());
        tracing::warn!(
            reason = reason.as_str(),
            writes,
            "can't write {what} to {path}: {error}; {meanwhile}; {remedy}"
        );
    }

    /// The report for an operator.
    pub fn report(&self, now: Timestamp) -> DiskReport {
        let state = self.state.lock();
        let recent = state.last.as_ref().filter(|(at, ..)| now < at.saturating_add(SHOWN_FOR));
        DiskReport {
            what: self.what,
            refused: state.refused.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
            now: recent.map(|(_, reason, error)| {
                let refused: u64 = state.refused.values().sum();
                format!(
                    "{} can't be written to {} ({error}; {refused} times since the start): {}; {}",
                    self.what,
                    self.path.display(),
                    self.meanwhile,
                    reason.remedy()
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_said_with_reason_and_remedy_until_it_has_been_quiet() {
        let trouble = DiskTrouble::new("stored responses", Path::new("/data/l2"), "they are not stored");
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1000);
        assert_eq!(trouble.report(at(0)), DiskReport { what: "stored responses", ..DiskReport::default() });
        trouble.refused(&io::Error::from(io::ErrorKind::StorageFull), at(10));
        trouble.refused(&io::Error::from(io::ErrorKind::StorageFull), at(11));
        trouble.refused(&io::Error::from(io::ErrorKind::ReadOnlyFilesystem), at(12));
        let report = trouble.report(at(20));
        assert_eq!(report.refused, [("no-space", 2), ("read-only", 1)].into());
        let said = report.now.expect("it goes on");
        assert!(said.contains("stored responses can't be written to /data/l2 (read-only"), "{said}");
        assert!(said.contains("3 times") && said.contains("they are not stored; mount that file system"), "{said}");
        let later = trouble.report(at(12 + 300));
        assert_eq!((later.now, later.refused.len()), (None, 2));
    }
}
