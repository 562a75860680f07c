//! The cache in a hyper server: one tenant, whose origin its settings name, in memory alone.
//!
//! `cargo run --release -p sandbar --example hyper -- http://127.0.0.1:8000 127.0.0.1:8090`

use anyhow::Context;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sandbar::Sandbar;
use sandbar::origin::http::OriginConfig;
use sandbar::tenant::config::TenantConfig;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("name the origin: http://127.0.0.1:8000")?;
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8090".into());

    let tenant = TenantConfig { origin: Some(OriginConfig::new(url.parse()?)), ..TenantConfig::default() };
    let sandbar = Sandbar::builder().tenant(tenant).memory_bytes(256 << 20).build()?;
    let service = TowerToHyperService::new(sandbar.service());

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
