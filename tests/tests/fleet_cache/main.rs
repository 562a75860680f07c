//! Caches that share a Redis act as one: a key is fetched once, and what one of them purges none of them serves. What needs
//! processes of their own, a crowd of clients or a Redis in trouble is in `nodes`.

mod confirmed;
mod deaf;
mod leases;
mod purges;
mod undelivered;
mod versions;

use std::sync::Arc;

use sandbar::consistency::Consistency;
use sandbar::http::key::CacheKey;
use sandbar_tests::node::{Got, Node, Source};
use sandbar_tests::redis_server::RedisServer;

const FRESH: &str = "max-age=600";

async fn fleet(server: &RedisServer, consistency: Consistency, source: &Arc<Source>) -> anyhow::Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(Node::start(&server.url(), consistency, source).await?);
    }
    Ok(nodes)
}

fn all_are(got: &[Got], body: &str) -> bool {
    got.iter().all(|got| got.status == 200 && got.body == body)
}

fn key(target: &str) -> CacheKey {
    CacheKey::new("shop", "http://h", target)
}
