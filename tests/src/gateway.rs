//! A gateway in the test's process: on free ports, with its data in a directory that is removed with it.
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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use sandbar::cache::Cache;
use sandbar::http::key::CacheKey;
use sandbar::tenant::Tenant;
use sandbar_gateway::{Gateway, GatewayConfig, ReloadError, Reloaded, Sockets};
use tempfile::TempDir;

use crate::client::{Answer, Client};
use crate::wait::eventually;

/// Name of the tenant that [`one_tenant`] sets up.
pub const TENANT: &str = "default";

/// A running gateway.
#[derive(Debug)]
pub struct TestGateway {
    gateway: Gateway,
    /// What its configuration file would hold at present.
    settings: Arc<Mutex<String>>,
    data_dir: TempDir,
}

/// A gateway that does not run at the moment.
#[derive(Debug)]
pub struct Away {
    settings: Arc<Mutex<String>>,
    data_dir: TempDir,
}

impl Away {
    /// Starts it again, on other ports.
    ///
    /// # Errors
    /// When it does not start again.
    pub async fn start(self) -> anyhow::Result<TestGateway> {
        let Self { settings, data_dir } = self;
        let gateway = start(&settings, &data_dir).await?;
        Ok(TestGateway { gateway, settings, data_dir })
    }
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
    /// Starts a gateway with these settings (`sandbar.toml` without `data_dir` and addresses).
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(settings: &str) -> anyhow::Result<Self> {
        let data_dir = tempfile::tempdir().context("a directory for the gateway")?;
        let settings = Arc::new(Mutex::new(settings.to_owned()));
        let gateway = start(&settings, &data_dir).await?;
        Ok(Self { gateway, settings, data_dir })
    }

    /// Has the gateway read these settings in the place of those of before, as if its file had been written anew.
    ///
    /// # Errors
    /// The gateway's own.
    ///
    /// # Panics
    /// Where a test has failed while it wrote settings.
    pub async fn reload(&self, settings: &str) -> Result<Reloaded, ReloadError> {
        settings.clone_into(&mut self.settings.lock().expect("nobody fails with it"));
        self.gateway.reload().await
    }

    /// Shuts the gateway down as an operator would, and starts another with the same data, on other ports.
    ///
    /// # Errors
    /// When it does not start again.
    pub async fn restart(self) -> anyhow::Result<Self> {
        self.shut().await.start().await
    }

    /// Shuts the gateway down as an operator would, and keeps its data.
    pub async fn shut(self) -> Away {
        let Self { gateway, settings, data_dir } = self;
        gateway.shutdown(Duration::from_secs(10)).await;
        Away { settings, data_dir }
    }

    /// The gateway's data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.path().join("data")
    }

    /// [`Self::restart`] with other settings.
    ///
    /// # Errors
    /// When it does not start again.
    ///
    /// # Panics
    /// Where a test has failed while it wrote settings.
    pub async fn restart_with(self, settings: &str) -> anyhow::Result<Self> {
        settings.clone_into(&mut self.settings.lock().expect("nobody fails with it"));
        self.restart().await
    }

    /// A client whose requests name `host`.
    pub fn client(&self, host: &str) -> Client {
        Client::new(self.gateway.listen_addr(), host)
    }

    /// The gateway's address for clients.
    pub fn address(&self) -> SocketAddr {
        self.gateway.listen_addr()
    }

    /// The gateway's address for operators.
    ///
    /// # Panics
    /// Where the settings turn the admin API off.
    pub fn admin_address(&self) -> SocketAddr {
        self.gateway.admin_addr().expect("an admin listener")
    }

    /// The gateway alone, to be shut down; its directory is removed now.
    pub fn into_gateway(self) -> Gateway {
        self.gateway
    }

    /// The gateway itself.
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The gateway's cache.
    pub const fn cache(&self) -> &Cache {
        self.gateway.cache()
    }

    /// The tenant of this name.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn tenant(&self, name: &str) -> Arc<Tenant> {
        self.cache().tenant(name).expect("a tenant of that name")
    }

    /// Waits until it hears the bus of its fleet, so that the other nodes know it.
    ///
    /// # Panics
    /// When it has no fleet, or does not hear it in time.
    pub async fn hears(&self) {
        let fleet = self.cache().fleet().expect("a fleet");
        eventually("it hears the bus", async || fleet.bus().stats().deaf_partitions == 0).await;
    }

    /// Empties L1 of the tenant [`TENANT`].
    pub fn drop_l1(&self) {
        self.tenant(TENANT).clear_memory();
    }

    /// Whether L1 of the tenant [`TENANT`] has an entry for a target on `host`.
    pub fn is_in_l1(&self, host: &str, target: &str) -> bool {
        let key = CacheKey::new(TENANT, &format!("http://{host}"), target);
        self.tenant(TENANT).held(key.hash()).is_some()
    }

    /// A client of the admin API.
    ///
    /// # Panics
    /// Where the settings turn the admin API off.
    pub fn operator(&self) -> Client {
        let address = self.admin_address();
        Client::new(address, &address.to_string())
    }

    /// Calls the admin API.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn admin(
        &self,
        method: &str,
        target: &str,
        kind: &str,
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let fields: &[_] = if kind.is_empty() { &[] } else { &[("content-type", kind)] };
        self.operator().send(method, target, fields, body).await
    }

    /// Binds a stock policy to a role of the tenant [`TENANT`], as a guest, over the admin API.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn bind_stock(&self, role: &str, stock: &str) -> anyhow::Result<serde_json::Value> {
        let body = serde_json::json!({ "stock": stock }).to_string();
        let answer = self.admin("PUT", &format!("/tenants/{TENANT}/policies/{role}"), "application/json", body).await?;
        ensure!(answer.status.is_success(), "{}: {}", answer.status, answer.text());
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

/// Settings (`sandbar.toml` without `data_dir` and addresses) for free ports and this directory.
///
/// # Errors
/// When they can't be read.
pub fn config(settings: &str, data_dir: &TempDir) -> anyhow::Result<GatewayConfig> {
    config_in(settings, data_dir.path())
}

fn config_in(settings: &str, dir: &Path) -> anyhow::Result<GatewayConfig> {
    let mut config = GatewayConfig::from_toml(settings, "the test's settings")?;
    config.data_dir = dir.join("data");
    config.gateway.listen = (Ipv4Addr::LOCALHOST, 0).into();
    config.admin.listen = (Ipv4Addr::LOCALHOST, 0).into();
    Ok(config)
}

async fn start(settings: &Arc<Mutex<String>>, data_dir: &TempDir) -> anyhow::Result<Gateway> {
    let text = settings.lock().expect("nobody fails with it").clone();
    let (first, settings, dir) = (config(&text, data_dir)?, Arc::clone(settings), data_dir.path().to_owned());
    let read = move || {
        let text = settings.lock().expect("nobody fails with it").clone();
        config_in(&text, &dir).map_err(|error| format!("{error:#}"))
    };
    Ok(sandbar_gateway::start_on(first, Sockets::default(), Some(Arc::new(read))).await?)
}
