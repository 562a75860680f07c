//! `sandbar serve`: the gateway in front of an origin.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::settings::{SettingsArgs, unread_variables};
use super::{Failure, tell};
use crate::config::{LogConfig, LogFormat};
use crate::{Gateway, StartError};

/// Arguments of `sandbar serve`. They take precedence over the file.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// File with settings: see `sandbar config`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let config = args.settings.into_config(args.config.as_deref())?;
    start_log(&config.log);
    for note in unread_variables() {
        tell(format_args!("note: {note}"));
    }
    let grace = config.limits.grace.get();
    // Signals are listened for before the start, so that none is lost that comes meanwhile.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let gateway = crate::start(config).await.map_err(failure)?;
    tell_addresses(&gateway);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
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

fn tell_addresses(gateway: &Gateway) {
    let listening = |scheme: &str, address: SocketAddr| tell(format_args!("Listening at {scheme}://{address}."));
    if gateway.tls_addr() != Some(gateway.listen_addr()) {
        listening("http", gateway.listen_addr());
    }
    if let Some(address) = gateway.tls_addr() {
        listening("https", address);
    }
    for (scheme, address) in [("http", gateway.admin_addr()), ("https", gateway.admin_tls_addr())] {
        if let Some(address) = address {
            tell(format_args!("Dashboard and admin API at {scheme}://{address}."));
        }
    }
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
