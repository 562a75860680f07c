//! Where lines go: a file, which is opened anew on request, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::stdout::Stdout;

/// Where lines go.
pub(super) struct Target {
    path: Option<PathBuf>,
    file: Option<File>,
    /// Whether the file is to be opened (anew) before the next write.
    wants_open: bool,
    /// Whether the last write ended within a line, which the next one has to end.
    is_torn: bool,
}

impl Target {
    /// A file that is not open yet; standard output without one.
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { wants_open: path.is_some(), path, file: None, is_torn: false }
    }

    /// The file's path, for operators.
    pub(super) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new("standard output"))
    }

    /// Has the file opened anew before the next write.
    pub(super) fn reopen(&mut self) {
        self.wants_open = self.path.is_some();
    }

    /// Opens the file where that is due. The one that is open stays until another is.
    pub(super) fn ready(&mut self) -> io::Result<()> {
        if self.wants_open
            && let Some(path) = &self.path
        {
            self.file = Some(opened(path)?);
            (self.wants_open, self.is_torn) = (false, false);
        }
        Ok(())
    }

    /// Whether a write can be tried.
    pub(super) const fn is_open(&self) -> bool {
        self.file.is_some() || self.path.is_none()
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let out: &mut dyn Write = match &mut self.file {
            Some(file) => file,
            None => &mut Stdout,
        };
        if self.is_torn {
            out.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match out.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    rest = &rest[len..];
                    self.is_torn = lines[lines.len() - rest.len() - 1] != b'\n';
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        out.flush()
    }
}

/// Opens a file to append to; one that is made is for its user and group alone, as it names clients.
fn opened(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}
