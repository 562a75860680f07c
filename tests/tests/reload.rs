//! Settings that change while the gateway runs: of the file, and of tenants that are made over the admin API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sandbar_gateway::Reloaded;
use sandbar_tests::gateway::TestGateway;
use sandbar_tests::origin::{Gate, Origin, Reply};
use sandbar_tests::wait::{eventually, settled};
use serde_json::json;

/// An origin that says its name, for a minute.
async fn named(name: &'static str) -> anyhow::Result<Origin> {
    Origin::start(move |seen| Reply::ok(format!("{name} {}", seen.uri)).field("cache-control", "max-age=60")).await
}

fn tenant(name: &str, host: &str, origin: &Origin, more: &str) -> String {
    format!("[[tenant]]\nname = \"{name}\"\nhosts = [\"{host}\"]\norigin = \"{}\"\n{more}\n", origin.url())
}

fn in_memory(tenants: &[String]) -> String {
    format!("l2.kind = \"none\"\n{}", tenants.concat())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn text(served: &TestGateway, host: &str, target: &str) -> anyhow::Result<String> {
    Ok(served.client(host).get(target).await?.text())
}

async fn is_hit(served: &TestGateway, host: &str, target: &str) -> anyhow::Result<bool> {
    Ok(served.client(host).get(target).await?.is_hit())
}

#[tokio::test]
async fn tenants_come_change_and_go_with_the_file() -> anyhow::Result<()> {
    let (shop, news) = (named("shop").await?, named("news").await?);
    let served = TestGateway::start(&in_memory(&[tenant("shop", "a.test", &shop, "")])).await?;
    assert_eq!(text(&served, "a.test", "/x").await?, "shop /x");
    assert_eq!(served.client("b.test").get("/x").await?.status, 421);

    let both = in_memory(&[tenant("shop", "a.test", &shop, "l1 = \"128MiB\""), tenant("news", "b.test", &news, "")]);
    let reloaded = served.reload(&both).await?;
    assert_eq!((reloaded.added, reloaded.removed), (names(&["news"]), vec![]));
    assert_eq!(reloaded.tenants.into_iter().collect::<Vec<_>>(), [("shop".to_owned(), names(&["l1"]))]);
    assert_eq!(text(&served, "b.test", "/x").await?, "news /x");
    assert!(is_hit(&served, "a.test", "/x").await?, "it keeps what it has");
    assert_eq!(served.tenant("shop").memory_stats().capacity_bytes, 128 << 20);
    assert!(served.reload(&both).await?.is_nothing());

    // A host goes from one tenant to the other in one step.
    let moved = [tenant("shop", "b.test", &shop, "l1 = \"128MiB\""), tenant("news", "a.test", &news, "")];
    served.reload(&in_memory(&moved)).await?;
    assert_eq!(text(&served, "a.test", "/x").await?, "news /x");
    assert_eq!(text(&served, "b.test", "/x").await?, "shop /x");

    let reloaded = served.reload(&in_memory(&moved[1..])).await?;
    assert_eq!((reloaded.added, reloaded.removed), (vec![], names(&["shop"])));
    assert_eq!(served.client("b.test").get("/x").await?.status, 421);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_wrong_anywhere_changes_nothing() -> anyhow::Result<()> {
    let shop = named("shop").await?;
    let served = TestGateway::start(&in_memory(&[tenant("shop", "a.test", &shop, "")])).await?;
    let good = tenant("shop", "c.test", &shop, "");
    for (wrong, says) in [
        ("[[tenant]]".to_owned(), "origin"),
        ("not toml".to_owned(), "not toml"),
        (tenant("news", "c.test", &shop, ""), "named twice"),
        (tenant("news", "n.test", &shop, "l1 = \"1GiB\""), "l1.total"),
        (tenant("news", "n.test", &shop, "policy.eviction = { stock = \"nobodys\" }"), "there is no stock"),
        (
            tenant("news", "n.test", &shop, "policy.freshness = { file = \"/nowhere.wasm\" }"),
            "can't read the component",
        ),
        // What needs a restart is checked too.
        ("[l2.redis]\nurl = \"nowhere\"".to_owned(), "not the URL of a Redis"),
    ] {
        let settings = format!("{}\n{wrong}", in_memory(std::slice::from_ref(&good)));
        let error = served.reload(&settings).await.expect_err(&wrong).to_string();
        assert!(error.contains(says), "{wrong}: {error}");
        assert_eq!(served.client("c.test").get("/x").await?.status, 421, "{wrong}");
        assert_eq!(text(&served, "a.test", "/x").await?, "shop /x");
    }
    Ok(())
}

#[tokio::test]
async fn settings_of_the_gateway_hold_at_once_or_say_that_they_need_a_restart() -> anyhow::Result<()> {
    let shop = named("shop").await?;
    let tenants = tenant("shop", "*", &shop, "");
    let served = TestGateway::start(&format!("l2.kind = \"none\"\n{tenants}")).await?;
    let large = "x".repeat(20_000);
    let asked = async || served.client("a.test").send("GET", "/", &[("x-large", &large)], "").await;
    assert_eq!(asked().await?.status, 200);
    let limits = "[limits]\nhead_max = \"8KiB\"\nconnections_max = 2\n[admin]\ntoken = \"secret\"\n[policy]\ninstances_max = 7\n";
    let reloaded = served.reload(&format!("l2.kind = \"none\"\n{limits}{tenants}")).await?;
    assert_eq!(reloaded.changed, names(&["admin.token", "limits.connections_max", "limits.head_max"]));
    assert_eq!(reloaded.needs_restart, names(&["policy.instances_max"]));
    assert!(!format!("{reloaded}").contains("secret"));
    assert_eq!(asked().await?.status, 431);
    assert_eq!(served.admin("GET", "/stats", "", "").await?.status, 401);
    // It is still so when nothing else has changed.
    let reloaded = served.reload(&format!("l2.kind = \"none\"\n{limits}{tenants}")).await?;
    assert_eq!(reloaded, {
        let mut same = Reloaded::default();
        same.needs_restart = names(&["policy.instances_max"]);
        same
    });
    Ok(())
}

#[tokio::test]
async fn requests_under_way_end_as_they_began() -> anyhow::Result<()> {
    let gate = Gate::closed();
    let held = gate.clone();
    let origin =
        Origin::start(move |_| Reply::ok("two parts of it").field("cache-control", "max-age=60").rest_when(3, &held));
    let (origin, other) = (origin.await?, named("other").await?);
    let served = TestGateway::start(&in_memory(&[tenant("shop", "a.test", &origin, "")])).await?;
    let mut client = served.client("a.test");
    let waiting = tokio::spawn(async move { client.get("/x").await });
    eventually("the origin is asked", async || origin.requests() == 1).await;
    served.reload(&in_memory(&[tenant("news", "a.test", &other, "")])).await?;
    assert_eq!(text(&served, "a.test", "/x").await?, "other /x", "another tenant's answer, whatever is on its way");
    gate.open();
    assert_eq!(waiting.await??.text(), "two parts of it");
    settled(served.cache()).await;
    assert_eq!(text(&served, "a.test", "/x").await?, "other /x");
    Ok(())
}

#[tokio::test]
async fn a_fetch_from_an_origin_of_before_keeps_nobody_waiting_and_is_not_stored() -> anyhow::Result<()> {
    let gate = Gate::closed();
    let held = gate.clone();
    let reply = move |_: &_| Reply::ok("of before").field("cache-control", "max-age=60").when(&held);
    let (origin, other) = (Origin::start(reply).await?, named("other").await?);
    let served = TestGateway::start(&in_memory(&[tenant("shop", "a.test", &origin, "")])).await?;
    let mut client = served.client("a.test");
    let waiting = tokio::spawn(async move { client.get("/x").await });
    eventually("the origin is asked", async || origin.requests() == 1).await;
    served.reload(&in_memory(&[tenant("shop", "a.test", &other, "")])).await?;
    assert_eq!(text(&served, "a.test", "/x").await?, "other /x");
    gate.open();
    assert_eq!(waiting.await??.text(), "of before");
    settled(served.cache()).await;
    let answer = served.client("a.test").get("/x").await?;
    assert!(answer.is_hit() && answer.text() == "other /x", "{answer:?}");
    Ok(())
}

/// Under other key rules the same key could stand for what another URL has got.
#[tokio::test]
async fn changed_key_rules_find_nothing_of_what_was_stored_before() -> anyhow::Result<()> {
    let origin = named("shop").await?;
    let settings = |more: &str| format!("[l2]\nkind = \"disk\"\n{}", tenant("shop", "a.test", &origin, more));
    let (plain, without) = (settings(""), settings("key.ignore_params = [\"utm\"]"));
    let mut served = TestGateway::start(&plain).await?;
    for round in 0..2 {
        assert_eq!(text(&served, "a.test", "/x?utm=1").await?, "shop /x?utm=1");
        settled(served.cache()).await;
        served.reload(&without).await?;
        let answer = served.client("a.test").get("/x").await?;
        assert!(!answer.is_hit() && answer.text() == "shop /x", "round {round}: {answer:?}");
        assert!(is_hit(&served, "a.test", "/x?utm=2").await?);
        settled(served.cache()).await;
        // And back: what the rules of then had stored was purged, as purges of meanwhile would not have reached it.
        served.reload(&plain).await?;
        settled(served.cache()).await;
        assert!(!is_hit(&served, "a.test", "/x?utm=1").await?, "round {round}");
    }
    // The rules are changed while it does not run.
    assert!(is_hit(&served, "a.test", "/x?utm=1").await?);
    settled(served.cache()).await;
    served = served.restart_with(&without).await?;
    served = served.restart_with(&plain).await?;
    settled(served.cache()).await;
    assert!(!is_hit(&served, "a.test", "/x?utm=1").await?);
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_comes_back_finds_nothing_of_the_one_before() -> anyhow::Result<()> {
    let (shop, other) = (named("shop").await?, named("other").await?);
    let settings = |tenants: &[String]| format!("[l2]\nkind = \"disk\"\n{}", tenants.concat());
    let (with, without) = (
        settings(&[tenant("shop", "a.test", &shop, ""), tenant("news", "b.test", &other, "")]),
        settings(&[tenant("news", "b.test", &other, "")]),
    );
    let mut served = TestGateway::start(&with).await?;
    assert_eq!(text(&served, "a.test", "/x").await?, "shop /x");
    settled(served.cache()).await;
    served = served.restart().await?;
    assert!(is_hit(&served, "a.test", "/x").await?, "a restart alone changes nothing");
    served.reload(&without).await?;
    served.reload(&with).await?;
    assert!(!is_hit(&served, "a.test", "/x").await?);
    settled(served.cache()).await;
    served = served.restart().await?;
    assert!(is_hit(&served, "a.test", "/x").await?, "the same making of it");
    served = served.restart_with(&without).await?;
    served = served.restart_with(&with).await?;
    assert!(!is_hit(&served, "a.test", "/x").await?, "gone at one start, back at the next");
    Ok(())
}

#[tokio::test]
async fn tenants_are_made_changed_and_removed_over_the_api() -> anyhow::Result<()> {
    let (shop, mine) = (named("shop").await?, named("mine").await?);
    let settings = format!("[l2]\nkind = \"disk\"\n{}", tenant("shop", "a.test", &shop, ""));
    let mut served = TestGateway::start(&settings).await?;
    let put = async |served: &TestGateway, name: &str, value: serde_json::Value| {
        served.admin("PUT", &format!("/tenants/{name}"), "application/json", value.to_string()).await
    };
    let delete =
        async |served: &TestGateway, name: &str| served.admin("DELETE", &format!("/tenants/{name}"), "", "").await;

    let new = put(&served, "mine", json!({ "hosts": ["m.test"], "origin": mine.url() })).await?;
    assert_eq!((new.status.as_u16(), new.text()), (201, r#"{"created":true,"tenant":"mine"}"#.to_owned()));
    assert_eq!(text(&served, "m.test", "/x").await?, "mine /x");
    let changed = put(&served, "mine", json!({ "hosts": ["m.test"], "origin": mine.url(), "l1": "8MiB" })).await?;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert!(is_hit(&served, "m.test", "/x").await?);
    let told = served.admin("GET", "/tenants/mine/settings", "", "").await?;
    assert!(told.text().contains("\"l1\":\"8MiB\""), "{}", told.text());

    for (name, value, status, says) in [
        ("mine", json!([]), 400, "no JSON object"),
        ("other", json!({ "hosts": ["a.test"], "origin": mine.url() }), 422, "named twice"),
        ("other", json!({ "hosts": ["o.test"] }), 422, "no origin"),
        ("other", json!({ "hosts": [], "origin": mine.url() }), 422, "for no host"),
        ("other", json!({ "name": "third", "hosts": ["o.test"], "origin": mine.url() }), 422, "the path names"),
        ("other", json!({ "hosts": ["o.test"], "origin": mine.url(), "colour": 1 }), 422, "colour"),
        ("other", json!({ "hosts": ["o.test"], "origin": mine.url(), "l1": "1TiB" }), 422, "l1.total"),
        ("Other", json!({ "hosts": ["o.test"], "origin": mine.url() }), 422, "can't be part of a key"),
    ] {
        let refused = put(&served, name, value).await?;
        assert!(refused.status == status && refused.text().contains(says), "{}: {}", refused.status, refused.text());
        assert_eq!(served.client("o.test").get("/x").await?.status, 421);
    }

    // It is there after a restart, outranks the file's, and gives that back.
    let over = put(&served, "shop", json!({ "hosts": ["a.test"], "origin": mine.url() })).await?;
    assert_eq!(over.status, 200, "{}", over.text());
    assert_eq!(served.reload(&settings).await?.outranked, names(&["shop"]));
    assert_eq!(text(&served, "a.test", "/over").await?, "mine /over");
    served = served.restart().await?;
    assert_eq!(text(&served, "a.test", "/again").await?, "mine /again");
    assert!(is_hit(&served, "m.test", "/x").await?, "its L2 is its own");
    assert!(delete(&served, "shop").await?.text().contains("\"of_file\":true"));
    assert_eq!(text(&served, "a.test", "/back").await?, "shop /back");
    let refused = delete(&served, "shop").await?;
    assert!(refused.status == 409 && refused.text().contains("take it out there"), "{}", refused.text());
    assert_eq!(delete(&served, "nobody").await?.status, 404);

    // Removed and made again, it finds nothing of what was stored and bound.
    let stock =
        served.admin("PUT", "/tenants/mine/policies/eviction", "application/json", r#"{"stock":"lru"}"#).await?;
    assert_eq!(stock.status, 200, "{}", stock.text());
    assert_eq!(served.tenant("mine").memory_stats().policy, "lru");
    assert_eq!(delete(&served, "mine").await?.status, 200);
    assert_eq!(served.client("m.test").get("/x").await?.status, 421);
    put(&served, "mine", json!({ "hosts": ["m.test"], "origin": mine.url() })).await?;
    assert!(!is_hit(&served, "m.test", "/x").await?);
    assert_ne!(served.tenant("mine").memory_stats().policy, "lru");
    served = served.restart().await?;
    assert!(delete(&served, "mine").await?.status.is_success());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_a_thousand_reloads() -> anyhow::Result<()> {
    let shop = named("shop").await?;
    let good = |l1: usize| in_memory(&[tenant("shop", "a.test", &shop, &format!("l1 = \"{l1}MiB\""))]);
    let served = TestGateway::start(&good(8)).await?;
    let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let visitors: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answers, mut client) = (Arc::clone(&stop), Arc::clone(&answers), served.client("a.test"));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let page = format!("/{}", answers.fetch_add(1, Ordering::SeqCst) % 50);
                    let answer = client.get(&page).await?;
                    anyhow::ensure!(answer.status == 200 && answer.text() == format!("shop {page}"), "{answer:?}");
                }
                Ok(())
            })
        })
        .collect();
    for round in 0..334 {
        let l1 = 8 + round % 2;
        served.reload(&good(l1)).await?;
        served.reload("no toml").await.expect_err("bad");
        let half =
            format!("{}\n{}", in_memory(&[tenant("shop", "z.test", &shop, "")]), tenant("b", "z.test", &shop, ""));
        served.reload(&half).await.expect_err("half good");
        let capacity = served.tenant("shop").memory_stats().capacity_bytes;
        assert_eq!((served.cache().tenants().all().len(), capacity), (1, (l1 as u64) << 20));
    }
    stop.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.await??;
    }
    assert!(answers.load(Ordering::SeqCst) > 100);
    Ok(())
}

#[tokio::test]
async fn a_policy_bound_over_the_api_outlives_a_reload_and_a_configured_one_follows_its_file() -> anyhow::Result<()> {
    let shop = named("shop").await?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("mine.wasm");
    let component = |name: &str| sandbar_policies::find("eviction", name).expect("a stock policy").component;
    std::fs::write(&file, component("lru"))?;
    let settings = |policy: &str| in_memory(&[tenant("shop", "a.test", &shop, policy)]);
    let from_file = settings(&format!("policy.eviction = {{ file = {file:?} }}"));
    let served = TestGateway::start(&from_file).await?;
    let digest = || served.tenant("shop").memory_stats().policy_digest;
    let first = digest();
    assert_eq!(text(&served, "a.test", "/x").await?, "shop /x");
    assert!(served.reload(&from_file).await?.is_nothing());
    std::fs::write(&file, component("s3-fifo"))?;
    served.reload(&from_file).await?;
    assert!(digest() != first && digest().is_some(), "the file holds another component");
    assert!(is_hit(&served, "a.test", "/x").await?, "which has taken over the entries");

    let two_queues = r#"{"stock":"2q"}"#;
    let bound = served.admin("PUT", "/tenants/shop/policies/eviction", "application/json", two_queues).await?;
    assert_eq!(bound.status, 200, "{}", bound.text());
    served.reload(&settings("policy.eviction = { stock = \"gdsf\" }")).await?;
    assert_eq!(served.tenant("shop").memory_stats().policy, "2q");
    assert_eq!(served.admin("DELETE", "/tenants/shop/policies/eviction", "", "").await?.status, 200);
    assert_eq!(served.tenant("shop").memory_stats().policy, "gdsf");
    Ok(())
}

/// Lets each reader of a named pipe have the next of these texts, the last one again and again. Readers are of this process, one
/// after the other.
#[cfg(target_os = "linux")]
fn told_in_turn(pipe: &std::path::Path, texts: &'static [&'static str]) {
    use std::io::Write;

    let pipe = pipe.to_owned();
    // How often this process has it open; who waits for the other end has not yet.
    let open = |pipe: &std::path::Path| {
        let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).filter(|to| to == pipe).count()
    };
    std::thread::spawn(move || {
        for number in 0.. {
            // Waits for a reader.
            let Ok(mut writer) = std::fs::OpenOptions::new().write(true).open(&pipe) else { return };
            while open(&pipe) < 2 {
                std::thread::yield_now();
            }
            writer.write_all(texts[number.min(texts.len() - 1)].as_bytes()).expect("a reader is there");
            drop(writer);
            while open(&pipe) > 0 {
                std::thread::yield_now();
            }
        }
    });
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_that_was_checked_is_the_one_that_holds() -> anyhow::Result<()> {
    let shop = named("shop").await?;
    let dir = tempfile::tempdir()?;
    let pipe = dir.path().join("token");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU)?;
    let settings = |admin: &str| format!("{admin}\n{}", in_memory(&[tenant("shop", "a.test", &shop, "")]));
    let served = TestGateway::start(&settings("admin.token = \"before\"")).await?;
    // All of the file is checked, then what applies of it: whoever reads the file once more gets another token.
    told_in_turn(&pipe, &["checked", "checked", "unchecked"]);
    served.reload(&settings(&format!("admin.token_file = {pipe:?}"))).await?;
    for (token, status) in [("before", 401), ("unchecked", 401), ("checked", 200)] {
        let bearer = format!("Bearer {token}");
        assert_eq!(
            served.operator().get_with("/tenants", &[("authorization", &bearer)]).await?.status,
            status,
            "{token}"
        );
    }
    Ok(())
}
