//! A Pingora proxy with Sandbar as its cache: `sandbar-pingora ORIGIN LISTEN`, such as `127.0.0.1:8000 127.0.0.1:8090`.
//!
//! Sandbar answers in Pingora's request filter, and asks Pingora's connector where it has no answer: it owns freshness,
//! collapsing, stale answers and purges, which Pingora's own cache would do a second time. So it is not a storage behind
//! `pingora-cache`. Connections that switch to another protocol pass it by, on Pingora's own way to the upstream.

mod filter;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use pingora_core::server::Server;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::http_proxy_service;
use sandbar::Sandbar;
use tower::{Layer, service_fn};

use crate::filter::Caching;
use crate::upstream::Upstream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(origin), Some(listen)) = (arguments.next(), arguments.next()) else {
        return Err("name the origin and where to listen: 127.0.0.1:8000 127.0.0.1:8090".into());
    };
    let peer = HttpPeer::new(origin.parse::<SocketAddr>()?, false, String::new());

    // Pingora makes its runtimes only when it runs; the cache is there before.
    let runtime = tokio::runtime::Runtime::new()?;
    let sandbar = runtime.block_on(async { Sandbar::builder().memory_bytes(256 << 20).build() })?;
    let upstream = Arc::new(Upstream::new(peer.clone()));
    let origin = service_fn(move |request| Arc::clone(&upstream).fetch(request));
    let cached = sandbar.layer().layer(origin);

    let mut server = Server::new(None)?;
    server.bootstrap();
    let mut proxy = http_proxy_service(&server.configuration, Caching { cached, peer });
    proxy.add_tcp(&listen);
    server.add_service(proxy);
    server.run_forever();
}
