//! `sandbar serve`: the gateway in front of an origin.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::output::tell;
use super::settings::{SettingsArgs, unread_variables};
use super::{Failure, service_manager};
use crate::config::{LogConfig, LogFilter, LogFormat};
use crate::{Gateway, ReadSettings, Sockets, StartError};

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
    let config = args.settings.clone().into_config(args.config.as_deref())?;
    let set_level = start_log(&config.log);
    for note in unread_variables() {
        tell(format_args!("note: {note}"));
    }
    // Signals are listened for before the start, so that none is lost that comes meanwhile.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hang_up = signal(SignalKind::hangup())?;
    let gateway = crate::start_on(config, sockets, reader(args)).await.map_err(failure)?;
    gateway.on_change(move |config| set_level(&config.log.level));
    tell_addresses(&gateway);
    service_manager::ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => reload(&gateway).await,
        }
    }
    service_manager::stopping();
    let grace = gateway.settings().limits.grace.get();
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

/// Reads the settings again; none where they came from no file.
fn reader(args: ServeArgs) -> Option<Arc<ReadSettings>> {
    let file = args.config?;
    let said = |failure| match failure {
        Failure::Usage(error) | Failure::Runtime(error) => format!("{error:#}"),
    };
    Some(Arc::new(move || args.settings.clone().into_config(Some(&file)).map_err(said)))
}

/// Reads the settings again because of a SIGHUP, and tells what became of it.
async fn reload(gateway: &Gateway) {
    service_manager::reloading();
    // logrotate sends it too, after it has moved the file away.
    gateway.reopen_logs();
    match gateway.reload().await {
        Ok(reloaded) => tell(format_args!("Reloaded: {reloaded}.")),
        Err(error) => tracing::error!(%error, "not reloaded: the settings of before hold"),
    }
    service_manager::ready();
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
/// panic. The answer changes what it tells.
fn start_log(config: &LogConfig) -> impl Fn(&LogFilter) + Send + Sync + use<> {
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    let (filter, handle) = tracing_subscriber::reload::Layer::new(config.level.targets());
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Text => registry.with(lines).init(),
        LogFormat::Json => registry.with(lines.json()).init(),
    }
    move |level: &LogFilter| {
        // It fails where the log has ended, with the process.
        let _ = handle.reload(level.targets());
    }
}
