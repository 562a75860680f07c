//! Writes to one target that overlap: nobody is shown anything older than what was acknowledged, whatever order the origin takes
//! them in, and whatever order its answers come back in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sandbar::consistency::Consistency;
use sandbar::strategy::Strategy;
use sandbar_tests::node::Node;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;

use super::shelf::Shelf;
use super::{FRESH, alone, content, fleet, put, read, storing, strict, tenant};

/// The first write counts before the second one, and its answer comes after that of the second.
async fn overtaken(first: Node, second: &Node, shelf: &Arc<Shelf>) {
    let gate = shelf.hold_after_next_write();
    let target = "/a/1";
    let slow = tokio::spawn(async move { put(&first, target, "first").await });
    eventually("it counts", async || shelf.holds(target).0 == 1).await;
    put(second, target, "second").await;
    assert_eq!(read(second, target).await.1, "second");
    gate.open();
    slow.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_overtaken_brings_nothing_back() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&storing(), &shelf);
    overtaken(node.clone(), &node, &shelf).await;
    assert_eq!(read(&node, "/a/1").await.1, "second");
    let counters = node.tenant.counters.values();
    assert_eq!((counters.writes_put, counters.writes_overlapped), (1, 1));
}

#[tokio::test]
async fn a_write_that_counts_late_is_what_is_read_afterwards() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&storing(), &shelf);
    let gate = shelf.hold_before_next_write();
    let writer = node.clone();
    let late = tokio::spawn(async move { put(&writer, "/a/1", "late").await });
    eventually("it has arrived", async || shelf.writes() == 1).await;
    put(&node, "/a/1", "early").await;
    assert_eq!(read(&node, "/a/1").await.1, "early");
    gate.open();
    late.await.unwrap();
    assert_eq!(read(&node, "/a/1").await.1, "late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_on_another_node() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let shelf = Shelf::new(FRESH);
    let nodes = fleet(&server, &strict(storing(), Consistency::WriteAll), &shelf, 2).await;
    overtaken(nodes[0].clone(), &nodes[1], &shelf).await;
    for node in &nodes {
        assert_eq!(read(node, "/a/1").await.1, "second");
    }
    Ok(())
}

#[tokio::test]
async fn a_purge_in_between_counts_as_a_write() {
    let shelf = Shelf::new(FRESH);
    let node = alone(&storing(), &shelf);
    let gate = shelf.hold_after_next_write();
    let writer = node.clone();
    let slow = tokio::spawn(async move { put(&writer, "/a/1", "first").await });
    eventually("it counts", async || shelf.holds("/a/1").0 == 1).await;
    node.purge_scope(sandbar_tests::scope::prefix(None, "/a/")).await;
    gate.open();
    slow.await.unwrap();
    assert_eq!(node.tenant.counters.values().writes_put, 0);
}

/// Writers, readers and their bookkeeping: the origin numbers what it takes in, and a reader must not be shown a lower number
/// than one whose write was acknowledged before the reader asked.
struct Race {
    acknowledged: AtomicU64,
    is_over: AtomicBool,
}

const TARGET: &str = "/a/1";
const WRITERS: usize = 3;
const WRITES: usize = 60;

/// Contents name their writer and its write; the origin's number of each is looked up there.
async fn race(nodes: &[Node], shelf: &Shelf) -> (usize, usize) {
    // Some are taken in late, some are answered late: they overtake each other in both.
    *shelf.pauses.lock() = Some(|number| ([0, 20, 90, 1][number % 4], [60, 0, 200, 10, 0][number % 5]));
    let race = Arc::new(Race { acknowledged: AtomicU64::new(0), is_over: AtomicBool::new(false) });
    let readers: Vec<_> = nodes.iter().map(|node| tokio::spawn(read_on(node.clone(), Arc::clone(&race)))).collect();
    let writers = (0..WRITERS).map(|writer| {
        let (node, race) = (nodes[writer % nodes.len()].clone(), Arc::clone(&race));
        tokio::spawn(async move {
            for _ in 0..WRITES {
                let request = http::Request::put(format!("http://h{TARGET}")).body(content(&"x".repeat(100))).unwrap();
                let answer = node.cache.respond(&node.tenant, request).await;
                let version: u64 = answer.headers()["x-version"].to_str().unwrap().parse().unwrap();
                assert!(!answer.headers()["cache-status"].to_str().unwrap().contains("purge-pending"));
                race.acknowledged.fetch_max(version, Ordering::SeqCst);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    race.is_over.store(true, Ordering::SeqCst);
    let (mut hits, mut reads) = (0, 0);
    for reader in readers {
        let (hit, read) = reader.await.unwrap();
        (hits, reads) = (hits + hit, reads + read);
    }
    (hits, reads)
}

async fn read_on(node: Node, race: Arc<Race>) -> (usize, usize) {
    let (mut hits, mut reads) = (0, 0);
    while !race.is_over.load(Ordering::SeqCst) {
        let known = race.acknowledged.load(Ordering::SeqCst);
        let request = http::Request::get(format!("http://h{TARGET}")).body(sandbar::body::empty()).unwrap();
        let answer = node.cache.respond(&node.tenant, request).await;
        let (shown, said) = (answer.headers()["etag"].to_str().unwrap(), &answer.headers()["cache-status"]);
        let shown: u64 = shown.trim_matches('"').parse().unwrap();
        assert!(shown >= known, "{shown} is shown after {known} was acknowledged: {said:?}");
        hits += usize::from(said.to_str().unwrap().contains("hit"));
        reads += 1;
        tokio::task::yield_now().await;
    }
    (hits, reads)
}

#[tokio::test]
async fn no_reader_of_a_node_is_shown_less_than_was_acknowledged() {
    for config in [storing(), tenant(Strategy::WriteThrough, |_| {}), tenant(Strategy::Invalidate, |_| {})] {
        let shelf = Shelf::new(FRESH);
        let node = alone(&config, &shelf);
        let (hits, reads) = race(std::slice::from_ref(&node), &shelf).await;
        let counters = node.tenant.counters.values();
        println!("{:?}: {hits} hits in {reads} reads, {counters:?}", config.classes[0].strategy);
        assert!(reads > WRITES && hits > 0, "{hits} hits in {reads} reads");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_is_any_reader_of_a_fleet() -> anyhow::Result<()> {
    for config in [storing(), tenant(Strategy::WriteThrough, |_| {})] {
        let server = RedisServer::start()?;
        let shelf = Shelf::new(FRESH);
        let nodes = fleet(&server, &strict(config, Consistency::WriteAll), &shelf, 3).await;
        let (hits, reads) = race(&nodes, &shelf).await;
        let stored: u64 = nodes.iter().map(|node| node.tenant.counters.values().writes_put).sum();
        println!("{hits} hits in {reads} reads, {stored} contents stored");
        assert!(reads > WRITES && hits > 0, "{hits} hits in {reads} reads");
    }
    Ok(())
}
