//! `sandbar config`: the commented default settings, or a check of a file.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::settings::{SettingsArgs, unread_variables};
use super::{Failure, block_on};
use crate::config::DEFAULT_TOML;
use crate::stdout::{Stdout, say};

/// Arguments of `sandbar config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Check this file instead: whether `sandbar serve` would start with it, and with the further arguments, on this
    /// machine, and if not, why.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    #[command(flatten, next_help_heading = "With --check, what comes before the file")]
    settings: SettingsArgs,
}

pub(super) fn run(args: ConfigArgs) -> Result<(), Failure> {
    match args.check {
        Some(file) => block_on(check(file, args.settings)),
        None => Ok(Stdout.write_all(DEFAULT_TOML.as_bytes())?),
    }
}

async fn check(file: PathBuf, settings: SettingsArgs) -> Result<(), Failure> {
    let config = settings.into_config(Some(&file))?;
    let (notes, tenants) = (config.notes(), config.tenants.len());
    let of_files = crate::check(config).await.map_err(super::serve::failure)?;
    for note in notes.into_iter().chain(of_files).chain(unread_variables()) {
        super::tell(format_args!("note: {note}"));
    }
    say(format_args!("{} is fine: {tenants} tenants", file.display()))?;
    Ok(())
}
