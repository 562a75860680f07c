//! `sandbar serve`: the gateway in front of an origin.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::FutureExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Failure;
use super::output::tell;
use super::settings::{SettingsArgs, unread_variables};
use super::signals::Signals;
use crate::config::{LogConfig, LogFilter, LogFormat};
use crate::handover::Taking;
use crate::start::Prepared;
use crate::{Gateway, Predecessor, Program, ReadSettings, Sockets, StartError, service_manager};

/// Arguments of `sandbar serve`. They take precedence over the file.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// File with settings: see `sandbar config`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What the process was given by the one that started it.
pub(super) struct Given {
    sockets: Sockets,
    /// The process whose place this one is to take.
    predecessor: Option<Predecessor>,
    program: Program,
}

impl Given {
    /// Takes what there is. Call this before the process has a second thread.
    pub(super) fn find() -> Result<Self, Failure> {
        let program = Program::of_this_process()?;
        let (predecessor, sockets) = match Predecessor::find().map_err(failure)? {
            Some((predecessor, sockets)) => (Some(predecessor), sockets),
            None => (None, Sockets::handed_over().map_err(failure)?),
        };
        Ok(Self { sockets, predecessor, program })
    }
}

pub(super) async fn run(args: ServeArgs, given: Given) -> Result<(), Failure> {
    // Signals are listened for before the start, so that none is lost that comes meanwhile.
    let mut signals = Signals::listen()?;
    let gateway = match given.predecessor {
        None => begin(args, given.sockets, given.program).await?,
        Some(predecessor) => {
            let taking = predecessor.talk().map_err(failure)?;
            take_over(args, given.sockets, given.program, taking).await?
        }
    };
    tell_addresses(&gateway);
    service_manager::ready();
    let is_handed_over = loop {
        tokio::select! {
            () = gateway.handed_over() => break true,
            () = signals.stop.come() => break false,
            _ = signals.hang_up.recv() => reload(&gateway).await,
            _ = signals.user_two.recv() => upgrade_behind(&gateway),
        }
    };
    let grace = gateway.settings().limits.grace.get();
    let ending = if is_handed_over {
        tell(format_args!("Handed over: requests under way have {} s; a signal stops at once.", grace.as_secs()));
        gateway.retire(grace).boxed()
    } else {
        service_manager::stopping();
        tell(format_args!("Stopping: requests under way have {} s; a second signal stops at once.", grace.as_secs()));
        gateway.shutdown(grace).boxed()
    };
    tokio::select! {
        drained = ending => {
            if !drained {
                tell(format_args!("Some requests had to be cut."));
            }
        }
        () = signals.stop.come() => {}
    }
    Ok(())
}

/// Reads the settings, starts the log, and checks and prepares what can be without another process's leave.
async fn prepare(args: ServeArgs, sockets: Sockets) -> Result<(Prepared, impl Fn(&LogFilter) + Send + Sync), Failure> {
    let config = args.settings.clone().into_config(args.config.as_deref())?;
    let set_level = start_log(&config.log);
    for note in unread_variables() {
        tell(format_args!("note: {note}"));
    }
    let prepared = Prepared::new(config, sockets, reader(args)).await.map_err(failure)?;
    Ok((prepared, set_level))
}

async fn begin(args: ServeArgs, sockets: Sockets, program: Program) -> Result<Gateway, Failure> {
    let (prepared, set_level) = prepare(args, sockets).await?;
    let gateway = prepared.open().await.map_err(failure)?.serve(Some(program), None);
    gateway.on_change(move |config| set_level(&config.log.level));
    Ok(gateway)
}

/// As [`begin`], in the place of a process that runs. Where that can't be, it is told the reason.
async fn take_over(
    args: ServeArgs,
    sockets: Sockets,
    program: Program,
    mut taking: Taking,
) -> Result<Gateway, Failure> {
    let opened = async {
        let (prepared, set_level) = prepare(args, sockets).await?;
        taking.ready().await.map_err(failure)?;
        Ok((prepared.open().await.map_err(failure)?, set_level))
    };
    let (opened, set_level) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            let (reason, is_of_settings) = said(&error);
            taking.failed(reason, is_of_settings).await;
            return Err(error);
        }
    };
    taking.open(opened.cache()).await.map_err(failure)?;
    tell(format_args!("Taken over from process {}.", taking.drains().pid()));
    let gateway = opened.serve(Some(program), Some(taking.drains()));
    gateway.on_change(move |config| set_level(&config.log.level));
    taking.serving(gateway.cache()).await;
    Ok(gateway)
}

/// Upgrades because of a SIGUSR2, and tells what became of it.
fn upgrade_behind(gateway: &Gateway) {
    let upgrades = Arc::clone(gateway.upgrades());
    tokio::spawn(async move {
        if let Err(error) = upgrades.upgrade().await {
            tracing::error!(%error, "not upgraded: this process goes on");
        }
    });
}

/// The reason of a failure, and whether arguments or settings are at fault.
fn said(failure: &Failure) -> (String, bool) {
    match failure {
        Failure::Usage(error) => (format!("{error:#}"), true),
        Failure::Runtime(error) => (format!("{error:#}"), false),
    }
}

/// Reads the settings again; none where they came from no file.
fn reader(args: ServeArgs) -> Option<Arc<ReadSettings>> {
    let file = args.config?;
    Some(Arc::new(move || args.settings.clone().into_config(Some(&file)).map_err(|error| said(&error).0)))
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
