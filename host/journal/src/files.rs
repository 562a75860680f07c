//! The files of a journal behind a trait, so that tests can lose what a disk would lose.

mod disk;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use self::disk::DiskFiles;

/// A file system. What an implementation promises: after a crash a file has all that was in it at its last successful
/// [`LogFile::sync`], and a directory all names that it had at the last successful [`Files::sync_dir`]; a rename is
/// there or not, never half. Of everything later any part may be there.
pub trait Files: Debug + Send + Sync + 'static {
    /// Creates a directory that its owner alone can use, and those above it, where it is not there.
    ///
    /// # Errors
    /// When the system refuses.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes a file as a lock, until the value is dropped or the process ends.
    ///
    /// # Errors
    /// `WouldBlock` where another has it; others when the system refuses.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// The names of the files in a directory.
    ///
    /// # Errors
    /// When the system refuses.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates an empty file that its owner alone can read.
    ///
    /// # Errors
    /// When it is there already, or the system refuses.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// Opens a file that is there, for reading.
    ///
    /// # Errors
    /// When the system refuses.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>>;

    /// Renames a file, in place of another one where that is there. Both stay readable by whoever has them open.
    ///
    /// # Errors
    /// When the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Whoever has it open can go on reading.
    ///
    /// # Errors
    /// When the system refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Has what was created, renamed and removed in a directory outlive a crash.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that is only ever appended to.
pub trait LogFile: Debug + Send + Sync + 'static {
    /// Writes at the file's end.
    ///
    /// # Errors
    /// When the disk refuses; a part may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Has all that was appended outlive a crash.
    ///
    /// # Errors
    /// When the disk refuses. What was appended since the last success must be taken for lost: a second call may
    /// succeed without having written it.
    fn sync(&self) -> io::Result<()>;

    /// Reads so many bytes.
    ///
    /// # Errors
    /// When the file ends before that, or the disk refuses.
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// The file's size in bytes.
    ///
    /// # Errors
    /// When the system refuses.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file off behind so many bytes.
    ///
    /// # Errors
    /// When the system refuses.
    fn truncate(&self, len: u64) -> io::Result<()>;
}
