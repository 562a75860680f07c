//! `sandbar config`: the commented default settings, or a check of a file.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::gateway::config::{DEFAULT_TOML, GatewayConfig};
use crate::gateway::{self, StartError};

/// Arguments of `sandbar config`.
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    /// Check this file instead, and say what is wrong with it.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
}

fn failure(error: StartError) -> Failure {
    if error.is_config() { Failure::usage(error) } else { Failure::Runtime(error.into()) }
}

pub(super) fn run(args: &ConfigArgs) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match &args.check {
        None => out.write_all(DEFAULT_TOML.as_bytes())?,
        Some(file) => {
            let config = GatewayConfig::from_file(file).map_err(Failure::usage)?;
            config.validate().map_err(Failure::usage)?;
            gateway::try_policies(&config).map_err(failure)?;
            writeln!(out, "{} is fine: {} tenants", file.display(), config.tenants.len())?;
        }
    }
    Ok(())
}
