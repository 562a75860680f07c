//! Caches that share a Redis act as one: a key is fetched once, and what one of them purges none of them serves.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use redis::Commands;
use sandbar::barrier::Scope;
use sandbar::consistency::Consistency;
use sandbar::fleet::{Attempt, FleetConfig};
use sandbar::key::CacheKey;
use sandbar::tenant::config::{ClassConfig, TenantConfig};
use sandbar_tests::fault_proxy::{Fault, FaultProxy};
use sandbar_tests::node::{Got, Node, SILENCE, Source, ask_all, fleet_config, tenant};
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::eventually;
use tokio::time::{Instant, sleep};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cold_key_is_fetched_once_by_the_fleet() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    source.delay(Duration::from_millis(300));
    let got = ask_all(&nodes, "/cold", 100).await;
    assert!(all_are(&got, "0"), "{:?}", got.iter().find(|got| got.body != "0"));
    assert_eq!(source.fetches(), 1);
    assert!(all_are(&ask_all(&nodes, "/cold", 1).await, "0"), "and it is in every L1 by now");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expired_key_is_fetched_once_by_the_fleet() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("max-age=1");
    let nodes = fleet(&server, Consistency::Eventual, &source).await?;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "0"));
    source.says(FRESH);
    source.delay(Duration::from_millis(200));
    sleep(Duration::from_millis(1100)).await;
    let got = ask_all(&nodes, "/a", 50).await;
    assert!(all_are(&got, "1"), "{got:?}");
    assert_eq!(source.fetches(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_key_is_refreshed_once_by_the_fleet() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("max-age=1, stale-while-revalidate=600");
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "0"));
    source.says(FRESH);
    source.delay(Duration::from_millis(200));
    sleep(Duration::from_millis(1100)).await;
    assert!(all_are(&ask_all(&nodes, "/a", 20).await, "0"), "nobody waits for it");
    for node in &nodes {
        eventually("the refreshed one is everywhere", async || node.get("/a").await.body == "1").await;
    }
    assert_eq!(source.fetches(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn response_that_is_not_shared_keeps_nobody_waiting() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("no-store");
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    source.delay(Duration::from_millis(400));
    let began = Instant::now();
    let got = ask_all(&nodes, "/mine", 4).await;
    assert!(began.elapsed() < Duration::from_millis(1150), "one waits for another once at most: {:?}", began.elapsed());
    let mut bodies: Vec<_> = got.iter().map(|got| got.body.clone()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 12, "each has its own");
    // A node that has never asked for it knows as well.
    let late = Node::start(&server.url(), Consistency::Bus, &source).await?;
    let waited_for = || late.tenant.counters.values().leases_waited_for;
    let began = Instant::now();
    ask_all(std::slice::from_ref(&late), "/mine", 4).await;
    assert!(began.elapsed() < Duration::from_millis(1000) && waited_for() == 0, "{:?}", began.elapsed());
    // And when it is storable after all, that is noticed too.
    source.says(FRESH);
    let first = late.get("/mine").await.body;
    eventually("the fleet waits for it again", async || {
        !server
            .connection()
            .unwrap()
            .exists::<_, bool>(format!("sandbar:{{shop}}:l:{:?}", key("/mine").hash()))
            .unwrap()
    })
    .await;
    assert_eq!(nodes[0].get("/mine").await.body, first);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_dies_while_it_fetches_costs_no_more_than_its_lease() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    let Attempt::Mine(lease) =
        nodes[0].cache.fleet().unwrap().leases().try_acquire(&key("/a"), Duration::from_millis(800)).await
    else {
        panic!("nobody has it")
    };
    let began = Instant::now();
    let got = ask_all(&nodes[1..], "/a", 20).await;
    assert!(all_are(&got, "0"), "{got:?}");
    assert!((700..2000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert_eq!(source.fetches(), 1);
    drop(lease);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_fetch_keeps_its_lease() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    source.delay(Duration::from_millis(2500));
    let got = ask_all(&nodes, "/slow", 5).await;
    assert!(all_are(&got, "0"), "{got:?}");
    assert_eq!(source.fetches(), 1, "three leases long");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fill_that_lost_its_lease_does_not_replace_a_newer_one() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    let gate = source.hold_next();
    let late = tokio::spawn({
        let node = nodes[0].clone();
        async move { node.get("/a").await }
    });
    eventually("it has asked", async || source.fetches() == 1).await;
    // As if it had slept through its lease.
    server.connection()?.del::<_, ()>(format!("sandbar:{{shop}}:l:{:?}", key("/a").hash()))?;
    assert_eq!(nodes[1].get("/a").await.body, "1");
    // Its client had the answer before L2 has.
    eventually("the newer one is stored", async || {
        server.connection().unwrap().exists::<_, bool>(format!("sandbar:{{shop}}:f:{:?}", key("/a").hash())).unwrap()
    })
    .await;
    gate.open();
    assert_eq!(late.await?.body, "0", "its own client gets what it has waited for");
    eventually("it steps aside", async || nodes[0].tenant.counters.values().fills_fenced == 1).await;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "1"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_on_one_node_is_heard_by_all_within_moments() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    for (round, scope) in [
        Scope::Target { site: "http://h".into(), target: "/a".into() },
        Scope::SurrogateKey("all".into()),
        Scope::Prefix { site: None, prefix: "/".into() },
        Scope::Everything,
    ]
    .into_iter()
    .enumerate()
    {
        assert!(all_are(&ask_all(&nodes, "/a", 1).await, &round.to_string()));
        let report = nodes[0].purge_scope(scope).await;
        assert_eq!((report.recorded, report.pending, report.failed), (1, 0, 0), "{report:?}");
        let began = Instant::now();
        let old = round.to_string();
        for node in &nodes {
            eventually("the purge has come", async || node.get("/a").await.body != old).await;
        }
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    assert_eq!(source.fetches(), 5, "one fetch after each");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn write_on_one_node_is_heard_by_all() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&nodes, "/a", 1).await, "0"));
    let written = nodes[0].send(Method::PUT, "/a").await;
    assert!(!written.cache_status.contains("purge-pending"), "{written:?}");
    for node in &nodes {
        eventually("the write has come", async || node.get("/a").await.body == "2").await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fill_begun_before_another_nodes_purge_is_never_seen_after_it() -> anyhow::Result<()> {
    for consistency in [Consistency::Eventual, Consistency::Bus] {
        let server = RedisServer::start()?;
        let source = Source::new(FRESH);
        let nodes = fleet(&server, consistency, &source).await?;
        for scope in [
            Scope::Target { site: "http://h".into(), target: "/a".into() },
            Scope::SurrogateKey("all".into()),
            Scope::Everything,
        ] {
            let first = source.fetches();
            let gate = source.hold_next();
            let early = tokio::spawn({
                let node = nodes[0].clone();
                async move { node.get("/a").await }
            });
            eventually("it has asked", async || source.fetches() == first + 1).await;
            assert_eq!(nodes[1].purge_scope(scope.clone()).await.recorded, 1);
            gate.open();
            assert_eq!(early.await?.body, first.to_string(), "it began before");
            eventually("it is refused", async || nodes[0].tenant.counters.values().fills_purged > 0).await;
            let got = ask_all(&nodes, "/a", 3).await;
            assert!(all_are(&got, &(first + 1).to_string()), "{consistency} {scope:?}: {got:?}");
            nodes[2].purge_scope(Scope::Everything).await;
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_after_a_purge_does_not_join_a_fetch_from_before() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let node = Node::start(&server.url(), Consistency::Bus, &source).await?;
    for scope in [Scope::Target { site: "http://h".into(), target: "/a".into() }, Scope::SurrogateKey("all".into())] {
        let first = source.fetches();
        let gate = source.hold_next();
        let early = tokio::spawn({
            let node = node.clone();
            async move { node.get("/a").await }
        });
        eventually("it has asked", async || source.fetches() == first + 1).await;
        node.purge_scope(scope.clone()).await;
        let late = tokio::spawn({
            let node = node.clone();
            async move { ask_all(&[node], "/a", 10).await }
        });
        sleep(Duration::from_millis(50)).await;
        gate.open();
        assert_eq!(early.await?.body, first.to_string());
        let late = late.await?;
        assert!(all_are(&late, &(first + 1).to_string()), "{scope:?}: {late:?}");
        assert_eq!(source.fetches(), first + 2, "those after it share one");
        node.purge_scope(Scope::Everything).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_fetch_whose_answer_has_been_purged() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let nodes = fleet(&server, Consistency::Bus, &source).await?;
    let gate = source.hold_next();
    let early = tokio::spawn({
        let node = nodes[0].clone();
        async move { node.get("/a").await }
    });
    eventually("it has asked", async || source.fetches() == 1).await;
    nodes[1].purge("/a").await;
    let began = Instant::now();
    assert_eq!(nodes[1].get("/a").await.body, "1");
    assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
    gate.open();
    assert_eq!(early.await?.body, "0");
    assert!(all_are(&ask_all(&nodes, "/a", 2).await, "1"));
    Ok(())
}

/// A node behind a network that fails, and one that is well.
async fn far_and_near(
    server: &RedisServer,
    consistency: Consistency,
    source: &Arc<Source>,
) -> anyhow::Result<(FaultProxy, Node, Node)> {
    let proxy = FaultProxy::start(server.addr()).await?;
    let near = Node::start(&server.url(), consistency, source).await?;
    let url = format!("redis://{}/", proxy.addr());
    let far = Node::start(&url, consistency, source).await?;
    Ok((proxy, far, near))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaf_node_bounds_the_age_of_what_it_serves() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let (proxy, far, near) = far_and_near(&server, Consistency::Bus, &source).await?;
    assert!(all_are(&ask_all(&[far.clone(), near.clone()], "/a", 1).await, "0"));
    proxy.set(Fault::HalfOpen);
    assert_eq!(near.purge("/a").await.recorded, 1);
    let began = Instant::now();
    eventually("it lets go of it", async || far.get("/a").await.body != "0").await;
    assert!(began.elapsed() < SILENCE * 2, "{:?}", began.elapsed());
    // Deaf, it serves what it has fetched for a while: not one fetch per request, nor one for ever.
    let before = source.fetches();
    let began = Instant::now();
    while began.elapsed() < SILENCE * 3 {
        assert_eq!(far.get("/a").await.status, 200);
        sleep(Duration::from_millis(10)).await;
    }
    assert!((1..10).contains(&(source.fetches() - before)), "{}", source.fetches() - before);
    assert!(far.tenant.counters.values().l1_not_vouched_for > 0);
    proxy.set(Fault::None);
    eventually("it hears again", async || {
        far.cache.fleet().unwrap().bus().hearing().hears("shop")
            && far.get("/a").await.cache_status.contains("detail=l1")
    })
    .await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deaf_node_goes_on_serving_what_promises_nothing() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let (proxy, far, _near) = far_and_near(&server, Consistency::Eventual, &source).await?;
    assert_eq!(far.get("/a").await.body, "0");
    proxy.set(Fault::Cut);
    sleep(SILENCE * 2).await;
    assert!(far.get("/a").await.cache_status.contains("detail=l1"));
    assert_eq!(source.fetches(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_missed_purges_gives_its_memory_up() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let (proxy, far, near) = far_and_near(&server, Consistency::Eventual, &source).await?;
    assert!(all_are(&ask_all(&[far.clone(), near.clone()], "/a", 1).await, "0"));
    proxy.set(Fault::Cut);
    sleep(Duration::from_millis(100)).await;
    near.purge("/a").await;
    let mut redis = server.connection()?;
    let streams: Vec<String> = redis.keys("sandbar:{bus-*}:stream")?;
    for stream in streams {
        redis.xtrim::<_, ()>(stream, redis::streams::StreamMaxlen::Equals(0))?;
    }
    proxy.set(Fault::None);
    eventually("it has noticed", async || far.get("/a").await.body == "1").await;
    assert!(far.tenant.counters.values().l1_given_up > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_without_redis_is_done_here_answered_as_such_and_delivered_later() -> anyhow::Result<()> {
    let mut server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"])?;
    let source = Source::new(FRESH);
    let class = |name: &str, path: &str, consistency| ClassConfig {
        name: name.into(),
        path: path.into(),
        consistency: Some(consistency),
        ..ClassConfig::default()
    };
    let classes = vec![class("e", "/e/**", Consistency::Eventual), class("b", "/b/**", Consistency::Bus)];
    let config = TenantConfig { classes, ..tenant(Consistency::Eventual) };
    let start = || Node::start_with(fleet_config(&server.url()), config.clone(), &source);
    let (a, b) = (start().await?, start().await?);
    for target in ["/e/1", "/b/1"] {
        ask_all(&[a.clone(), b.clone()], target, 1).await;
    }
    server.kill();
    let eventual = a.purge("/e/1").await;
    assert_eq!((eventual.recorded, eventual.pending, eventual.failed), (0, 1, 0), "{eventual:?}");
    let bus = a.purge("/b/1").await;
    assert_eq!((bus.pending, bus.failed), (1, 1), "{bus:?}");
    assert!(bus.reason.is_some());
    let all = a.purge_scope(Scope::Prefix { site: None, prefix: "/b".into() }).await;
    assert_eq!((all.pending, all.failed), (1, 1), "the strictest class that it may reach decides");
    assert_eq!(a.get("/e/1").await.body, "2", "it is done here");
    assert_eq!(b.get("/e/1").await.body, "0", "there it is not");
    let written = a.send(Method::PUT, "/e/2").await;
    assert!(written.status == 200 && written.cache_status.contains("purge-pending"), "{written:?}");
    assert_eq!(a.cache.purges_pending(), 4);
    server.restart()?;
    eventually("they are delivered", async || a.cache.purges_pending() == 0).await;
    eventually("the other node has heard", async || b.get("/e/1").await.body != "0").await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_that_is_down_slow_or_mad_fails_no_read() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let proxy = FaultProxy::start(server.addr()).await?;
    let source = Source::new("max-age=0");
    let url = format!("redis://{}/", proxy.addr());
    let nodes =
        [Node::start(&url, Consistency::Bus, &source).await?, Node::start(&url, Consistency::Bus, &source).await?];
    let faults = [Fault::Cut, Fault::HalfOpen, Fault::Garbage, Fault::Delay(Duration::from_secs(2))];
    for fault in faults {
        proxy.set(fault);
        for _ in 0..20 {
            let began = Instant::now();
            let got = ask_all(&nodes, "/a", 2).await;
            assert!(got.iter().all(|got| got.status == 200), "{fault:?}: {got:?}");
            assert!(began.elapsed() < Duration::from_millis(700), "{fault:?}: {:?}", began.elapsed());
        }
        proxy.set(Fault::None);
        eventually("it heals", async || {
            nodes.iter().all(|node| node.cache.fleet_report().unwrap().bus.deaf_partitions == 0)
        })
        .await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_that_evicts_any_key_keeps_no_promise() -> anyhow::Result<()> {
    let source = Source::new(FRESH);
    let reckless = RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"])?;
    let node = Node::start_deaf(fleet_config(&reckless.url()), tenant(Consistency::Bus), &source)?;
    eventually("it is known", async || node.cache.fleet_report().unwrap().evicts_any_key.is_some()).await;
    let report = node.purge("/a").await;
    assert_eq!(report.failed, 1);
    assert!(report.reason.unwrap().contains("allkeys-lru"));
    let tolerant = FleetConfig { tolerates_eviction: true, ..fleet_config(&reckless.url()) };
    let node = Node::start_with(tolerant, tenant(Consistency::Eventual), &source).await?;
    assert_eq!(node.purge("/a").await.recorded, 1);
    Ok(())
}

/// Nodes that all must confirm, on a server that is old enough to know all of them.
async fn confirming(server: &RedisServer, url: &str, name: &str, source: &Arc<Source>) -> anyhow::Result<Node> {
    let config = FleetConfig { node: name.into(), ..fleet_config(url) };
    let node = Node::start_with(config, tenant(Consistency::WriteAll), source).await?;
    eventually("the server is old enough", async || node.purge("/warm-up").await.failed == 0).await;
    let _ = server;
    Ok(node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_that_all_confirm_is_known_to_all_when_it_is_acknowledged() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let young = Node::start(&server.url(), Consistency::WriteAll, &source).await?;
    let report = young.purge("/a").await;
    assert!(
        report.failed == 1 && report.reason.as_ref().is_some_and(|reason| reason.contains("just come up")),
        "{report:?}"
    );
    let mut nodes = Vec::new();
    for name in ["a", "b", "c"] {
        nodes.push(confirming(&server, &server.url(), name, &source).await?);
    }
    for round in 0..50 {
        let before = ask_all(&nodes, "/a", 1).await;
        assert!(all_are(&before, &before[0].body), "{before:?}");
        let report = nodes[round % 3].purge("/a").await;
        assert_eq!((report.recorded, report.pending, report.failed), (1, 0, 0), "{report:?}");
        let after = ask_all(&nodes, "/a", 1).await;
        assert!(after.iter().all(|got| got.body != before[0].body), "at once: {before:?} {after:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_can_not_confirm_is_named_and_serves_from_the_origin_alone() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let proxy = FaultProxy::start(server.addr()).await?;
    let source = Source::new(FRESH);
    let near = confirming(&server, &server.url(), "near", &source).await?;
    let far = confirming(&server, &format!("redis://{}/", proxy.addr()), "far", &source).await?;
    assert!(all_are(&ask_all(&[far.clone(), near.clone()], "/a", 1).await, "0"));
    proxy.set(Fault::HalfOpen);
    // What is on its way already may still come through.
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    let report = near.purge("/a").await;
    assert_eq!((report.failed, report.missing.as_slice()), (1, &["far".to_owned()][..]), "{report:?}");
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
    // Until it is given up, nothing is acknowledged; when it is, it has long stopped to serve what it had.
    eventually("it is given up", async || near.cache.purges_pending() == 0).await;
    let fetches = source.fetches();
    for _ in 0..5 {
        let got = far.get("/a").await;
        assert!(got.status == 200 && got.body != "0", "{got:?}");
    }
    assert_eq!(source.fetches(), fetches + 5, "each from the origin");
    assert_eq!(near.purge("/a").await.failed, 0, "the others do without it");
    proxy.set(Fault::None);
    eventually("it takes part again", async || far.get("/a").await.cache_status.contains("detail=l1")).await;
    let served = far.get("/a").await.body;
    assert_eq!(near.purge("/a").await.failed, 0);
    assert_ne!(far.get("/a").await.body, served, "and is waited for");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_that_leaves_is_not_waited_for() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new(FRESH);
    let near = confirming(&server, &server.url(), "near", &source).await?;
    let far = confirming(&server, &server.url(), "far", &source).await?;
    far.cache.drain().await;
    let report = near.purge("/a").await;
    assert_eq!(report.failed, 0, "{report:?}");
    Ok(())
}

/// A tenant whose responses carry their version.
fn versioned() -> TenantConfig {
    let class = ClassConfig {
        name: "all".into(),
        path: "/**".into(),
        consistency: Some(Consistency::Versioned),
        version_field: Some("x-version".into()),
        ..ClassConfig::default()
    };
    TenantConfig { classes: vec![class], ..tenant(Consistency::Eventual) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newer_version_on_one_node_takes_the_older_one_from_the_others() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("max-age=1, stale-while-revalidate=600");
    let start = || Node::start_with(fleet_config(&server.url()), versioned(), &source);
    let (a, b) = (start().await?, start().await?);
    assert!(all_are(&ask_all(&[a.clone(), b.clone()], "/a", 1).await, "0"));
    sleep(Duration::from_millis(1100)).await;
    source.says(FRESH);
    eventually("it is refreshed", async || a.get("/a").await.body == "1").await;
    sleep(Duration::from_millis(100)).await;
    let got = b.get("/a").await;
    assert_eq!(got.body, "1", "without a stale answer first: {got:?}");
    assert_eq!(source.fetches(), 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_version_from_the_origin_is_not_stored_until_a_purge_forgets_the_newer_one() -> anyhow::Result<()> {
    let server = RedisServer::start()?;
    let source = Source::new("max-age=1");
    let start = || Node::start_with(fleet_config(&server.url()), versioned(), &source);
    let (a, b) = (start().await?, start().await?);
    source.version(5);
    assert!(all_are(&ask_all(&[a.clone(), b.clone()], "/a", 1).await, "0"));
    sleep(Duration::from_millis(1100)).await;
    source.says(FRESH);
    source.version(4);
    for (node, body) in [(&a, "1"), (&b, "2")] {
        let got = node.get("/a").await;
        assert!(got.body == body && got.cache_status.contains("older-version"), "{got:?}");
    }
    source.version(5);
    assert_eq!(a.get("/a").await.body, "3");
    assert_eq!(b.get("/a").await.body, "3", "the same version again is stored");
    source.version(4);
    a.purge("/a").await;
    assert_eq!(a.get("/a").await.body, "4");
    eventually("a purge resets it everywhere", async || b.get("/a").await.body == "4").await;
    assert!(a.get("/a").await.cache_status.contains("hit"));
    Ok(())
}
