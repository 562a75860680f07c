//! Settings from the command line and the environment, which take precedence over the file. They are the same for
//! `sandbar serve` and for `sandbar config --check`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use sandbar::origin::http::OriginUrl;

use super::Failure;
use crate::HANDED_OVER_BY;
use crate::config::{GatewayConfig, L2Choice, LogFilter, Secret, parse_address};

/// Settings that take precedence over the file.
#[derive(Clone, Debug, Args)]
pub(super) struct SettingsArgs {
    /// URL of the origin, such as http://127.0.0.1:3000.
    #[arg(long, value_name = "URL")]
    origin: Option<OriginUrl>,
    /// Address to listen for clients at [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    listen: Option<SocketAddr>,
    /// Address of the admin API and the dashboard [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    admin: Option<SocketAddr>,
    /// The tier below memory: disk, none, or a URL: redis://127.0.0.1:6379, memcached://127.0.0.1:11211 [default: disk].
    #[arg(long, value_name = "TIER")]
    l2: Option<L2Choice>,
    /// Directory of the disk tier and of policies bound over the admin API [default: sandbar-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What the log tells: info, debug, or sandbar=debug,warn; SANDBAR_LOG can say it too [default: info].
    #[arg(long, value_name = "FILTER")]
    log: Option<LogFilter>,
    /// Write a line for each request, to standard output unless log.access.file names a file.
    #[arg(long)]
    access_log: bool,
    /// The token of the admin API.
    #[arg(long, env = TOKEN, hide = true, hide_env_values = true)]
    admin_token: Option<String>,
}

const LOG: &str = "SANDBAR_LOG";
const TOKEN: &str = "SANDBAR_ADMIN_TOKEN";

/// The environment variables that the program reads.
const VARIABLES: [&str; 6] =
    ["SANDBAR_ADMIN", "SANDBAR_ADMIN_CA_FILE", "SANDBAR_ADMIN_CERT_FILE", "SANDBAR_ADMIN_KEY_FILE", TOKEN, LOG];

impl SettingsArgs {
    /// The settings of `file`, or the defaults without one, overridden by these arguments.
    pub(super) fn into_config(self, file: Option<&Path>) -> Result<GatewayConfig, Failure> {
        let mut config = match file {
            Some(file) => GatewayConfig::from_file(file).map_err(Failure::usage)?,
            None => GatewayConfig::default(),
        };
        if let Some(origin) = self.origin {
            config.set_origin(origin).map_err(Failure::usage)?;
        }
        if let Some(listen) = self.listen {
            config.gateway.listen = listen;
            config.source.say("gateway.listen", "--listen");
        }
        if let Some(admin) = self.admin {
            config.admin.listen = admin;
            config.source.say("admin.listen", "--admin");
        }
        if let Some(dir) = self.data_dir {
            config.data_dir = dir;
            config.source.say("data_dir", "--data-dir");
        }
        if let Some(choice) = self.l2 {
            config.l2.choose(choice);
            config.source.say("l2.kind", "--l2");
            config.source.say("l2.redis.url", "--l2");
            config.source.say("l2.memcached.servers", "--l2");
        }
        if let Some(filter) = self.log.map_or_else(log_of_the_environment, |filter| Ok(Some(filter)))? {
            config.log.level = filter;
        }
        if let Some(token) = self.admin_token {
            config.admin.token = Some(Secret::new(token));
            config.source.say("admin.token", "--admin-token or SANDBAR_ADMIN_TOKEN");
        }
        config.log.access.enabled |= self.access_log;
        Ok(config)
    }
}

/// The filter in `SANDBAR_LOG`, if that is set.
fn log_of_the_environment() -> Result<Option<LogFilter>, Failure> {
    let Some(text) = std::env::var_os(LOG) else { return Ok(None) };
    let wrong = |error| Failure::Usage(anyhow::anyhow!("the environment's {LOG} = {text:?}: {error}"));
    text.to_string_lossy().parse().map(Some).map_err(wrong)
}

/// A sentence for each variable that seems meant for this program by its name, but that it does not read.
pub(super) fn unread_variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| is_unread(name))
        .map(|name| format!("the environment's {name} is not read; this program reads {}", VARIABLES.join(", ")))
        .collect()
}

/// Not counted as unread are the variables that container platforms set for a service named `sandbar`:
/// `SANDBAR_SERVICE_HOST`, `SANDBAR_PORT_8080_TCP`.
fn is_unread(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("SANDBAR_") else { return false };
    let of_a_service = rest.contains("SERVICE_HOST")
        || rest.contains("SERVICE_PORT")
        || rest.split('_').any(|word| word == "PORT") && (rest.ends_with("PORT") || rest.contains("_TCP"));
    !VARIABLES.contains(&name) && name != HANDED_OVER_BY && !of_a_service
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_are_meant_for_us_and_not_read_are_known() {
        let unread = ["SANDBAR_LOGS", "SANDBAR_FAULTS", "SANDBAR_LISTEN", "SANDBAR_TOKEN", "SANDBAR_CONFIG"];
        let others = [
            HANDED_OVER_BY,
            "SANDBAR_LOG",
            "SANDBAR_ADMIN",
            "SANDBAR_SERVICE_HOST",
            "SANDBAR_PORT_8080_TCP_ADDR",
            "PATH",
        ];
        assert!(unread.iter().all(|name| is_unread(name)));
        assert!(!others.iter().any(|name| is_unread(name)));
    }
}
