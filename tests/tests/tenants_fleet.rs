//! Tenants that are made, changed and removed over the admin API of one node of a fleet: every other node has them too, at
//! once, when it comes back, or when it comes late.

use redis::Commands;
use sandbar::clock::{Clock, SystemClock};
use sandbar_tests::client::Answer;
use sandbar_tests::gateway::TestGateway;
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::redis_cluster::RedisCluster;
use sandbar_tests::redis_server::RedisServer;
use sandbar_tests::wait::{eventually, settled};
use serde_json::{Value, json};

const RECORDS: &str = "sandbar:{bus}:tenants:records";
const ORDER: &str = "sandbar:{bus}:tenants:order";
const STATE: &str = "sandbar:{bus}:tenants";
const DAY_MS: u64 = 86_400_000;

fn now_ms() -> u64 {
    SystemClock.now().as_millis()
}

/// An origin that says its name and how often it was asked, for ten minutes.
async fn named(name: &'static str) -> anyhow::Result<Origin> {
    Origin::start(move |seen| Reply::ok(format!("{name} {}", seen.number)).field("cache-control", "max-age=600")).await
}

/// A node with one tenant of its file, `base` at `base.test`, and more. It waits for the others for longer than they need.
fn settings(l2: &str, node: &str, base: &Origin, more: &str) -> String {
    settings_within("30s", l2, node, base, more)
}

/// [`settings`] of a node that waits no longer than this for the others, for tests in which one is missing.
fn settings_within(confirm_deadline: &str, l2: &str, node: &str, base: &Origin, more: &str) -> String {
    format!(
        "[l2]\nkind = \"redis\"\n[l2.redis]\nurl = \"{l2}\"\ndeadline = \"10s\"\n[fleet]\nnode = \"{node}\"\n\
         heartbeat = \"50ms\"\nsilence_max = \"4s\"\nmember_timeout = \"8s\"\nconfirm_deadline = \"{confirm_deadline}\"\n\
         {}{more}",
        tenant("base", "base.test", base)
    )
}

fn tenant(name: &str, host: &str, origin: &Origin) -> String {
    format!("[[tenant]]\nname = \"{name}\"\nhosts = [\"{host}\"]\norigin = \"{}\"\nl1 = \"1MiB\"\n", origin.url())
}

/// Settings of a tenant for the API.
fn made(host: &str, origin: &Origin) -> Value {
    json!({ "hosts": [host], "origin": origin.url(), "l1": "1MiB" })
}

async fn node(server: &RedisServer, name: &str, base: &Origin) -> anyhow::Result<TestGateway> {
    started(&settings(&server.url(), name, base, "")).await
}

/// A node that waits no longer than a second for those that are missing.
async fn hasty(server: &RedisServer, name: &str, base: &Origin) -> anyhow::Result<TestGateway> {
    started(&settings_within("1s", &server.url(), name, base, "")).await
}

async fn started(settings: &str) -> anyhow::Result<TestGateway> {
    let node = TestGateway::start(settings).await?;
    node.hears().await;
    Ok(node)
}

async fn put(node: &TestGateway, name: &str, value: &Value) -> anyhow::Result<Answer> {
    node.admin("PUT", &format!("/tenants/{name}"), "application/json", value.to_string()).await
}

async fn delete(node: &TestGateway, name: &str) -> anyhow::Result<Answer> {
    node.admin("DELETE", &format!("/tenants/{name}"), "", "").await
}

async fn status(node: &TestGateway, host: &str) -> u16 {
    node.client(host).get("/x").await.map_or(0, |answer| answer.status.as_u16())
}

async fn text(node: &TestGateway, host: &str) -> String {
    node.client(host).get("/x").await.map_or_else(|error| error.to_string(), |answer| answer.text())
}

async fn of(node: &TestGateway, path: &str) -> Value {
    let answer = node.admin("GET", path, "", "").await.map(|answer| answer.body).unwrap_or_default();
    serde_json::from_slice(&answer).unwrap_or(Value::Null)
}

fn incarnation(node: &TestGateway, name: &str) -> u32 {
    node.tenant(name).config.incarnation
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_on_one_node_is_there_on_all_and_on_late_ones() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let (a, b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    let answer = put(&a, "shop", &made("shop.test", &shop)).await?;
    assert_eq!(answer.text(), r#"{"created":true,"missing":[],"tenant":"shop"}"#);
    assert_eq!(answer.status, 201);
    // The answer has waited until the other one has it.
    assert_eq!(text(&a, "shop.test").await, "shop 0");
    settled(a.cache()).await;
    assert_eq!(text(&b, "shop.test").await, "shop 0", "they share what is stored");
    let late = node(&server, "late", &base).await?;
    assert_eq!(text(&late, "shop.test").await, "shop 0");
    assert_eq!(incarnation(&a, "shop"), incarnation(&late, "shop"));

    // It is changed on another node than the one that it was made on, and removed on a third.
    let answer = put(&late, "shop", &made("other.test", &shop)).await?;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (200, r#"{"created":false,"missing":[],"tenant":"shop"}"#.into())
    );
    for node in [&a, &b, &late] {
        assert_eq!((status(node, "shop.test").await, status(node, "other.test").await), (421, 200));
    }
    assert_eq!(delete(&b, "shop").await?.status, 200);
    for node in [&a, &b, &late] {
        assert_eq!(status(node, "other.test").await, 421);
        assert_eq!(text(node, "base.test").await, "base 0");
    }
    assert_eq!(delete(&a, "shop").await?.status, 404);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_outranked_on_every_node_and_given_back_on_every_node() -> anyhow::Result<()> {
    let (server, base, mine) = (RedisServer::start()?, named("base").await?, named("mine").await?);
    let (a, mut b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    assert_eq!(text(&a, "base.test").await, "base 0");
    settled(a.cache()).await;
    assert_eq!(put(&a, "base", &made("base.test", &mine)).await?.status, 200);
    for node in [&a, &b] {
        assert_eq!(
            of(node, "/tenants/base/settings").await["origin"]["url"],
            mine.url(),
            "{}",
            of(node, "/tenants/base/settings").await
        );
    }
    b = b.restart().await?;
    assert_eq!(of(&b, "/tenants/base/settings").await["origin"]["url"], mine.url());
    b.hears().await;
    let answer = delete(&b, "base").await?;
    assert!(
        answer.text().contains("\"of_file\":true") && answer.text().contains("\"missing\":[]"),
        "{}",
        answer.text()
    );
    for node in [&a, &b] {
        assert_eq!(of(node, "/tenants/base/settings").await["origin"]["url"], base.url());
    }
    assert_eq!(incarnation(&a, "base"), incarnation(&b, "base"));
    let late = node(&server, "late", &base).await?;
    assert_eq!(incarnation(&a, "base"), incarnation(&late, "base"), "which has never seen the one that was made");
    Ok(())
}

/// Also where the L2 has forgotten the purge that went with the removal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_never_reads_what_was_stored_for_the_one_before() -> anyhow::Result<()> {
    let (server, base) = (RedisServer::start()?, named("base").await?);
    let (first, second) = (named("first").await?, named("second").await?);
    let (a, b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    assert_eq!(put(&a, "shop", &made("shop.test", &first)).await?.status, 201);
    let stock = b.admin("PUT", "/tenants/shop/policies/eviction", "application/json", r#"{"stock":"lru"}"#).await?;
    assert_eq!((stock.status.as_u16(), text(&b, "shop.test").await), (200, "first 0".to_owned()));
    settled(b.cache()).await;
    let before = incarnation(&b, "shop");
    let away = b.shut().await;
    delete(&a, "shop").await?;
    settled(a.cache()).await;
    let mut redis = server.connection()?;
    let _: () = redis.del("sandbar:{shop}:barriers")?;
    let _: () = redis.del("sandbar:{shop}:seq")?;
    put(&a, "shop", &made("shop.test", &second)).await?;
    let b = away.start().await?;
    assert_eq!(text(&b, "shop.test").await, "second 0");
    assert!(incarnation(&b, "shop") > before);
    assert_eq!(incarnation(&b, "shop"), incarnation(&a, "shop"));
    assert_ne!(b.tenant("shop").memory_stats().policy, "lru", "what was bound for the one before is not for this one");

    // Removed while it was away, it is gone when it is back, and so are its files.
    let away = b.shut().await;
    delete(&a, "shop").await?;
    let b = away.start().await?;
    assert_eq!(status(&b, "shop.test").await, 421);
    assert!(!b.data_dir().join("policies/shop").exists() && !b.data_dir().join("tenants/made/shop.json").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_redis_nothing_is_changed_and_that_is_said() -> anyhow::Result<()> {
    let (mut server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let (a, b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    put(&a, "shop", &made("shop.test", &shop)).await?;
    server.kill();
    let refused = put(&a, "news", &made("news.test", &shop)).await?;
    assert!(refused.status == 503 && refused.text().contains("bring its Redis back"), "{}", refused.text());
    let refused = delete(&a, "shop").await?;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!((status(&a, "news.test").await, status(&a, "shop.test").await), (421, 200));

    // A node that starts meanwhile serves what it knew.
    let b = b.restart().await?;
    assert_eq!(status(&b, "shop.test").await, 200);

    // The server comes back without its data: whoever knows the tenants tells it.
    server.restart_empty()?;
    a.hears().await;
    b.hears().await;
    let number = incarnation(&a, "shop");
    let late = node(&server, "late", &base).await?;
    eventually("it is told of the tenant", async || status(&late, "shop.test").await == 200).await;
    assert_eq!((incarnation(&late, "shop"), incarnation(&b, "shop")), (number, number));
    let answer = delete(&late, "shop").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for node in [&a, &b, &late] {
        eventually("it is gone", async || status(node, "shop.test").await == 421).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_at_once_none_is_lost_silently() -> anyhow::Result<()> {
    let (server, base) = (RedisServer::start()?, named("base").await?);
    let (one, other) = (named("one").await?, named("other").await?);
    let (a, b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    let (mut refused, mut rounds) = (0, 0);
    while rounds < 20 || refused == 0 && rounds < 500 {
        rounds += 1;
        let name = format!("t{rounds}");
        let (to_a, to_b) = (made(&format!("{name}.test"), &one), made(&format!("{name}.test"), &other));
        let (by_a, by_b) = tokio::join!(put(&a, &name, &to_a), put(&b, &name, &to_b));
        let (by_a, by_b) = (by_a?, by_b?);
        let statuses = [by_a.status.as_u16(), by_b.status.as_u16()];
        // Either one was refused, or one was made and the other, which had heard of that, changed it.
        assert!(
            statuses.iter().all(|status| [200, 201, 409].contains(status)),
            "{statuses:?}: {} {}",
            by_a.text(),
            by_b.text()
        );
        assert!(statuses.iter().filter(|status| **status == 201).count() <= 1, "{statuses:?}");
        for answer in [&by_a, &by_b] {
            if answer.status == 409 {
                refused += 1;
                assert!(answer.text().contains("read its settings again"), "{}", answer.text());
            }
        }
        let wins = if statuses[0] == 409 || statuses[1] == 200 { &other } else { &one };
        for node in [&a, &b] {
            let path = format!("/tenants/{name}/settings");
            eventually("both have what won", async || of(node, &path).await["origin"]["url"] == wins.url()).await;
        }
        assert_eq!(incarnation(&a, &name), incarnation(&b, &name));
    }
    assert!(refused > 0, "no two of {rounds} pairs met");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_can_ask_for_a_change_of_what_she_has_seen_alone() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let (a, b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    put(&a, "shop", &made("shop.test", &shop)).await?;
    let seen = a.admin("GET", "/tenants/shop/settings", "", "").await?.field("etag").unwrap_or_default().to_owned();
    assert_eq!(put(&b, "shop", &made("other.test", &shop)).await?.status, 200);
    let with = |tag: &str| [("content-type", "application/json".to_owned()), ("if-match", tag.to_owned())];
    let send = async |method: &str, tag: &str, body: String| {
        let fields = with(tag);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        a.operator().send(method, "/tenants/shop", &fields, body).await
    };
    let content = made("third.test", &shop).to_string();
    for (method, body) in [("PUT", content.clone()), ("DELETE", String::new())] {
        let refused = send(method, &seen, body).await?;
        assert!(refused.status == 412 && refused.text().contains("read them again"), "{}", refused.text());
    }
    let seen = b.admin("GET", "/tenants/shop/settings", "", "").await?.field("etag").unwrap_or_default().to_owned();
    let changed = send("PUT", &format!("\"x\", {seen}"), content).await?;
    assert_eq!((changed.status.as_u16(), status(&b, "third.test").await), (200, 200), "{}", changed.text());
    assert_eq!(send("DELETE", "*", String::new()).await?.status, 200);
    assert_eq!(send("DELETE", "*", String::new()).await?.status, 412, "there is none");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_records_are_told_and_harm_nobody() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let a = node(&server, "a", &base).await?;
    put(&a, "shop", &made("shop.test", &shop)).await?;
    put(&a, "news", &made("news.test", &shop)).await?;
    // Before that it would give the register what it knows.
    eventually("it knows the register", async || a.data_dir().join("tenants/register.json").exists()).await;
    let mut redis = server.connection()?;
    let now = now_ms() + 3_600_000;
    let record = |name: &str, host: &str| {
        let settings = json!({ "name": name, "hosts": [host], "origin": shop.url(), "l1": "1MiB" });
        format!("1 {now} {}", json!({ "incarnation": 1, "at": 1, "node": "x", "settings": settings }))
    };
    let records: [(&[u8], Vec<u8>); 8] = [
        (b"shop", b"\xff\x00\xfe".to_vec()),
        (b"news", [format!("1 {now} ").into_bytes(), vec![b'['; 200_000]].concat()),
        (b"large", vec![b' '; 1 << 20]),
        (b"../../escape", record("../../escape", "e.test").into_bytes()),
        (b"\xff\xfe", record("x", "x.test").into_bytes()),
        (b"thief", record("thief", "base.test").into_bytes()),
        (b"huge", record("huge", "huge.test").replace("1MiB", "900GiB").into_bytes()),
        (b"good", record("good", "good.test").into_bytes()),
    ];
    // All at once: between two of them a node would find that the register has lost something.
    let mut all = redis::pipe();
    all.atomic();
    for (order, (name, bytes)) in records.iter().enumerate() {
        all.hset(RECORDS, *name, bytes).zadd(ORDER, *name, now + order as u64);
    }
    all.hset(STATE, "order", now + records.len() as u64);
    all.hset(RECORDS, "beyond", "").zadd(ORDER, "beyond", "inf");
    all.hset(RECORDS, "half", record("half", "half.test")).zadd(ORDER, "half", now as f64 + 7.5);
    all.hset(RECORDS, "far", record("far", "far.test").replace(&now.to_string(), "9007199254740991"));
    all.zadd(ORDER, "far", now + 8).exec(&mut redis)?;
    let late = node(&server, "late", &base).await?;
    for node in [&a, &late] {
        eventually("what is good is applied", async || status(node, "good.test").await == 200).await;
        assert_eq!(text(node, "base.test").await, "base 0");
        eventually("they are told", async || of(node, "/tenants").await["unapplied"].is_array()).await;
        let told = of(node, "/tenants").await;
        let unapplied: Vec<_> = told["unapplied"].as_array().into_iter().flatten().collect();
        assert_eq!(unapplied.len(), 6, "{unapplied:?}");
        let why = |name: &str| unapplied.iter().find(|one| one["tenant"] == name).map(|one| one["reason"].to_string());
        assert!(why("thief").is_some_and(|why| why.contains("named twice")), "{unapplied:?}");
        assert!(why("far").is_some_and(|why| why.contains("none that a register gives out")), "{unapplied:?}");
        assert_eq!(status(node, "half.test").await, 200);
        assert!(why("huge").is_some_and(|why| why.contains("l1.total")), "{unapplied:?}");
        let advice = of(node, "/stats").await["advice"].to_string();
        assert!(advice.contains("6 tenants of the fleet's register can't be applied"), "{advice}");
    }
    // Else it would be waited for until it counts as gone.
    late.shut().await;
    for host in ["shop.test", "news.test"] {
        assert_eq!(status(&a, host).await, 200, "who has it keeps it");
    }
    // What makes no sense can be put right over the API.
    for (name, host) in [("shop", "shop.test"), ("news", "news.test"), ("far", "far.test")] {
        let answer = put(&a, name, &made(host, &shop)).await?;
        assert!(matches!(answer.status.as_u16(), 200 | 201), "{}", answer.text());
    }
    assert_eq!(of(&a, "/tenants").await["unapplied"].as_array().map(Vec::len), Some(3));

    let _: () = redis.del(ORDER)?;
    let _: () = redis.set(ORDER, "of another type")?;
    let refused = put(&a, "more", &made("more.test", &shop)).await?;
    assert_eq!(refused.status, 503, "{}", refused.text());
    for host in ["base.test", "shop.test", "good.test"] {
        assert_eq!(status(&a, host).await, 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_can_not_apply_is_told_and_tried_again() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let a = hasty(&server, "a", &base).await?;
    let b = started(&settings(&server.url(), "b", &base, &tenant("taken", "shop.test", &base))).await?;
    let answer = put(&a, "shop", &made("shop.test", &shop)).await?;
    assert_eq!(
        (answer.status.as_u16(), answer.text()),
        (201, r#"{"created":true,"missing":["b"],"tenant":"shop"}"#.into())
    );
    assert_eq!((text(&a, "shop.test").await, text(&b, "shop.test").await), ("shop 0".into(), "base 0".into()));
    eventually("it is told", async || of(&b, "/tenants").await["unapplied"][0]["tenant"] == "shop").await;
    let metrics = b.admin("GET", "/metrics", "", "").await?.text();
    assert!(
        metrics.lines().any(|line| line.starts_with("sandbar_fleet_tenants_unapplied{") && line.ends_with(" 1.0")),
        "{metrics}"
    );
    b.reload(&settings(&server.url(), "b", &base, "")).await?;
    eventually("the host is free, and it is applied", async || text(&b, "shop.test").await.starts_with("shop")).await;
    eventually("and no more told", async || of(&b, "/tenants").await["unapplied"].is_null()).await;
    Ok(())
}

/// Each takes the other's host, one after the other; who was away sees the end of it alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_were_exchanged_are_exchanged_at_once_where_nobody_saw_the_steps() -> anyhow::Result<()> {
    let (server, base, one, two) =
        (RedisServer::start()?, named("base").await?, named("one").await?, named("two").await?);
    let (a, b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    put(&a, "one", &made("1.test", &one)).await?;
    put(&a, "two", &made("2.test", &two)).await?;
    let away = b.shut().await;
    for (name, host, origin) in [("one", "3.test", &one), ("two", "1.test", &two), ("one", "2.test", &one)] {
        assert_eq!(put(&a, name, &made(host, origin)).await?.status, 200);
    }
    let b = away.start().await?;
    assert_eq!((text(&b, "1.test").await, text(&b, "2.test").await), ("two 0".into(), "one 0".into()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_end_well_where_another_node_removes_their_tenant() -> anyhow::Result<()> {
    let (server, base) = (RedisServer::start()?, named("base").await?);
    let gate = Gate::closed();
    let held = gate.clone();
    let reply = move |_: &_| Reply::ok("two parts of it").field("cache-control", "max-age=60").rest_when(3, &held);
    let shop = Origin::start(reply).await?;
    let (a, b) = (node(&server, "a", &base).await?, node(&server, "b", &base).await?);
    put(&a, "shop", &made("shop.test", &shop)).await?;
    let mut client = b.client("shop.test");
    let waiting = tokio::spawn(async move { client.get("/x").await });
    eventually("the origin is asked", async || shop.requests() == 1).await;
    let old = std::sync::Arc::downgrade(&b.tenant("shop"));
    assert!(delete(&a, "shop").await?.text().contains("\"missing\":[]"));
    assert_eq!(status(&b, "shop.test").await, 421);
    gate.open();
    assert_eq!(waiting.await??.text(), "two parts of it");
    eventually("nothing holds it any more", async || old.upgrade().is_none()).await;
    let metrics = b.admin("GET", "/metrics", "", "").await?.text();
    assert!(!metrics.contains("tenant=\"shop\""), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_register_is_on_a_cluster_as_well() -> anyhow::Result<()> {
    let (cluster, base, shop) = (RedisCluster::start(3).await?, named("base").await?, named("shop").await?);
    let node = async |name: &str| started(&settings(&cluster.url(), name, &base, "")).await;
    let (a, b) = (node("a").await?, node("b").await?);
    let answer = put(&a, "shop", &made("shop.test", &shop)).await?;
    assert_eq!(answer.text(), r#"{"created":true,"missing":[],"tenant":"shop"}"#);
    assert_eq!(status(&b, "shop.test").await, 200);
    let late = node("late").await?;
    assert_eq!(status(&late, "shop.test").await, 200);
    assert!(delete(&late, "shop").await?.text().contains("\"missing\":[]"));
    assert_eq!(status(&a, "shop.test").await, 421);
    Ok(())
}

/// Made before there was a fleet, or by a version that knew none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_one_node_has_made_for_itself_becomes_the_fleets() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let alone = format!("l2.kind = \"none\"\n{}", tenant("base", "base.test", &base));
    let a = TestGateway::start(&alone).await?;
    assert_eq!(put(&a, "shop", &made("shop.test", &shop)).await?.text(), r#"{"created":true,"tenant":"shop"}"#);
    let b = node(&server, "b", &base).await?;
    let a = a.restart_with(&settings(&server.url(), "a", &base, "")).await?;
    assert_eq!(status(&a, "shop.test").await, 200);
    eventually("the other one has it", async || status(&b, "shop.test").await == 200).await;
    assert_eq!(incarnation(&a, "shop"), incarnation(&b, "shop"));
    Ok(())
}

/// Taken out of the file while the gateway does not run: what other nodes can find of it, and what was bound, goes all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_leaves_the_file_while_nothing_runs_leaves_nothing() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let both = settings(&server.url(), "a", &base, &tenant("shop", "shop.test", &shop));
    let a = TestGateway::start(&both).await?;
    let stock = a.admin("PUT", "/tenants/shop/policies/eviction", "application/json", r#"{"stock":"lru"}"#).await?;
    assert_eq!((stock.status.as_u16(), text(&a, "shop.test").await), (200, "shop 0".to_owned()));
    settled(a.cache()).await;
    let a = a.restart_with(&settings(&server.url(), "a", &base, "")).await?;
    assert!(!a.data_dir().join("policies/shop").exists());
    settled(a.cache()).await;
    // A node that has never counted finds nothing of it.
    let other = TestGateway::start(&both).await?;
    assert_eq!(text(&other, "shop.test").await, "shop 1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_register_that_has_lost_one_of_its_keys_costs_nobody_a_tenant() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let a = node(&server, "a", &base).await?;
    put(&a, "young", &made("young.test", &shop)).await?;
    // One that is so old that nobody would know any more that it was removed.
    let old = now_ms() - 40 * DAY_MS;
    let settings = json!({ "name": "old", "hosts": ["old.test"], "origin": shop.url(), "l1": "1MiB" });
    let record = format!("1 {old} {}", json!({ "incarnation": 1, "at": 1, "node": "x", "settings": settings }));
    let mut redis = server.connection()?;
    redis::pipe().atomic().hset(RECORDS, "old", record).zadd(ORDER, "old", old).exec(&mut redis)?;
    let mut b = node(&server, "b", &base).await?;
    for key in ["order of the tenants", "records", "highest order", "state"] {
        let _: () = match key {
            "order of the tenants" => redis.del(ORDER)?,
            "records" => redis.del(RECORDS)?,
            "highest order" => redis.hdel(STATE, "order")?,
            _ => redis.del(STATE)?,
        };
        b = b.restart().await?;
        b.hears().await;
        assert_eq!((status(&b, "old.test").await, status(&b, "young.test").await), (200, 200), "{key}");
        let (ordered, recorded): (u64, u64) = (redis.zcard(ORDER)?, redis.hlen(RECORDS)?);
        assert_eq!((ordered, recorded), (2, 2), "{key}: the register is whole again");
        assert_eq!(status(&a, "young.test").await, 200, "{key}");
    }
    // A record alone is given back as well.
    redis::pipe().atomic().hdel(RECORDS, "young").zrem(ORDER, "young").exec(&mut redis)?;
    b = b.restart().await?;
    eventually("it is there again", async || redis.hlen::<_, u64>(RECORDS).is_ok_and(|len| len == 2)).await;
    assert_eq!(status(&b, "young.test").await, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_can_not_be_served_any_more_keeps_no_node_from_starting() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let (a, b) = (hasty(&server, "a", &base).await?, node(&server, "b", &base).await?);
    put(&a, "shop", &made("shop.test", &shop)).await?;
    eventually("the other one has it", async || status(&b, "shop.test").await == 200).await;
    let seen = b.admin("GET", "/tenants/shop/settings", "", "").await?.field("etag").unwrap_or_default().to_owned();
    let more = tenant("taken", "shop.test", &base);
    let b = b.restart_with(&settings(&server.url(), "b", &base, &more)).await?;
    b.hears().await;
    assert_eq!(text(&b, "shop.test").await, "base 0", "the file's");
    eventually("it is told", async || of(&b, "/tenants").await["unapplied"][0]["tenant"] == "shop").await;
    b.reload(&settings(&server.url(), "b", &base, "")).await?;
    eventually("it is back", async || text(&b, "shop.test").await.starts_with("shop")).await;
    eventually("and no more told", async || of(&b, "/tenants").await["unapplied"].is_null()).await;

    // Of settings that it could not apply nobody has seen the tag here.
    b.reload(&settings(&server.url(), "b", &base, &tenant("taken", "other.test", &base))).await?;
    assert_eq!(put(&a, "shop", &made("other.test", &shop)).await?.status, 200);
    eventually("it is told", async || of(&b, "/tenants").await["unapplied"][0]["tenant"] == "shop").await;
    let fields = [("content-type", "application/json"), ("if-match", &*seen)];
    let body = made("third.test", &shop).to_string();
    let refused = b.operator().send("PUT", "/tenants/shop", &fields, body).await?;
    assert_eq!(refused.status, 412, "{}", refused.text());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_node_can_not_write_is_served_and_written_later() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let (a, b) = (hasty(&server, "a", &base).await?, node(&server, "b", &base).await?);
    let blocked = [&a, &b].map(|node| node.data_dir().join("tenants/made"));
    for made in &blocked {
        std::fs::create_dir_all(made.parent().unwrap_or(made))?;
        std::fs::write(made, "no directory")?;
    }
    let answer = put(&a, "shop", &made("shop.test", &shop)).await?;
    assert_eq!(answer.text(), r#"{"created":true,"missing":["b"],"tenant":"shop"}"#);
    let of_a = settings_within("1s", &server.url(), "a", &base, "");
    for (node, settings) in [(&a, of_a), (&b, settings(&server.url(), "b", &base, ""))] {
        node.reload(&settings).await?;
        assert_eq!(status(node, "shop.test").await, 200, "a reload does not undo it");
        let told = of(node, "/tenants").await["unapplied"][0]["reason"].to_string();
        assert!(told.contains("not kept yet"), "{told}");
    }
    for made in &blocked {
        std::fs::remove_file(made)?;
    }
    for node in [&a, &b] {
        eventually("it is written", async || of(node, "/tenants").await["unapplied"].is_null()).await;
        assert!(node.data_dir().join("tenants/made/shop.json").exists());
    }
    Ok(())
}

/// Made by a node for itself, of a name that the fleet had once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn joining_costs_a_node_no_tenant_whose_name_the_fleet_has_removed() -> anyhow::Result<()> {
    let (server, base, shop) = (RedisServer::start()?, named("base").await?, named("shop").await?);
    let b = node(&server, "b", &base).await?;
    put(&b, "shop", &made("shop.test", &base)).await?;
    assert_eq!(delete(&b, "shop").await?.status, 200);
    let a = TestGateway::start(&format!("l2.kind = \"none\"\n{}", tenant("base", "base.test", &base))).await?;
    put(&a, "shop", &made("shop.test", &shop)).await?;
    let a = a.restart_with(&settings(&server.url(), "a", &base, "")).await?;
    assert_eq!(status(&a, "shop.test").await, 200);
    eventually("the other one has it", async || status(&b, "shop.test").await == 200).await;
    Ok(())
}
