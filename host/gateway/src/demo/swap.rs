//! The swap half way through the demo: as an operator would, it binds another eviction policy to a tenant, over the
//! admin API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use http::Method;
use sandbar_base::clock::{Clock, SystemClock};

use super::client::Client;

/// Has the admin API bind a stock policy, as a guest, to `tenant`'s evictions; returns how long that took.
pub(super) async fn bind_eviction(admin: SocketAddr, tenant: &str, stock: &str) -> anyhow::Result<Duration> {
    let start = SystemClock.monotonic();
    let target = format!("/tenants/{tenant}/policies/eviction");
    let body = serde_json::json!({ "stock": stock }).to_string();
    let fields = [("content-type", "application/json")];
    let answer = Client::new(admin, &admin.to_string())
        .send(Method::PUT, &target, &fields, body.into())
        .await
        .with_context(|| format!("PUT {target}"))?;
    ensure!(answer.status.is_success(), "PUT {target}: {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(SystemClock.monotonic().saturating_sub(start))
}
