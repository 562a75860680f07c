//! The command line: arguments become settings or calls of the admin API. One file per subcommand.

#![deny(clippy::print_stdout, clippy::print_stderr)] // Answers go through `stdout`, all else through `tell`.

mod admin_client;
mod config;
mod demo;
mod explain;
mod policy;
mod purge;
mod record;
mod replay;
mod serve;
mod settings;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::stdout::ReaderGone;

/// A multi-tier edge cache whose decisions are WebAssembly policies.
#[derive(Debug, Parser)]
#[command(name = "sandbar", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in front of an origin.
    Serve(serve::ServeArgs),
    /// Watch the cache at work: an origin, two tenants, a load, and a policy swapped half way.
    Demo(demo::DemoArgs),
    /// Print the commented default settings.
    Config(config::ConfigArgs),
    /// List, bind, build and check policies.
    Policy(policy::PolicyArgs),
    /// Say where a response is stored, what the next request for it would get, and why.
    ///
    /// Changes nothing: no policy is told, nothing is fetched.
    Explain(explain::ExplainArgs),
    /// Purge stored responses.
    Purge(purge::PurgeArgs),
    /// Record a tenant's traffic as a trace for `sandbar replay`.
    ///
    /// Keys are hashed with a salt that nobody knows. Only requests that a stored response answered, or that stored one,
    /// are recorded. Ctrl-C ends the recording early and keeps the requests recorded until then.
    Record(record::RecordArgs),
    /// Replay recorded traffic under eviction policies, to compare what they miss.
    ///
    /// With one shard and batches of one event (the defaults) the counts are those of a textbook simulator.
    Replay(replay::ReplayArgs),
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

/// Runs the subcommand that the process's arguments name.
pub fn main() -> ExitCode {
    // Usage errors end here, with exit code 2.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, 2),
        Err(Failure::Runtime(error)) if ReaderGone::is_in(&error) => ExitCode::from(ReaderGone::EXIT_CODE),
        Err(Failure::Runtime(error)) => complain(&error, 1),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    tell(format_args!("sandbar: {error:#}"));
    ExitCode::from(code)
}

/// Writes a line to standard error. Where nobody reads that, the line is lost; `eprintln!` would panic.
fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Config(args) => config::run(args),
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Explain(args) => block_on(explain::run(args)),
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Policy(args) => policy::run(args),
        Command::Purge(args) => block_on(purge::run(args)),
        Command::Record(args) => block_on(record::run(args)),
        Command::Replay(args) => Ok(replay::run(&args)?),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
