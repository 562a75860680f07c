//! What becomes of stored responses when something is written: each strategy, with one node and with several, with writes that
//! overlap, with credentials, and when what follows a write fails.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod heir;
mod overlap;
mod put;
mod shelf;
mod through;
mod ttl;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use sandbar::body::{self, Body};
use sandbar::consistency::Consistency;
use sandbar::fleet::FleetConfig;
use sandbar::setting::Span;
use sandbar::strategy::Strategy;
use sandbar::tenant::config::{ClassConfig, TenantConfig};
use sandbar::tier::disk::DiskTier;
use sandbar_tests::node::{Got, Node, SILENCE, fleet_config};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;

use self::shelf::Shelf;

const FRESH: &str = "max-age=600";

/// A tenant one of whose classes, `/a/**`, has this strategy.
fn tenant(strategy: Strategy, of_class: impl FnOnce(&mut ClassConfig)) -> TenantConfig {
    let mut class =
        ClassConfig { name: "a".into(), path: "/a/**".into(), strategy: Some(strategy), ..ClassConfig::default() };
    of_class(&mut class);
    TenantConfig { name: "shop".into(), classes: vec![class], ..TenantConfig::default() }
}

/// `write-through` that stores the content of a PUT.
fn storing() -> TenantConfig {
    tenant(Strategy::WriteThrough, |class| class.put_lifetime = Some(Span::of(Duration::from_secs(60))))
}

fn alone(tenant: &TenantConfig, shelf: &Arc<Shelf>) -> Node {
    Node::alone::<DiskTier>(tenant.clone(), shelf.clone(), Arc::default(), None).unwrap()
}

/// Several nodes on a Redis, in front of one origin.
async fn fleet(server: &RedisServer, tenant: &TenantConfig, shelf: &Arc<Shelf>, nodes: usize) -> Vec<Node> {
    let mut fleet = Vec::new();
    for _ in 0..nodes {
        let mut config = fleet_config(&server.url());
        if tenant.consistency == Consistency::WriteAll {
            // A server that has just come up need not be waited for long, where all nodes have to confirm a purge.
            config = FleetConfig { silence_max: 4 * SILENCE, member_timeout: 8 * SILENCE, ..config };
        }
        let node = Node::over(config, tenant.clone(), shelf.clone(), Arc::default()).unwrap();
        fleet.push(node.hears().await.unwrap());
    }
    eventually("the server is old enough", async || fleet[0].purge("/warm-up").await.failed == 0).await;
    fleet
}

async fn put(node: &Node, target: &str, content: &str) -> Got {
    let got = node.ask(Method::PUT, target, &[], body::full(content.to_owned())).await;
    assert_eq!(got.status, 200, "{got:?}");
    got
}

/// The tier that answers a request, and the content; `origin` where none does.
async fn read(node: &Node, target: &str) -> (String, String) {
    read_as(node, target, &[]).await
}

async fn read_as(node: &Node, target: &str, fields: &[(&str, &str)]) -> (String, String) {
    let got = node.ask(Method::GET, target, fields, body::empty()).await;
    assert_eq!(got.status, 200, "{got:?}");
    let tier = got.cache_status.split_once("detail=").map(|(_, tier)| tier.split(';').next().unwrap_or_default());
    let tier = tier.filter(|_| got.cache_status.contains(";hit") || got.cache_status.contains("; hit"));
    (tier.unwrap_or("origin").trim().to_owned(), got.body)
}

fn content(text: &str) -> Body {
    body::full(text.to_owned())
}

fn said(tier: &str, content: &str) -> (String, String) {
    (tier.to_owned(), content.to_owned())
}

fn strict(tenant: TenantConfig, consistency: Consistency) -> TenantConfig {
    TenantConfig { consistency, ..tenant }
}
