//! Recorded traffic to test eviction policies with: the excerpts that are shipped, and the whole traces where
//! they are available.

use std::path::{Path, PathBuf};

use sandbar::http::key::KeyHash;
use sandbar_gateway::replay::Trace;

use crate::workloads;

/// The names of the shipped excerpts, in `tests/traces`.
pub const EXCERPTS: [&str; 4] = ["orm_busy", "epa_http", "scarab_recs", "arc_oltp"];

/// The names of the whole traces.
pub const WHOLE: [&str; 6] = ["w92_block", "web_proxy", "epa_http", "arc_oltp", "scarab_recs", "orm_busy"];

/// Reads a shipped excerpt.
///
/// # Panics
/// If it can't be read.
pub fn excerpt(name: &str) -> Trace {
    open(&excerpts().join(format!("{name}.csv.zst")))
}

/// The folder of the excerpts.
pub fn excerpts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("traces")
}

/// The folder of the whole traces and `truth.csv`: `SANDBAR_TRACES`, or `shared/traces` beside the repository. None
/// where there is no such folder; this is told on standard error.
pub fn whole() -> Option<PathBuf> {
    let root = std::env::var_os("SANDBAR_TRACES").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces"));
    if root.join("truth.csv").is_file() {
        return Some(root);
    }
    eprintln!("skipped: no traces in {} (SANDBAR_TRACES names another folder)", root.display());
    None
}

/// Reads a trace.
///
/// # Panics
/// If it can't be read.
pub fn open(path: &Path) -> Trace {
    Trace::open(path, &mut |_| ()).unwrap_or_else(|error| panic!("{error}"))
}

/// A workload made by code, as a trace.
///
/// # Panics
/// If it has more keys than a trace may have; none has.
pub fn made(workload: &workloads::Workload) -> Trace {
    let mut trace = Trace::default();
    for (time_ms, (key, size_bytes)) in workload.requests().into_iter().enumerate() {
        trace.push(time_ms as u64, KeyHash::of(&key.to_string()), size_bytes, 0).expect("few keys");
    }
    trace
}
