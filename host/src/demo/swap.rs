//! What an operator does half way through the demo: binds another eviction policy to a tenant, over the admin API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Method;

use super::client::Client;
use crate::clock::{Clock, SystemClock};

/// Sends a component to the admin API, for `tenant`'s evictions; answers with how long that took.
pub(super) async fn bind_eviction(
    admin: SocketAddr,
    tenant: &str,
    component: &'static [u8],
) -> anyhow::Result<Duration> {
    let start = SystemClock.monotonic();
    let target = format!("/tenants/{tenant}/policies/eviction");
    let fields = [("content-type", "application/wasm")];
    let answer = Client::new(admin, &admin.to_string())
        .send(Method::PUT, &target, &fields, Bytes::from_static(component))
        .await
        .with_context(|| format!("PUT {target}"))?;
    ensure!(answer.status.is_success(), "PUT {target}: {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(SystemClock.monotonic().saturating_sub(start))
}
