//! The settings of the gateway: `sandbar.toml`. Each part owns the settings of its section; here they are only put
//! together, read from text, and checked against each other.

mod engine;
mod error;
mod fleet;
mod l2;
mod log;
mod memory;
mod notes;
mod secret;
mod sections;
mod source;
#[cfg(test)]
mod tests;
mod validate;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use sandbar::origin::http::{OriginConfig, OriginUrl};
use sandbar::tenant::config::TenantConfig;

pub use self::engine::PolicyConfig;
pub use self::error::ConfigError;
pub use self::fleet::FleetSettings;
pub use self::l2::{DiskSettings, L2Choice, L2Config, L2Kind, RedisSettings};
pub use self::log::LogFilter;
pub use self::memory::MemorySettings;
pub use self::secret::Secret;
pub(crate) use self::sections::parse_address;
pub use self::sections::{AdminConfig, L1Config, LimitsConfig, ListenConfig, LogConfig, LogFormat, Scheme};
pub use self::source::Source;
pub(crate) use self::validate::origin_of;

/// The commented default settings, as `sandbar config` prints them.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// All settings of a gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Where the disk tier and what was bound over the admin API are kept.
    pub data_dir: PathBuf,
    /// `[gateway]`: where clients are listened to.
    pub gateway: ListenConfig,
    /// `[admin]`: where operators are.
    pub admin: AdminConfig,
    /// `[l1]`: memory.
    pub l1: L1Config,
    /// `[memory]`: the bound of everything that grows with the traffic.
    pub memory: MemorySettings,
    /// `[l2]`: the tier below it.
    pub l2: L2Config,
    /// `[fleet]`: nodes that share it.
    pub fleet: FleetSettings,
    /// `[policy]`: what guests may use up.
    pub policy: PolicyConfig,
    /// `[limits]`: what clients may use up.
    pub limits: LimitsConfig,
    /// `[log]`: what is told.
    pub log: LogConfig,
    /// `[[tenant]]`: whose traffic it is.
    #[serde(rename = "tenant")]
    pub tenants: Vec<TenantConfig>,
    /// Where all of this was read from, for errors.
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
    /// Reads settings; `file` stands for their source in errors. What is left out has its default.
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

    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be read, and as [`GatewayConfig::from_toml`].
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        Self::from_toml(&text, &path.display().to_string())
    }

    /// Sends the traffic to `url`: for the one tenant there is, or for a new one that has all hosts.
    ///
    /// # Errors
    /// When there are several tenants.
    pub fn set_origin(&mut self, url: OriginUrl) -> Result<(), ConfigError> {
        match self.tenants.as_mut_slice() {
            [] => self.tenants.push(TenantConfig { origin: Some(OriginConfig::new(url)), ..TenantConfig::default() }),
            [tenant] => match &mut tenant.origin {
                Some(origin) => origin.url = url,
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
