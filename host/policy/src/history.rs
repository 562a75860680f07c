//! What was bound to a role before: the last bindings with their settings, kept beside the bindings, so that a role can go
//! back to one of them.
//!
//! A binding is recorded when it takes the role over the API, and the one that it replaces with it where that was not
//! recorded yet: a configured policy, or the native default. A start or a reload by itself writes nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sandbar_base::clock::Timestamp;
use sandbar_base::replace::replace_file;
use serde::{Deserialize, Serialize};

use super::{BoundBy, Digest, Role};

/// Bindings of a role that are remembered, the present one included; components that no other binding names go with the
/// binding.
const REMEMBERED_MAX: usize = 16;

const FORMAT: u32 = 1;

/// A binding that a role has or had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastBinding {
    /// Number of the binding in the role's history, counted from 1; it stays the same when older ones are forgotten.
    pub number: u64,
    /// Name of the policy, as in [`BoundInfo`](crate::BoundInfo).
    pub name: String,
    /// Digest of the component; none where the policy was native.
    pub digest: Option<Digest>,
    /// Who bound the policy.
    pub by: BoundBy,
    /// When the policy was bound; of a configured one, when the process that last ran it had read it.
    pub since: Timestamp,
    /// The policy's settings; `null` where there were none.
    pub settings: serde_json::Value,
    /// Where the policy came from.
    pub origin: PolicyOrigin,
}

/// Where a policy that is or was bound came from, which decides how a role can go back to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyOrigin {
    /// A stock policy as a guest, bound over the API.
    Stock,
    /// A stock policy that is compiled in, bound over the API.
    StockNative,
    /// A component that was sent over the API.
    Component,
    /// The configuration, or the native default where nothing is configured.
    Configured,
    /// The embedding program, whose policies are not kept.
    Program,
}

impl PastBinding {
    /// Whether the two are the same policy with the same settings, bound by the same one.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let named = |past: &Self| (past.digest, past.by, past.origin);
        named(self) == named(other) && self.name == other.name && self.settings == other.settings
    }
}

/// The file of a history.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// Version of the file's format.
    format: u32,
    /// Oldest first.
    bindings: Vec<PastBinding>,
}

/// Adds `present` to a history, oldest first, unless its last binding is like it.
pub(super) fn with_present(bindings: &mut Vec<PastBinding>, mut present: PastBinding) {
    if bindings.last().is_none_or(|last| !last.is_like(&present)) {
        present.number = next_number(bindings);
        bindings.push(present);
    }
}

/// The binding that a role goes back to: the one with the number `to` or, without a number, the last one that differs from
/// the present one.
///
/// # Errors
/// With a sentence, where there is none.
pub(super) fn target(bindings: &[PastBinding], to: Option<u64>) -> Result<&PastBinding, String> {
    let Some(to) = to else {
        let differs = |past: &&PastBinding| bindings.last().is_some_and(|present| !present.is_like(past));
        let none = || "nothing else was bound before, as far as it is remembered".to_owned();
        return bindings.iter().rev().find(differs).ok_or_else(none);
    };
    bindings.iter().find(|past| past.number == to).ok_or_else(|| {
        let numbers: Vec<_> = bindings.iter().map(|past| past.number.to_string()).collect();
        format!("no binding has the number {to}; remembered are {}", numbers.join(", "))
    })
}

/// The file of a role's history in a tenant's directory.
pub(super) fn file(dir: &Path, role: Role) -> PathBuf {
    dir.join(format!("{role}.history.json"))
}

/// The history that a file holds, oldest first; empty where there is no file.
///
/// # Errors
/// When the file can't be read, or is none of a history.
pub(super) fn read(path: &Path) -> io::Result<Vec<PastBinding>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let saved: Saved = serde_json::from_slice(&bytes).map_err(|error| {
        io::Error::new(io::ErrorKind::InvalidData, format!("it is not a history of bindings: {error}"))
    })?;
    match saved.format {
        FORMAT => Ok(saved.bindings),
        other => Err(io::Error::new(io::ErrorKind::InvalidData, format!("its format is {other}, not {FORMAT}"))),
    }
}

/// Adds a binding to the history in a file, after the one that it replaces where that is not the last one there. A file
/// that holds no history is put aside.
///
/// # Errors
/// When the disk refuses.
pub(super) fn add(path: &Path, replaced: PastBinding, mut present: PastBinding) -> io::Result<()> {
    let mut bindings = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let aside = path.with_extension("unreadable");
            fs::rename(path, &aside)?;
            tracing::warn!(%error, path = %path.display(), aside = %aside.display(), "a history was put aside; a new one begins");
            Vec::new()
        }
        read => read?,
    };
    with_present(&mut bindings, replaced);
    present.number = next_number(&bindings);
    bindings.push(present);
    bindings.drain(..bindings.len().saturating_sub(REMEMBERED_MAX));
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    replace_file(path, &serde_json::to_vec_pretty(&Saved { format: FORMAT, bindings })?)
}

fn next_number(bindings: &[PastBinding]) -> u64 {
    bindings.last().map_or(1, |last| last.number.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(name: &str, by: BoundBy) -> PastBinding {
        let (since, settings) = (Timestamp::from_millis(7), serde_json::Value::Null);
        let origin = if by == BoundBy::Api { PolicyOrigin::Stock } else { PolicyOrigin::Configured };
        PastBinding { number: 0, name: name.to_owned(), digest: None, by, since, settings, origin }
    }

    fn shown(bindings: &[PastBinding]) -> Vec<(u64, &str)> {
        bindings.iter().map(|past| (past.number, &*past.name)).collect()
    }

    #[test]
    fn what_was_replaced_is_recorded_once_and_the_oldest_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), Role::Eviction);
        add(&path, past("sieve", BoundBy::Config), past("lru", BoundBy::Api)).unwrap();
        add(&path, past("lru", BoundBy::Api), past("fifo", BoundBy::Api)).unwrap();
        assert_eq!(shown(&read(&path).unwrap()), [(1, "sieve"), (2, "lru"), (3, "fifo")]);
        for _ in 0..20 {
            add(&path, past("fifo", BoundBy::Api), past("fifo", BoundBy::Api)).unwrap();
        }
        let bindings = read(&path).unwrap();
        assert_eq!((bindings.len(), bindings[0].number, bindings[15].number), (REMEMBERED_MAX, 8, 23));
        assert!(target(&bindings, None).unwrap_err().contains("nothing else"));
        assert!(target(&bindings, Some(7)).unwrap_err().contains("remembered are 8, 9"));
    }

    #[test]
    fn back_means_to_the_last_binding_that_differs() {
        let mut bindings = Vec::new();
        for name in ["sieve", "lru", "lru"] {
            bindings.push(PastBinding { number: next_number(&bindings), ..past(name, BoundBy::Api) });
        }
        assert_eq!(target(&bindings, None).unwrap().name, "sieve");
        with_present(&mut bindings, past("fifo", BoundBy::Config));
        assert_eq!(target(&bindings, None).unwrap().number, 3);
        assert_eq!(target(&bindings, Some(1)).unwrap().name, "sieve");
    }

    #[test]
    fn a_file_that_holds_no_history_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = file(dir.path(), Role::Eviction);
        for content in ["{", r#"{"format":9,"bindings":[]}"#] {
            fs::write(&path, content).unwrap();
            assert!(read(&path).is_err());
            add(&path, past("sieve", BoundBy::Config), past("lru", BoundBy::Api)).unwrap();
            assert_eq!(read(&path).unwrap().len(), 2);
        }
        assert!(dir.path().join("eviction.history.unreadable").exists());
    }
}
