//! The answer of a command in both of its forms: text for people, or JSON for programs (`--json`). Everything that a
//! command answers is written here, and so are its errors and notes.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use crate::stdout::say;

/// The form in which a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Text; its wording may change with any version.
    Text,
    /// JSON on standard output, and nothing else there; an error is one line of JSON, the last on standard error.
    Json,
}

impl Output {
    /// The form that the flag `--json` chooses.
    pub(super) const fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// The form that the process's arguments choose, also where they can't be parsed.
    pub(super) fn of_arguments() -> Self {
        let mut options = std::env::args_os().skip(1).take_while(|argument| argument != "--");
        Self::of(options.any(|argument| argument == "--json"))
    }

    /// Writes the whole answer of a command: `value` as JSON of several lines, or `text`, where that is not empty.
    ///
    /// # Errors
    /// When standard output can't be written to.
    pub(super) fn answer(self, value: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        self.write(text, || serde_json::to_string_pretty(value))
    }

    /// Writes one of the parts of an answer that comes bit by bit: `value` as JSON in one line, or `text`.
    ///
    /// # Errors
    /// When standard output can't be written to.
    pub(super) fn part(self, value: &impl Serialize, text: impl FnOnce() -> String) -> io::Result<()> {
        self.write(text, || serde_json::to_string(value))
    }

    fn write(self, text: impl FnOnce() -> String, json: impl FnOnce() -> serde_json::Result<String>) -> io::Result<()> {
        let answer = match self {
            Self::Text => text(),
            Self::Json => json()?,
        };
        if answer.is_empty() { Ok(()) } else { say(answer) }
    }

    /// Writes notes to standard error. With `--json` that is left out: the answer has them in it.
    pub(super) fn notes(self, notes: &[String]) {
        if self == Self::Text {
            notes.iter().for_each(|note| tell(format_args!("note: {note}")));
        }
    }

    /// Writes the error that ends the program with `exit_code` to standard error.
    pub(super) fn complain(self, error: impl Display, exit_code: u8) {
        match self {
            Self::Text => tell(format_args!("sandbar: {error}")),
            Self::Json => tell(json!({ "error": error.to_string(), "exit_code": exit_code })),
        }
    }
}

/// Writes a line to standard error. Where nobody reads that, the line is lost; `eprintln!` would panic.
pub(super) fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
