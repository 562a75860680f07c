//! `sandbar serve`: the gateway in front of an origin.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::output::tell;
use super::settings::{SettingsArgs, unread_variables};
use super::{Failure, service_manager};
use crate::config::{LogConfig, LogFormat};
use crate::{Sockets, StartError};

/// Arguments of `sandbar serve`. They take precedence over the file.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// File with settings: see `sandbar config`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: ServeArgs, sockets: Sockets) -> Result<(), Failure> {
    let config = args.settings.into_config(args.config.as_deref())?;
    start_log(&config.log);
    for note in unread_variables() {
        tell(format_args!("note: {note}"));
    }
    let grace = config.limits.grace.get();
    // Signals are listened for before the start, so that none is lost that comes meanwhile.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let gateway = crate::start_on(config, sockets).await.map_err(failure)?;
    tell(format_args!("Listening at http://{}.", gateway.listen_addr()));
    if let Some(admin) = gateway.admin_addr() {
        tell(format_args!("Dashboard and admin API at http://{admin}."));
    }
    service_manager::ready();
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    service_manager::stopping();
    tell(format_args!("Stopping: requests under way have {} s; a second signal stops at once.", grace.as_secs()));
    tokio::select! {
        drained = gateway.shutdown(grace) => {
            if !drained {
                tell(format_args!("Some requests had to be cut."));
            }
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

pub(super) fn failure(error: StartError) -> Failure {
    if error.is_config() { Failure::usage(error) } else { Failure::Runtime(error.into()) }
}

/// Starts the log, on standard error. Where nobody reads that any more (`sandbar serve 2>&1 | head -1`) the lines are
/// lost and the gateway goes on: a logger that reported its own errors would write them to standard error too, and
/// panic.
fn start_log(config: &LogConfig) {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(config.level.targets());
    match config.format {
        LogFormat::Text => registry.with(lines).init(),
        LogFormat::Json => registry.with(lines.json()).init(),
    }
}
