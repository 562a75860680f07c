//! Why a gateway was not handed over to a new process.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// Why no new process has taken over; the old one goes on as before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// It is not the program's own to start another process.
    #[error("this gateway is part of another program; restart that")]
    NoProgram,
    /// Where the first process ends, so does its container.
    #[error("this is the first process of its container, which would end with it; start another container")]
    FirstProcess,
    /// There is one already.
    #[error("an upgrade is under way already; wait for its end")]
    UnderWay,
    /// The last one is not over yet.
    #[error("process {pid}, whose place this one has taken, still ends what it was asked; try again in a moment")]
    PredecessorDrains {
        /// The process of before.
        pid: u32,
    },
    /// The operating system did not start the program.
    #[error("can't start {}: {reason}; put the program back there, or restart the gateway", path.display())]
    NotStarted {
        /// The program.
        path: PathBuf,
        /// The operating system's error.
        reason: io::Error,
    },
    /// The new process has found something wrong.
    #[error("the new process can't take over: {reason}")]
    Refused {
        /// What it says.
        reason: String,
        /// Whether the settings are at fault.
        is_of_settings: bool,
    },
    /// The new process has ended without a word.
    #[error("the new process has ended before it was ready ({}); the log may say why", ended(*status))]
    Ended {
        /// How, as far as is known.
        status: Option<ExitStatus>,
    },
    /// The new process has not got ready.
    #[error(
        "the new process was not ready within {} s, and was ended; the log may say why, or raise limits.upgrade_deadline",
        deadline.as_secs_f64()
    )]
    Late {
        /// How long it had.
        deadline: Duration,
    },
    /// What only one process can have could not be let go.
    #[error("can't hand over: {0}")]
    NotGivenUp(String),
    /// The gateway is being stopped.
    #[error("the gateway is being stopped")]
    Stopped,
    /// The hand-over failed in a way that it should not.
    #[error("{0}")]
    Failed(String),
}

fn ended(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "it has closed the channel".to_owned(), |status| status.to_string())
}
