//! A gateway of the test's own: on free ports, with its data in a directory that goes away with it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sandbar_tests::gateway::{TestGateway, one_tenant};
//! use sandbar_tests::origin::{Origin, Reply};
//!
//! let origin = Origin::start(|_| Reply::ok("hello").field("cache-control", "max-age=60")).await?;
//! let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
//! let mut client = gateway.client("shop.test");
//! assert!(!client.get("/").await?.is_hit());
//! assert!(client.get("/").await?.is_hit());
//! # Ok(()) }
//! ```

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use sandbar::cache::Cache;
use sandbar::gateway::{self, Gateway, GatewayConfig};
use sandbar::key::CacheKey;
use sandbar::tenant::Tenant;
use tempfile::TempDir;

use crate::client::{Answer, Client};

/// Name of the tenant that [`one_tenant`] sets up.
pub const TENANT: &str = "default";

/// A running gateway.
#[derive(Debug)]
pub struct TestGateway {
    gateway: Gateway,
    settings: String,
    data_dir: TempDir,
}

/// Settings for a gateway without L2 that has one tenant, for all hosts. `more` is added to the tenant's table.
pub fn one_tenant(origin_url: &str, more: &str) -> String {
    one_tenant_over("[l2]\nkind = \"none\"\n", origin_url, more)
}

/// [`one_tenant`] with a section `[l2]`.
pub fn one_tenant_over(l2: &str, origin_url: &str, more: &str) -> String {
    format!("{l2}\n[[tenant]]\nname = \"{TENANT}\"\nhosts = [\"*\"]\norigin = \"{origin_url}\"\n{more}\n")
}

impl TestGateway {
    /// Starts one with these settings (`sandbar.toml` without `data_dir` and addresses).
    ///
    /// # Errors
    /// When it does not start.
    pub /// Settings (`sandbar.toml` without `data_dir` and addresses) for free ports and this directory.
///
/// # Errors
/// When they can't be read.
pub fn config(settings: &str, data_dir: &TempDir) -> anyhow::Result<GatewayConfig> {
    let mut config = GatewayConfig::from_toml(settings, "the test's settings")?;
    config.data_dir = data_dir.path().join("data");
    config.gateway.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.admin.listen = (Ipv4Addr::LOCALHOST, 0).into();
    Ok(config)
}

async fn start(settings: &str, data_dir: &TempDir) -> anyhow::Result<Gateway> {
    Ok(gateway::start(config(settings, data_dir)?).await?)
}
