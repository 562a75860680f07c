//! What is wrong with a configuration: one sentence with the place, the value, and what to do.

use std::fmt::Display;
use std::path::{Path, PathBuf};

/// Why a configuration is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration file {}: {reason}; name an existing one with --config, or leave it out", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// A line is wrong by itself.
    #[error("{file}, line {line}, `{text}`: {reason}")]
    Line {
        /// The file.
        file: String,
        /// The number of the line, from 1.
        line: usize,
        /// What it says.
        text: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// A value contradicts another one, or can't work.
    #[error("{key} = {value}: {reason}; {remedy}")]
    Wrong {
        /// The key, with its section.
        key: String,
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        remedy: String,
    },
}

impl ConfigError {
    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { file: file.to_owned(), reason: error.to_string() }
    }

    pub(super) fn wrong(
        key: impl Into<String>,
        value: impl Display,
        reason: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Wrong { key: key.into(), value: value.to_string(), reason: reason.into(), remedy: remedy.into() }
    }

    pub(super) fn in_text(error: &toml::de::Error, text: &str, file: &str) -> Self {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = &text.as_bytes()[..start];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let shown: String = text.lines().nth(line - 1).unwrap_or("").trim().chars().take(120).collect();
        Self::Line { file: file.to_owned(), line, text: hide_secret(shown), reason: explain(error.message()) }
    }
}

/// A token must not get into logs, not even a wrong one.
fn hide_secret(line: String) -> String {
    match line.split_once('=') {
        Some((key, _)) if key.trim() == "token" => "token = …".to_owned(),
        _ => line,
    }
}

/// Adds what would be right where the libraries leave it out.
fn explain(message: &str) -> String {
    message
        .trim()
        .replace("expected a duration", "expected a duration such as \"2s\", \"250ms\" or \"1h 30m\"")
        .replace("expected parsable string", "expected a size in bytes such as \"64MiB\" or \"1GiB\"")
        .replace("expected an integer or string", "expected a size in bytes such as \"64MiB\" or \"1GiB\"")
        .replace('\n', "; ")
}
