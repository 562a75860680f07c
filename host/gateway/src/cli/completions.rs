//! `sandbar completions`: what a shell completes behind `sandbar`, made from the arguments as they are declared.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure};
use crate::stdout::Stdout;

/// Arguments of `sandbar completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Shell that the completions are for.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // Into memory first: the library panics where it can't write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "sandbar", &mut script);
    Ok(Stdout.write_all(&script)?)
}
