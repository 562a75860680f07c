//! Files that have either their old content or their new one, whenever the machine stops.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// What the name of a file ends with while it is being written.
pub const UNFINISHED: &str = ".new";

/// Replaces a file so that after a crash it has either the old content or the new one. Its directory has to be there.
///
/// # Errors
/// When the disk refuses it; the old content is there then.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().suffix(UNFINISHED).tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

/// Has what was created, moved or removed in a directory outlive a crash.
///
/// # Errors
/// When the disk refuses it.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
