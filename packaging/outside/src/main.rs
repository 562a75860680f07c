//! A service behind the cache, with an L2 on disk and a stock policy as a guest: the second request is a hit.

use http::Request;
use http_body_util::{BodyExt, Empty};
use sandbar::Sandbar;
use sandbar::barrier::Purge;
use sandbar::body::{self, Body, BoxError};
use sandbar::policy::{Binding, Role};
use sandbar::tenant::config::TenantConfig;
use tower::{Layer, ServiceExt, service_fn};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let disk = std::env::temp_dir().join(format!("sandbar-outside-{}", std::process::id()));
    let shop = TenantConfig { hosts: vec!["shop.example".into()], ..TenantConfig::named("shop") };
    let sandbar = Sandbar::builder().tenant(shop).disk(&disk, 64 << 20).build()?;
    let bound = sandbar.bind("shop", Binding::stock(Role::Eviction, "lru")).await?;
    println!("evictions by {} as a guest: {}", bound.name, bound.digest.is_some());

    let page = service_fn(async |_request: Request<Body>| {
        let response = http::Response::builder().header("cache-control", "max-age=60");
        Ok::<_, BoxError>(response.body(body::full("a page"))?)
    });
    let site = sandbar.layer().layer(page);
    for expected in ["fwd=uri-miss", "hit", "fwd=uri-miss"] {
        let response = site.clone().oneshot(Request::get("http://shop.example/").body(Empty::new())?).await?;
        let status = response.headers()["cache-status"].to_str()?.to_owned();
        response.into_body().collect().await?;
        println!("{status}");
        assert!(status.contains(expected), "{expected} was expected");
        sandbar.drain().await;
        if expected == "hit" {
            sandbar.purge("shop", &[Purge::everything()]).await?;
        }
    }
    drop((site, sandbar));
    std::fs::remove_dir_all(disk)?;
    Ok(())
}
