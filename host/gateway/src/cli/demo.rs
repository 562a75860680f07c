//! `sandbar demo`: the cache at work, with an origin and a load of its own.

use clap::Args;

use super::{Failure, Output};
use crate::demo::{self, Options};

/// Arguments of `sandbar demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after this many seconds [default: run until q or Ctrl-C].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
}

pub(super) async fn run(args: DemoArgs, output: Output) -> Result<(), Failure> {
    let summary = demo::run(Options { seconds: args.seconds, quiet: output == Output::Json }).await?;
    output.answer(&summary, || summary.to_string())?;
    Ok(summary.check()?)
}
