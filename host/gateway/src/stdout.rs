//! Standard output of the program: all answers of its commands are written here.
//!
//! The reader may stop at any time (`sandbar policy list | head -1`). `println!` would panic then; here the error is
//! [`ReaderGone`], which ends the command quietly.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// The error where nobody reads standard output any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct ReaderGone;

impl ReaderGone {
    /// The exit code that a shell shows for a program ended by a closed pipe: 128 and the number of SIGPIPE.
    pub const EXIT_CODE: u8 = 128 + 13;

    /// Whether this is among the causes of `error`.
    pub fn is_in(error: &anyhow::Error) -> bool {
        let is_one = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Self>());
        error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_one))
    }
}

/// Writes a line.
///
/// # Errors
/// With [`ReaderGone`] inside where nobody reads; else with the operating system's error, which names standard output.
pub fn say(line: impl Display) -> io::Result<()> {
    writeln!(Stdout, "{line}")
}

/// A writer to standard output with those errors.
#[derive(Clone, Copy, Debug)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().write(bytes).map_err(failed)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush().map_err(failed)
    }
}

fn failed(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, ReaderGone),
        ErrorKind::Interrupted => error,
        kind => io::Error::new(kind, format!("can't write to standard output: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_left_is_told_from_other_failures() {
        let left = failed(io::Error::from(ErrorKind::BrokenPipe));
        assert!(ReaderGone::is_in(&anyhow::Error::from(left).context("listing")));
        let full = failed(io::Error::from(ErrorKind::StorageFull));
        assert!(full.to_string().contains("standard output"));
        assert!(!ReaderGone::is_in(&full.into()));
        assert!(!ReaderGone::is_in(&io::Error::from(ErrorKind::BrokenPipe).into()), "of a socket");
    }
}
