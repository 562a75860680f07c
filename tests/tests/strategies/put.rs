//! `write-through` with `put_lifetime`: the content of a PUT is stored, where the origin says that it took it as it was.

use http::{HeaderMap, Method};
use sandbar::http::key::KeyRules;
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::node::Node;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;
use std::sync::Arc;
use std::time::Duration;

use super::shelf::Shelf;
use super::{FRESH, alone, content, fleet, put, read, read_as, said, storing};

/// How many PUTs were stored, and how many reads of the origin there were.
fn counts(node: &Node, shelf: &Shelf) -> (u64, usize) {
    (node.tenant.counters.values().writes_put, shelf.reads())
}

#[tokio::test]
async fn the_content_is_what_readers_get_for_so_long() {
    let shelf = Shelf::new(FRESH);
    let clock = Arc::<sandbar_tests::node::SteppedClock>::default();
    let node = Node::alone::<sandbar::tier::disk::DiskTier>(storing(), shelf.clone(), clock.clone(), None).unwrap();
    let fields = [("content-type", "text/plain"), ("content-language", "de"), ("x-of-the-request", "1")];
    node.ask(Method::PUT, "/a/1", &fields, content("new")).await;
    assert_eq!(counts(&node, &shelf), (1, 0), "the origin is not asked");
    let request = http::Request::get("http://h/a/1").body(sandbar::body::empty()).unwrap();
    let (head, _) = node.cache.respond(&node.tenant, request).await.into_parts();
    let field = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!((field("content-type"), field("content-language")), (Some("text/plain"), Some("de")));
    assert_eq!((field("etag"), field("x-of-the-request"), field("x-version")), (Some("\"1\""), None, None));
    assert_eq!(read(&node, "/a/1").await, said("l1", "new"));
    clock.step(Duration::from_secs(61));
    assert_eq!(read(&node, "/a/1").await.1, "new");
    assert_eq!(shelf.reads(), 1, "its lifetime is over");
}

#[tokio::test]
async fn what_may_not_be_stored_is_fetched_instead() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&storing(), &shelf);
    let mut expected = 0;
    let mut case = async |what: &str, method: Method, fields: &[(&str, &str)], fetches: bool| {
        let (stored, reads) = counts(&node, &shelf);
        node.ask(method, "/a/1", fields, content(what)).await;
        expected += usize::from(fetches);
        assert_eq!(counts(&node, &shelf), (stored, reads + usize::from(fetches)), "{what}");
        assert_eq!(read(&node, "/a/1").await.1, what);
    };
    case("a part", Method::PUT, &[("content-range", "bytes 0-2/9")], true).await;
    case("a POST", Method::POST, &[], true).await;
    case("with a cookie", Method::PUT, &[("cookie", "a=1")], false).await;
    case("with credentials", Method::PUT, &[("authorization", "Basic eDp5")], false).await;
    case("another method in a field", Method::PUT, &[("x-http-method-override", "PATCH")], false).await;
    shelf.of_writes.lock().insert("vary", "accept".parse().unwrap());
    case("one of several variants", Method::PUT, &[], true).await;
    *shelf.of_writes.lock() = HeaderMap::from_iter([(http::header::ETAG, "".parse().unwrap())]);
    case("without a validator", Method::PUT, &[], true).await;
}

#[tokio::test]
async fn content_of_unknown_or_great_length_is_fetched_instead() {
    let shelf = Shelf::new(FRESH);
    let config = TenantConfig { body_max: Some(sandbar::setting::Size::of(1 << 10)), ..storing() };
    let node = alone(&config, &shelf);
    put(&node, "/a/1", &"x".repeat(1 << 10)).await;
    assert_eq!(counts(&node, &shelf), (1, 0));
    put(&node, "/a/1", &"x".repeat((1 << 10) + 1)).await;
    assert_eq!(counts(&node, &shelf), (1, 1));
    let frames = futures_util::stream::once(async { Ok::<_, std::io::Error>(hyper::body::Frame::data("abc".into())) });
    let unknown = sandbar::body::boxed(http_body_util::StreamBody::new(frames));
    node.ask(Method::PUT, "/a/1", &[], unknown).await;
    assert_eq!(counts(&node, &shelf), (1, 2));
    assert_eq!(read(&node, "/a/1").await, said("l1", "abc"));
}

#[tokio::test]
async fn encoded_content_is_for_those_who_read_it() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&storing(), &shelf);
    let fields = [("content-encoding", "gzip"), ("accept-encoding", "gzip")];
    node.ask(Method::PUT, "/a/1", &fields, content("packed")).await;
    assert_eq!(read_as(&node, "/a/1", &[("accept-encoding", "gzip")]).await, said("l1", "packed"));
    assert_eq!(read(&node, "/a/1").await.0, "origin");
    // Whoever reads no such content itself is not taken for somebody who does.
    let (stored, reads) = counts(&node, &shelf);
    let fields = [("content-encoding", "gzip"), ("accept-encoding", "identity")];
    node.ask(Method::PUT, "/a/1", &fields, content("packed")).await;
    assert_eq!(counts(&node, &shelf), (stored, reads + 1));
}

#[tokio::test]
async fn a_parameter_that_the_key_leaves_out_makes_it_another_resource_for_all_that_is_known() {
    let shelf = Shelf::new(FRESH);
    let key = KeyRules { keep_params: vec!["v".into()], sort_query: true, ..KeyRules::default() };
    let node = alone(&TenantConfig { key, ..storing() }, &shelf);
    put(&node, "/a/1?v=1", "one").await;
    assert_eq!(counts(&node, &shelf), (1, 0));
    put(&node, "/a/1?v=1&draft=1", "two").await;
    assert_eq!(counts(&node, &shelf), (1, 1), "it is fetched as its readers ask for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_find_it_in_l2() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let shelf = Shelf::new(FRESH);
    let nodes = fleet(&server, &storing(), &shelf, 2).await;
    put(&nodes[0], "/a/1", "one").await;
    assert_eq!(read(&nodes[1], "/a/1").await, said("redis", "one"));
    put(&nodes[1], "/a/1", "two").await;
    eventually("the other node has heard", async || read(&nodes[0], "/a/1").await.1 == "two").await;
    assert_eq!(shelf.reads(), 0);
    Ok(())
}
