//! The directory of a disk tier: one process at a time may use it, and a damaged file is set aside rather than fatal.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbar_base::file_lock::lock_patiently;

use super::barriers::BarrierBook;
use super::log::Log;

/// A directory that belongs to this process until it is released, or this is dropped.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) dir: PathBuf,
    lock: File,
}

impl Home {
    /// Creates the directory if need be and takes it.
    ///
    /// # Errors
    /// In words for an operator: when it can't be created or written to, or when another process has it.
    pub(super) fn take(dir: &Path) -> Result<Self, String> {
        let cannot = |error: io::Error| format!("the directory {} can't be used: {error}", dir.display());
        std::fs::create_dir_all(dir).map_err(cannot)?;
        let lock = File::options().write(true).create(true).truncate(false).open(dir.join("lock")).map_err(cannot)?;
        match lock_patiently(&lock) {
            Ok(()) => Ok(Self { dir: dir.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(format!(
                "the directory {} is in use by another process: stop it, or name another directory",
                dir.display()
            )),
            Err(TryLockError::Error(error)) => Err(cannot(error)),
        }
    }

    /// Opens the barriers. Where they are missing or damaged, all entries are dropped: nothing says any more which of
    /// them were purged, and the purge sequence would begin again below theirs.
    pub(super) fn barriers(&self, lifetime_max: Duration, barriers_max: u64) -> Result<BarrierBook, String> {
        let path = self.dir.join("barriers.redb");
        let existed = path.exists();
        if existed {
            match BarrierBook::open(&path, lifetime_max, barriers_max) {
                Ok(book) => return Ok(book),
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "the purge records are damaged and were set aside");
                    let aside = path.with_extension("redb.damaged");
                    std::fs::rename(&path, aside).map_err(|error| self.cannot(&error))?;
                }
            }
        }
        let dropped = Log::clear(&self.dir).map_err(|error| self.cannot(&error))?;
        if dropped > 0 {
            tracing::warn!(
                segments = dropped,
                "without purge records no stored entry can be trusted: all were dropped"
            );
        }
        BarrierBook::open(&path, lifetime_max, barriers_max).map_err(|error| self.cannot(&error))
    }

    /// Lets another process take the directory.
    ///
    /// # Errors
    /// In words for an operator, where the operating system refuses.
    pub(super) fn release(&self) -> Result<(), String> {
        self.lock.unlock().map_err(|error| self.cannot(&error))
    }

    pub(super) fn cannot(&self, error: &dyn std::fmt::Display) -> String {
        format!("the directory {} can't be used: {error}", self.dir.display())
    }
}
