//! An axum gateway of two tenants with an L2 on disk; policies are swapped and responses purged over routes of its own.
//!
//! `cargo run --release -p sandbar --example axum`

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Router, serve};
use sandbar::Sandbar;
use sandbar::barrier::Purge;
use sandbar::policy::{Binding, Role};
use sandbar::tenant::config::TenantConfig;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [public, private] = ["127.0.0.1:8090", "127.0.0.1:8091"].map(TcpListener::bind);
    gateway(public.await?, private.await?, &std::env::temp_dir().join("sandbar-axum")).await
}

pub(crate) async fn gateway(public: TcpListener, private: TcpListener, disk: &std::path::Path) -> anyhow::Result<()> {
    let tenant = |name: &str| TenantConfig { hosts: vec![format!("{name}.example")], ..TenantConfig::named(name) };
    let builder = Sandbar::builder().tenant(tenant("shop")).tenant(tenant("media")).disk(disk, 64 << 20);
    let sandbar = builder.build()?;

    let page = async |Path(page): Path<String>| ([("cache-control", "max-age=60")], format!("this is {page}"));
    let site = Router::new().route("/{page}", get(page)).layer(sandbar.layer());

    let handle = sandbar.clone();
    let bind = async move |Path((tenant, role)): Path<(String, Role)>, component: Bytes| {
        let bound = handle.bind(&tenant, Binding::component(role, component)).await;
        bound.map(|bound| bound.name.to_string()).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
    };
    let purge = async move |Path(tenant): Path<String>| {
        let purged = sandbar.purge(&tenant, &[Purge::everything()]).await;
        purged.map(drop).map_err(|error| (StatusCode::NOT_FOUND, error.to_string()))
    };
    let admin = Router::new().route("/{tenant}/policies/{role}", put(bind)).route("/{tenant}/purge", post(purge));
    tokio::try_join!(serve(public, site).into_future(), serve(private, admin).into_future())?;
    Ok(())
}
