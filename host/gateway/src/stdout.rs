//! Standard output of the program: the one writer for all that its commands answer.
//!
//! Who reads may stop at any time (`sandbar policy list | head -1`). `println!` panics then; here it becomes [`Unheard`],
//! which ends the command quietly.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// Nobody reads standard output any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub struct Unheard;

impl Unheard {
    /// The code with which a program ends that a closed pipe has ended: 128 and the number of SIGPIPE, as a shell shows it.
    pub const EXIT_CODE: u8 = 128 + 13;

    /// Whether it is why something failed.
    pub fn is_in(error: &anyhow::Error) -> bool {
        let is_one = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<Self>());
        error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_one))
    }
}

/// Says a line.
///
/// # Errors
/// With [`Unheard`] inside where nobody reads; else what the operating system said, with the name of the output.
pub fn say(line: impl Display) -> io::Result<()> {
    writeln!(Stdout, "{line}")
}

/// Standard output, as something to write to.
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
        ErrorKind::BrokenPipe => io::Error::new(ErrorKind::BrokenPipe, Unheard),
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
        assert!(Unheard::is_in(&anyhow::Error::from(left).context("listing")));
        let full = failed(io::Error::from(ErrorKind::StorageFull));
        assert!(full.to_string().contains("standard output"));
        assert!(!Unheard::is_in(&full.into()));
        assert!(!Unheard::is_in(&io::Error::from(ErrorKind::BrokenPipe).into()), "of a socket");
    }
}
