//! The command line: arguments become settings or calls of the admin API. One file per subcommand.

#![deny(clippy::print_stdout, clippy::print_stderr)] // What a command answers goes through `stdout`, what it tells through `tell`.

mod admin_client;
mod config;
mod demo;
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

use crate::stdout::Unheard;

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
    /// See it at work: an origin, two tenants, a load, and a policy swapped half way.
    Demo(demo::DemoArgs),
    /// Print the commented default settings.
    Config(config::ConfigArgs),
    /// See, bind, build and check policies.
    Policy(policy::PolicyArgs),
    /// Purge stored responses.
    Purge(purge::PurgeArgs),
    /// Record a tenant's traffic as a trace for `sandbar replay`.
    Record(record::RecordArgs),
    /// See what eviction policies would have done with recorded traffic.
    Replay(replay::ReplayArgs),
}

/// What went wrong, and whose it is to mend.
#[derive(Debug)]
pub enum Failure {
    /// Arguments or settings: exit code 2.
    Usage(anyhow::Error),
    /// Everything else: exit code 1.
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

/// Runs what the arguments of the process say.
pub fn main() -> ExitCode {
    // Usage errors end here, with exit code 2.
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => complain(&error, 2),
        Err(Failure::Runtime(error)) if Unheard::is_in(&error) => ExitCode::from(Unheard::EXIT_CODE),
        Err(Failure::Runtime(error)) => complain(&error, 1),
    }
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    tell(format_args!("sandbar: {error:#}"));
    ExitCode::from(code)
}

/// Says a line on standard error, if anybody reads it: `eprintln!` would panic where nobody does.
fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Config(args) => config::run(args),
        Command::Demo(args) => block_on(demo::run(args)),
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
