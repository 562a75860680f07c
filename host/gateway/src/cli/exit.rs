//! The exit codes of the program, which scripts and service managers rely on: they are the same in every command.

use std::process::ExitCode;

use super::output::Output;
use crate::stdout::ReaderGone;

/// The exit codes and their meanings, as `--help`, the manual pages and `docs/operating.md` list them.
pub(super) const EXIT_CODES: [(u8, &str); 4] = [
    (0, "it is done; `serve` and `demo` were told to stop, and did"),
    (FAILED, "it failed: no gateway answers, or it refuses; a file can't be written; a policy or a request failed"),
    (USAGE, "arguments, settings or a file that they name are wrong: nothing was done"),
    (ReaderGone::EXIT_CODE, "nobody reads standard output any more, as behind `| head -1`"),
];

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// The table, as `--help` ends with it.
pub(super) fn help() -> String {
    let lines = EXIT_CODES.map(|(code, meaning)| format!("  {code:<4} {meaning}"));
    format!("Exit codes:\n{}", lines.join("\n"))
}

/// Why the program fails, by who can mend that; it decides the exit code.
#[derive(Debug)]
pub enum Failure {
    /// Arguments or settings are wrong: exit code 2.
    Usage(anyhow::Error),
    /// Anything else failed: exit code 1.
    Runtime(anyhow::Error),
}

impl Failure {
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Runtime(error.into())
    }
}

/// Tells how a command ended where it failed, and returns the exit code.
pub(super) fn code(ended: Result<(), Failure>, output: Output) -> ExitCode {
    let (error, code) = match ended {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => (error, USAGE),
        Err(Failure::Runtime(error)) if ReaderGone::is_in(&error) => return ExitCode::from(ReaderGone::EXIT_CODE),
        Err(Failure::Runtime(error)) => (error, FAILED),
    };
    output.complain(format_args!("{error:#}"), code);
    ExitCode::from(code)
}

/// Tells why the arguments can't be parsed, or what they ask to be told (`--help`, `--version`), and returns the exit
/// code.
pub(super) fn unparsed(error: &clap::Error, output: Output) -> ExitCode {
    if !error.use_stderr() || output == Output::Text {
        // Where nobody reads, as behind `sandbar --help | head -1`, the rest is lost.
        let _ = error.print();
    } else {
        let text = error.render().to_string();
        let said = text.split("\n\nUsage:").next().unwrap_or_default().trim();
        output.complain(said.strip_prefix("error: ").unwrap_or(said), USAGE);
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE))
}
