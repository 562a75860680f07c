//! `sandbar serve`: the gateway in front of an origin.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::gateway::config::{GatewayConfig, L2Choice, LogConfig, LogFormat, Secret, parse_address};
use crate::gateway::{self, StartError};
use crate::origin::http::OriginUrl;

/// Arguments of `sandbar serve`. They come before what the file says.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where responses come from, such as http://127.0.0.1:3000.
    #[arg(long, value_name = "URL")]
    origin: Option<OriginUrl>,
    /// Where clients are listened to [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// Where the admin API and the dashboard are [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    admin: Option<SocketAddr>,
    /// The tier below memory: disk, none, or a URL such as redis://127.0.0.1:6379 [default: disk].
    #[arg(long, value_name = "TIER")]
    l2: Option<L2Choice>,
    /// Settings: see `sandbar config`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the disk tier and what was bound over the admin API are kept [default: sandbar-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Tell each request in the log.
    #[arg(long)]
    access_log: bool,
    /// The token of the admin API.
    #[arg(long, env = "SANDBAR_ADMIN_TOKEN", hide = true, hide_env_values = true)]
    admin_token: Option<String>,
}

impl ServeArgs {
    fn into_config(self) -> Result<GatewayConfig, Failure> {
        let mut config = match &self.config {
            Some(file) => GatewayConfig::from_file(file).map_err(Failure::usage)?,
            None => GatewayConfig::default(),
        };
        if let Some(origin) = self.origin {
            config.set_origin(origin).map_err(Failure::usage)?;
        }
        config.gateway.listen = self.listen.unwrap_or(config.gateway.listen);
        config.admin.listen = self.admin.unwrap_or(config.admin.listen);
        config.data_dir = self.data_dir.unwrap_or(config.data_dir);
        config.log.access |= self.access_log;
        if let Some(choice) = self.l2 {
            config.l2.choose(choice);
        }
        if let Some(token) = self.admin_token {
            config.admin.token = Some(Secret::new(token));
        }
        Ok(config)
    }
}

pub(super) async fn run(args: ServeArgs) -> Result<(), Failure> {
    let config = args.into_config()?;
    config.validate().map_err(Failure::usage)?;
    start_log(&config.log)?;
    let grace = config.limits.grace;
    // Before the start: a signal that comes meanwhile is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let gateway = gateway::start(config).await.map_err(failure)?;
    eprintln!("Listening at http://{}.", gateway.listen_addr());
    if let Some(admin) = gateway.admin_addr() {
        eprintln!("Dashboard and admin API at http://{admin}.");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    eprintln!("Stopping: requests under way have {} s; a second signal stops at once.", grace.as_secs());
    tokio::select! {
        drained = gateway.shutdown(grace) => {
            if !drained {
                eprintln!("Some requests had to be cut.");
            }
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn failure(error: StartError) -> Failure {
    if error.is_config() { Failure::usage(error) } else { Failure::Runtime(error.into()) }
}

/// Log lines go to standard error.
fn start_log(config: &LogConfig) -> Result<(), Failure> {
    let filter = std::env::var("SANDBAR_LOG").unwrap_or_else(|_| config.level.clone());
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Failure::Usage(anyhow::anyhow!(
            "log.level = {filter:?}: {error}; write \"info\", \"debug\" or \"sandbar=debug,warn\""
        ))
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}
