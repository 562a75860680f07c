//! `sandbar demo`: the cache at work, with an origin and a load of its own.

use clap::Args;

use super::Failure;
use crate::demo::{self, Options};

/// Arguments of `sandbar demo`.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// End after this many seconds [default: run until q or Ctrl-C].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Print the summary as JSON; progress is told on standard error.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: DemoArgs) -> Result<(), Failure> {
    let DemoArgs { seconds, json } = args;
    Ok(demo::run(Options { seconds, json }).await?)
}
