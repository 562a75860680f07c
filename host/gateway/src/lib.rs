//! The ready-made gateway around the cache, and all that the program `sandbar` can do: [`cli`] has a file for each
//! subcommand, [`demo`] and [`replay`] stand behind two of them.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use sandbar_gateway::GatewayConfig;
//!
//! let mut config = GatewayConfig::default();
//! config.set_origin("http://127.0.0.1:3000".parse()?)?;
//! let gateway = sandbar_gateway::start(config).await?;
//! println!("http://{}", gateway.listen_addr());
//! gateway.shutdown(Duration::from_secs(30)).await;
//! # Ok(())
//! # }
//! ```

mod abrupt;
mod access;
mod admin;
mod advice;
mod assemble;
mod bounds;
pub mod cli;
pub mod config;
mod connection;
pub mod demo;
mod error;
mod farewell;
mod first_chunk;
mod fleet;
mod framing;
mod front;
mod handover;
mod interim;
mod listen;
mod listeners;
mod metrics;
mod opening;
pub mod policy_build;
pub mod policy_new;
mod ready;
mod reload;
pub mod replay;
mod room;
mod server;
mod service_manager;
mod sides;
mod sockets;
mod speech;
mod start;
pub mod stdout;
mod tenants;
mod tls;
mod wire;

pub use self::config::{ConfigError, GatewayConfig};
pub use self::error::StartError;
use self::handover::HANDED_OVER_BY;
pub use self::handover::{Predecessor, Program, UpgradeError, Upgraded};
pub use self::reload::{ReadSettings, ReloadError, Reloaded};
pub use self::server::Gateway;
pub use self::sockets::Sockets;
pub use self::start::{check, start, start_on};
pub use self::tenants::KeptError;

// How fuzz targets and tests measure that work grows in proportion to its input.
#[cfg(test)]
#[path = "../../../fuzz/src/proportion.rs"]
mod proportion;
