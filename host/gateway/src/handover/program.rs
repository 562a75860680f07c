//! The program that the process runs, to start it anew.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::{Child, Command};

use super::new::HANDED_OVER_BY;

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// What this process was started as. Call it at the start, before the program can be replaced or the working
    /// directory change. A link in its path is followed when it is started anew: there it may lead to another version.
    ///
    /// # Errors
    /// When the working directory is gone.
    pub fn of_this_process() -> io::Result<Self> {
        let mut arguments = std::env::args_os();
        let named = arguments.next().map_or_else(std::env::current_exe, |name| Ok(PathBuf::from(name)))?;
        // A name alone was found in PATH, and will be again.
        let path = if named.components().count() > 1 { std::path::absolute(named)? } else { named };
        Ok(Self { path, arguments: arguments.collect() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Starts it as the successor of this process, with the other end of the channel as its standard input: that way no
    /// descriptor needs to be kept open for it, and this process not be copied, which takes long where it is large.
    pub(super) fn start(&self, channel: UnixStream) -> io::Result<Child> {
        Command::new(&self.path)
            .args(&self.arguments)
            .env(HANDED_OVER_BY, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(channel)))
            .spawn()
    }
}
