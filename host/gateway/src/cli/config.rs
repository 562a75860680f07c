//! `sandbar config`: the commented default settings, or a check of a file.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::settings::{SettingsArgs, unread_variables};
use super::{Failure, Output, block_on};
use crate::config::{DEFAULT_TOML, GatewayConfig};
use crate::stdout::Stdout;

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

pub(super) fn run(args: ConfigArgs, output: Output) -> Result<(), Failure> {
    match args.check {
        Some(file) => block_on(check(file, args.settings, output)),
        // As text they come with their comments, and so without the library's line end.
        None if output == Output::Text => Ok(Stdout.write_all(DEFAULT_TOML.as_bytes())?),
        None => Ok(output.answer(&GatewayConfig::default(), String::new)?),
    }
}

async fn check(file: PathBuf, settings: SettingsArgs, output: Output) -> Result<(), Failure> {
    let config = settings.into_config(Some(&file))?;
    let tenants = config.tenants.len();
    let of_settings = config.notes();
    let of_files = crate::check(config).await.map_err(super::serve::failure)?;
    let notes: Vec<String> = of_settings.into_iter().chain(of_files).chain(unread_variables()).collect();
    output.notes(&notes);
    let file = file.display().to_string();
    let answer = json!({ "file": file, "fine": true, "tenants": tenants, "notes": notes });
    output.answer(&answer, || format!("{file} is fine: {tenants} tenants"))?;
    Ok(())
}
