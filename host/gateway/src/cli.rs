//! The command line: arguments become settings or calls of the admin API. One file per subcommand.

#![deny(clippy::print_stdout, clippy::print_stderr)] // Answers and errors go through `output`.

mod admin_client;
mod completions;
mod config;
mod dead_letters;
mod demo;
mod event;
mod exit;
mod explain;
mod man;
mod output;
mod policy;
mod purge;
mod record;
mod reload;
mod replay;
mod serve;
mod settings;
mod signals;
mod token;
mod upgrade;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use self::exit::Failure;
use self::output::Output;

/// A multi-tier edge cache whose decisions are WebAssembly policies.
#[derive(Debug, Parser)]
#[command(name = "sandbar", version, max_term_width = 100, after_help = exit::help())]
pub struct Cli {
    /// Answer in JSON. An error is one object with `error` and `exit_code`, the last line of standard error.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway in front of an origin.
    Serve(serve::ServeArgs),
    /// Watch the cache at work: an origin, two tenants, a load, and a policy swapped half way.
    ///
    /// It ends with a summary; progress is told on standard error where that is JSON (--json).
    Demo(demo::DemoArgs),
    /// Print the commented default settings, or check a file.
    Config(config::ConfigArgs),
    /// List, bind, build and check policies.
    Policy(policy::PolicyArgs),
    /// Say where a response is stored, what the next request for it would get, and why.
    ///
    /// Changes nothing: no policy is told, nothing is fetched.
    Explain(explain::ExplainArgs),
    /// Purge stored responses.
    Purge(purge::PurgeArgs),
    /// List held writes that the origin refused or did not take in time, send one again, or forget one.
    #[command(name = "dead-letters")]
    DeadLetters(dead_letters::LettersArgs),
    /// Tell of an event of another system: the tenant's invalidation policy says what it makes invalid, and that is purged.
    Event(event::EventArgs),
    /// Make a token with which a tenant's own systems may purge by the methods PURGE and SOFTPURGE.
    Token(token::TokenArgs),
    /// Have a running gateway read its settings again, and apply what has changed: all of it, or nothing.
    Reload(reload::ReloadArgs),
    /// Have a new process of the program, as it is on disk now, take a running gateway's place, without a failed request.
    ///
    /// The gateway starts the program that it was started as, with the same arguments, and hands its sockets over. If the new
    /// process can't work, the old one goes on.
    Upgrade(upgrade::UpgradeArgs),
    /// Record a tenant's traffic as a trace for `sandbar replay`.
    ///
    /// Keys are hashed with a salt that nobody knows. Only requests that a stored response answered, or that stored one,
    /// are recorded. Ctrl-C ends the recording early and keeps the requests recorded until then.
    Record(record::RecordArgs),
    /// Replay recorded traffic under eviction policies, to compare what they miss.
    ///
    /// With one shard and batches of one event (the defaults) the counts are those of a textbook simulator. As JSON
    /// (--json) the answer has one object a line, for each policy at each capacity.
    Replay(replay::ReplayArgs),
    /// Print completions for a shell.
    ///
    /// For bash: sandbar completions bash > /etc/bash_completion.d/sandbar
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write those of all subcommands.
    ///
    /// To read it: sandbar man > sandbar.1 && man ./sandbar.1
    Man(man::ManArgs),
}

/// Runs the subcommand that the process's arguments name.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => {
            let output = Output::of(cli.json);
            exit::code(run(cli.command, output), output)
        }
        Err(error) => exit::unparsed(&error, Output::of_arguments()),
    }
}

fn run(command: Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::Config(args) => config::run(args, output),
        Command::Demo(args) => block_on(demo::run(args, output)),
        Command::Explain(args) => block_on(explain::run(args, output)),
        Command::Serve(args) => {
            // Here the process has one thread, as that needs.
            let given = serve::Given::find()?;
            block_on(serve::run(args, given))
        }
        Command::Policy(args) => policy::run(args, output),
        Command::Purge(args) => block_on(purge::run(args, output)),
        Command::DeadLetters(args) => block_on(dead_letters::run(args, output)),
        Command::Event(args) => block_on(event::run(args, output)),
        Command::Token(args) => token::run(args, output),
        Command::Reload(args) => block_on(reload::run(args, output)),
        Command::Upgrade(args) => block_on(upgrade::run(args, output)),
        Command::Record(args) => block_on(record::run(args, output)),
        Command::Replay(args) => replay::run(&args, output),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(args, output),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
