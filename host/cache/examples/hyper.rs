//! The cache embedded in a hyper server: one tenant, an HTTP origin, memory alone.
//!
//! `cargo run --release -p sandbar --example embed -- http://127.0.0.1:8000 127.0.0.1:8090`

use std::sync::Arc;

use anyhow::Context;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sandbar::CacheService;
use sandbar::cache::{Cache, CacheLimits, CacheParts};
use sandbar::clock::SystemClock;
use sandbar::origin::http::{HttpOrigin, OriginConfig};
use sandbar::policy::TenantPolicies;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("name the origin: http://127.0.0.1:8000")?;
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8090".into());

    let clock = Arc::new(SystemClock);
    let origin = Arc::new(HttpOrigin::new(&OriginConfig::new(url.parse()?))?);
    let config = TenantConfig::default();
    let tenant = Tenant::new(&config, TenantPolicies::native(&config.name), origin, clock.clone())?;
    let limits = CacheLimits::default();
    let cache = Cache::new(CacheParts { tenants: vec![Arc::clone(&tenant)], l2: None, barriers: None, clock, limits });
    let service = TowerToHyperService::new(CacheService::new(cache, tenant));

    let listener = TcpListener::bind(&listen).await.with_context(|| format!("can't listen on {listen}"))?;
    println!("listening on http://{listen}");
    loop {
        let (socket, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let served = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            if let Err(error) = served {
                eprintln!("{error}");
            }
        });
    }
}
