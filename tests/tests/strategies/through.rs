//! `write-through`: what the origin has after a write is stored before the write is answered.

use http::{Method, StatusCode};
use sandbar::consistency::Consistency;
use sandbar::http::key::KeyRules;
use sandbar::strategy::Strategy;
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::node::Node;
use sandbar_tests::origin::Gate;
use sandbar_tests::redis_server::RedisServer;

use super::shelf::Shelf;
use super::{FRESH, alone, content, fleet, put, read, read_as, said, strict, tenant};

fn through() -> TenantConfig {
    tenant(Strategy::WriteThrough, |_| {})
}

#[tokio::test]
async fn the_next_reader_finds_what_was_written() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&through(), &shelf);
    read(&node, "/a/1").await;
    for (method, written) in [(Method::PUT, "one"), (Method::POST, "two"), (Method::PATCH, "three")] {
        let reads = shelf.reads();
        node.ask(method.clone(), "/a/1", &[], content(written)).await;
        assert_eq!(shelf.reads(), reads + 1, "{method}: it is fetched once");
        assert_eq!(read(&node, "/a/1").await, said("l1", written), "{method}");
    }
    let reads = shelf.reads();
    node.send(Method::DELETE, "/a/1").await;
    assert_eq!(shelf.reads(), reads, "there is nothing to fetch");
    assert_eq!(read(&node, "/a/1").await, said("origin", ""));
    assert_eq!(node.tenant.counters.values().writes_refetched, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_find_it_too_before_the_writer_is_answered() -> anyhow::Result<()> {
    for consistency in [Consistency::Eventual, Consistency::Bus, Consistency::Versioned, Consistency::WriteAll] {
        let server = RedisServer::start()?;
        let shelf = Shelf::new(FRESH);
        let nodes = fleet(&server, &strict(through(), consistency), &shelf, 2).await;
        put(&nodes[0], "/a/1", "old").await;
        put(&nodes[0], "/a/2", "old").await;
        assert_eq!(read(&nodes[1], "/a/1").await, said("redis", "old"), "{consistency}");
        put(&nodes[0], "/a/1", "new").await;
        assert_eq!(read(&nodes[0], "/a/1").await, said("l1", "new"), "{consistency}");
        if consistency == Consistency::WriteAll {
            assert_eq!(read(&nodes[1], "/a/1").await, said("redis", "new"));
        }
        assert_eq!(read(&nodes[1], "/a/2").await, said("redis", "old"), "{consistency}: it was never asked for");
    }
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_fetched_or_stored_fails_no_write_and_leaves_nothing_old() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&through(), &shelf);
    put(&node, "/a/1", "old").await;
    *shelf.reads_fail.lock() = Some(StatusCode::SERVICE_UNAVAILABLE);
    put(&node, "/a/1", "new").await;
    *shelf.reads_fail.lock() = None;
    assert_eq!(read(&node, "/a/1").await, said("origin", "new"));
    shelf.of_reads.lock().insert("cache-control", "no-store".parse().unwrap());
    put(&node, "/a/1", "newer").await;
    assert_eq!(read(&node, "/a/1").await, said("origin", "newer"));
    // Neither does a write that the origin refuses bring about a fetch.
    let (reads, refused) = (shelf.reads(), shelf.writes());
    *shelf.of_writes.lock() = http::HeaderMap::new();
    let got = node.ask(Method::PUT, "/b/1", &[], content("x")).await;
    assert_eq!(
        (got.status, shelf.reads(), shelf.writes()),
        (200, reads, refused + 1),
        "its class does not write through"
    );
}

#[tokio::test]
async fn a_slow_fetch_is_waited_for_no_longer_than_the_soft_deadline() {
    let shelf = Shelf::new(FRESH);
    let config = TenantConfig {
        fetch_soft_deadline: sandbar::setting::Span::of(std::time::Duration::from_millis(50)),
        ..through()
    };
    let node = alone(&config, &shelf);
    let gate = Gate::closed();
    *shelf.reads_wait.lock() = Some(gate.clone());
    put(&node, "/a/1", "new").await;
    gate.open();
    assert_eq!(read(&node, "/a/1").await.1, "new", "the fetch went on, and who asks meanwhile joins it");
    assert_eq!(shelf.reads(), 1);
}

#[tokio::test]
async fn the_variant_of_the_writer_is_fetched() {
    let shelf = Shelf::new(FRESH);
    shelf.of_reads.lock().insert("vary", "accept-language".parse().unwrap());
    let node = alone(&through(), &shelf);
    let german = [("accept-language", "de"), ("range", "bytes=0-1"), ("if-match", "\"0\""), ("x-other", "1")];
    node.ask(Method::PUT, "/a/1", &german, content("hallo")).await;
    let sent = shelf.last_read.lock().clone();
    assert_eq!(sent.get("accept-language").unwrap(), "de");
    assert!(
        ["range", "if-match", "x-other", "content-length"].iter().all(|name| !sent.contains_key(*name)),
        "{sent:?}"
    );
    assert_eq!(read_as(&node, "/a/1", &[("accept-language", "de")]).await, said("l1", "hallo"));
    assert_eq!(read(&node, "/a/1").await.0, "origin");
}

/// Whether a write with these fields leaves something that its own client is given from memory.
async fn leaves_something(node: &Node, shelf: &Shelf, fields: &[(&str, &str)]) -> bool {
    let reads = shelf.reads();
    node.ask(Method::PUT, "/a/1", fields, content("mine")).await;
    let has_fetched = shelf.reads() > reads;
    let of_client = read_as(node, "/a/1", fields).await.0 == "l1";
    assert_eq!(has_fetched, of_client, "{fields:?}");
    has_fetched
}

#[tokio::test]
async fn a_write_with_credentials_leaves_nothing_that_others_may_get() {
    let shelf = Shelf::new("public, max-age=600");
    let node = alone(&through(), &shelf);
    for fields in [&[("authorization", "Basic eDp5")][..], &[("cookie", "session=1")], &[("cookie", "lang=de")]] {
        assert!(!leaves_something(&node, &shelf, fields).await, "{fields:?}");
    }
    assert!(leaves_something(&node, &shelf, &[]).await);
    let by_session = KeyRules { cookies: vec!["session".into()], ..KeyRules::default() };
    let node = alone(&TenantConfig { key: by_session, ..through() }, &shelf);
    assert!(leaves_something(&node, &shelf, &[("cookie", "session=1")]).await, "the key holds all that it says");
    assert_eq!(read_as(&node, "/a/1", &[("cookie", "session=2")]).await.0, "origin");
    assert!(!leaves_something(&node, &shelf, &[("cookie", "session=1; lang=de")]).await);
    let by_user = KeyRules { fields: vec!["authorization".into()], ..KeyRules::default() };
    let node = alone(&TenantConfig { key: by_user, ..through() }, &shelf);
    assert!(leaves_something(&node, &shelf, &[("authorization", "Basic eDp5")]).await);
    assert_eq!(read_as(&node, "/a/1", &[("authorization", "Basic eDp6")]).await.0, "origin");
}
