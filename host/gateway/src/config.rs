//! The settings of the gateway, as `sandbar.toml` holds them. Each part of the program owns the settings of its
//! section; here they are put together, read from text, and checked against each other.

mod access;
mod address;
mod engine;
mod error;
mod fleet;
mod journal;
mod l2;
mod listeners;
mod log;
mod memory;
mod notes;
mod secret;
mod sections;
mod source;
#[cfg(test)]
mod tests;
mod tls;
mod validate;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use sandbar::origin::http::{OriginConfig, OriginUrl};
use sandbar::tenant::config::TenantConfig;

pub use self::access::{AccessFormat, AccessLogConfig};
pub(crate) use self::address::parse_address;
pub use self::engine::PolicyConfig;
pub use self::error::ConfigError;
pub use self::fleet::FleetSettings;
pub use self::journal::JournalConfig;
pub use self::l2::{DiskSettings, L2Choice, L2Config, L2Kind, MemcachedSettings, RedisSettings};
pub use self::log::LogFilter;
pub(crate) use self::memory::L1Shares;
pub use self::memory::MemorySettings;
pub(crate) use self::notes::tenant_note;
pub use self::secret::Secret;
pub use self::sections::{AdminConfig, L1Config, LimitsConfig, ListenConfig, LogConfig, LogFormat, Scheme};
pub use self::source::Source;
pub(crate) use self::tls::{ADMIN_TLS, GATEWAY_TLS};
pub use self::tls::{CertificateFiles, TlsConfig};
pub(crate) use self::validate::origin_of;

/// The commented default settings, as `sandbar config` prints them.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// All settings of a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// The directory of the disk tier and of policies bound over the admin API.
    pub data_dir: PathBuf,
    /// `[gateway]`: the listener for clients.
    pub gateway: ListenConfig,
    /// `[admin]`: the listener for operators.
    pub admin: AdminConfig,
    /// `[l1]`: the tier in memory.
    pub l1: L1Config,
    /// `[memory]`: the bound of everything that grows with the traffic.
    pub memory: MemorySettings,
    /// `[l2]`: the tier below memory.
    pub l2: L2Config,
    /// `[journal]`: writes that are held until their origin has them.
    pub journal: JournalConfig,
    /// `[fleet]`: nodes whose L2 is the same Redis.
    pub fleet: FleetSettings,
    /// `[policy]`: what guests may use up.
    pub policy: PolicyConfig,
    /// `[limits]`: what clients may use up.
    pub limits: LimitsConfig,
    /// `[log]`: what the log tells, and how.
    pub log: LogConfig,
    /// `[[tenant]]`: each tenant, with its hosts, origin and policies.
    #[serde(rename = "tenant")]
    pub tenants: Vec<TenantConfig>,
    /// Where these settings were read from, so that errors can name the place.
    #[serde(skip)]
    pub source: Source,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            data_dir: "sandbar-data".into(),
            gateway: ListenConfig::default(),
            admin: AdminConfig::default(),
            l1: L1Config::default(),
            memory: MemorySettings::default(),
            l2: L2Config::default(),
            journal: JournalConfig::default(),
            fleet: FleetSettings::default(),
            policy: PolicyConfig::default(),
            limits: LimitsConfig::default(),
            log: LogConfig::default(),
            tenants: Vec::new(),
            source: Source::default(),
        }
    }
}

impl GatewayConfig {
    /// Reads settings from text; errors name `file` as their place. A setting that is left out has its default.
    ///
    /// # Errors
    /// When the text is no TOML, a key is unknown, or a value makes no sense by itself. Settings that contradict each
    /// other are found by [`GatewayConfig::validate`].
    pub fn from_toml(text: &str, file: &str) -> Result<Self, ConfigError> {
        let source = Source::file(file, text);
        match toml::from_str(text) {
            Ok(config) => Ok(Self { source, ..config }),
            Err(error) => Err(ConfigError::in_text(&error, &source)),
        }
    }

    /// Reads settings from a file.
    ///
    /// # Errors
    /// When the file can't be read, and as [`GatewayConfig::from_toml`].
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// The same settings without any tenant.
    pub(crate) fn without_tenants(&self) -> Self {
        let Self { data_dir, gateway, admin, l1, memory, l2, journal, fleet, policy, limits, log, tenants: _, source } =
            self;
        Self {
            data_dir: data_dir.clone(),
            gateway: gateway.clone(),
            admin: admin.clone(),
            l1: l1.clone(),
            memory: memory.clone(),
            l2: l2.clone(),
            journal: journal.clone(),
            fleet: fleet.clone(),
            policy: policy.clone(),
            limits: limits.clone(),
            log: log.clone(),
            tenants: Vec::new(),
            source: source.clone(),
        }
    }

    /// Sets the origin of the only tenant, which loses the servers that it had; where there is no tenant, adds one that has
    /// all hosts.
    ///
    /// # Errors
    /// When there are several tenants.
    pub fn set_origin(&mut self, url: OriginUrl) -> Result<(), ConfigError> {
        match self.tenants.as_mut_slice() {
            [] => self.tenants.push(TenantConfig { origin: Some(OriginConfig::new(url)), ..TenantConfig::default() }),
            [tenant] => match &mut tenant.origin {
                Some(origin) => {
                    origin.url = url;
                    origin.servers.clear();
                }
                none => *none = Some(OriginConfig::new(url)),
            },
            several => {
                let reason = format!("there are {} tenants, each with an origin of its own", several.len());
                let remedy = "leave --origin out and name the origins in the [[tenant]] tables";
                return Err(ConfigError::wrong("--origin", url, reason, remedy).placed(&self.source));
            }
        }
        Ok(())
    }
}
