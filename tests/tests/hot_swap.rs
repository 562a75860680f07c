//! Policies swapped while the traffic runs: nobody notices, and what they decide really changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sandbar::http::entry::StoredResponse;
use sandbar::http::key::CacheKey;
use sandbar::policy::freshness::EarlyRefresh;
use sandbar_tests::client::Client;
use sandbar_tests::gateway::{TENANT, TestGateway, one_tenant};
use sandbar_tests::guests::{self, LOOP, ZERO};
use sandbar_tests::origin::{Origin, Reply};
use sandbar_tests::wait::eventually;
use tokio::task::JoinSet;

const HOST: &str = "shop.test";

/// The content of a target, of a length that depends on it.
fn content(target: &str) -> Vec<u8> {
    let hash = blake3::hash(target.as_bytes());
    hash.as_bytes().iter().copied().cycle().take(1000 + usize::from(hash.as_bytes()[0]) * 40).collect()
}

async fn origin() -> anyhow::Result<Origin> {
    Origin::start(|request| Reply::ok(content(request.path())).field("cache-control", "max-age=600")).await
}

async fn get(client: &mut Client, target: &str) -> anyhow::Result<bool> {
    let answer = client.get(target).await?;
    anyhow::ensure!(answer.status == 200, "{target}: {}", answer.status);
    anyhow::ensure!(answer.body == content(target), "{target}: wrong bytes");
    Ok(answer.is_hit())
}

/// What L1 holds for a target.
fn stored(gateway: &TestGateway, target: &str) -> StoredResponse {
    let key = CacheKey::new(TENANT, &format!("http://{HOST}"), target);
    let cached = gateway.tenant(TENANT).held(key.hash()).expect("L1 holds it");
    cached.response().expect("it is a response").clone()
}

/// Asks for one of 2,000 targets after the other, the early ones more often, until it is told to stop.
async fn visit(mut client: Client, seed: u64, stop: Arc<AtomicBool>, requests: Arc<AtomicU64>) -> anyhow::Result<()> {
    let mut random = seed;
    while !stop.load(Ordering::Relaxed) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let unit = (random >> 11) as f64 / (1_u64 << 53) as f64;
        get(&mut client, &format!("/{}", (2000.0 * unit.powi(3)) as u64)).await?;
        requests.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Requests between two swaps.
const REQUESTS_BETWEEN: u64 = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_swaps_at_full_load_fail_no_request() -> anyhow::Result<()> {
    let origin = origin().await?;
    // About a quarter of what is asked for fits.
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "l1 = \"4MiB\"\n")).await?;
    let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut visitors = JoinSet::new();
    for seed in 0..16 {
        visitors.spawn(visit(gateway.client(HOST), seed, Arc::clone(&stop), Arc::clone(&requests)));
    }
    let tenant = gateway.tenant(TENANT);
    for swap in 0..10 {
        let before = requests.load(Ordering::Relaxed);
        let enough = async || requests.load(Ordering::Relaxed) >= before + REQUESTS_BETWEEN;
        eventually("the load goes on", enough).await;
        let (stock, entries) = (["lru", "s3-fifo"][swap % 2], tenant.memory_stats().entries);
        let bound = gateway.bind_stock("eviction", stock).await?;
        assert_eq!(bound["name"], stock);
        let stats = tenant.memory_stats();
        assert_eq!(stats.policy, stock);
        assert!(stats.policy_digest.is_some(), "it runs as a guest");
        assert!(stats.entries * 10 >= entries * 9, "{entries} entries before the swap, {} after", stats.entries);
        assert!(stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes, "{stats:?}");
    }
    stop.store(true, Ordering::Relaxed);
    for visited in visitors.join_all().await {
        visited?;
    }
    let requests = requests.load(Ordering::Relaxed);
    let values = gateway.tenant(TENANT).counters.values();
    assert_eq!((values.requests, values.synthesized), (requests, 0));
    assert_eq!(tenant.memory_stats().faults, 0);
    Ok(())
}

/// Reads 40 targets often, lets a crawler read 1,000 others once, and counts how many of the 40 are still there.
async fn survivors_of_a_crawl(gateway: &TestGateway, round: usize) -> anyhow::Result<usize> {
    let mut client = gateway.client(HOST);
    let often = |at: usize| format!("/often/{round}/{at}");
    for _ in 0..6 {
        for at in 0..40 {
            get(&mut client, &often(at)).await?;
        }
    }
    for at in 0..1000 {
        get(&mut client, &format!("/once/{round}/{at}")).await?;
    }
    Ok((0..40).filter(|at| gateway.is_in_l1(HOST, &often(*at))).count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_eviction_policy_decides_as_soon_as_it_is_bound() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "l1 = \"2MiB\"\n")).await?;
    gateway.bind_stock("eviction", "lru").await?;
    let with_lru = survivors_of_a_crawl(&gateway, 0).await?;
    gateway.bind_stock("eviction", "s3-fifo").await?;
    let with_s3_fifo = survivors_of_a_crawl(&gateway, 1).await?;
    gateway.bind_stock("eviction", "lru").await?;
    let with_lru_again = survivors_of_a_crawl(&gateway, 2).await?;
    assert_eq!((with_lru, with_lru_again), (0, 0), "a crawl drives everything out of an LRU");
    assert!(with_s3_fifo >= 36, "S3-FIFO keeps what is read often: {with_s3_fifo} of 40");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_freshness_policy_plans_as_soon_as_it_is_bound() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let mut client = gateway.client(HOST);
    get(&mut client, "/native").await?;
    assert_eq!(
        (stored(&gateway, "/native").plan.early_refresh, stored(&gateway, "/native").policy),
        (EarlyRefresh::Never, None)
    );

    let bound = gateway.bind_stock("freshness", "early-refresh").await?;
    get(&mut client, "/early").await?;
    let early = stored(&gateway, "/early");
    assert_eq!(early.plan.early_refresh, EarlyRefresh::Window { window_ms: 120_000, odds_ppm: 100_000 });
    assert_eq!(early.policy.map(|digest| digest.to_string()).as_deref(), bound["digest"].as_str());
    assert_eq!(stored(&gateway, "/native").policy, None, "old plans stay");

    gateway.bind_stock("freshness", "standard").await?;
    get(&mut client, "/standard").await?;
    assert_eq!(stored(&gateway, "/standard").plan.early_refresh, EarlyRefresh::Never);

    let answer = gateway.admin("DELETE", &format!("/tenants/{TENANT}/policies/freshness"), "", "").await?;
    assert!(answer.status.is_success(), "{}", answer.text());
    get(&mut client, "/native/again").await?;
    assert_eq!(stored(&gateway, "/native/again").policy, None);
    assert_eq!(origin.requests(), 4, "nothing that was stored was lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_component_is_said_and_changes_nothing() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    gateway.bind_stock("eviction", "lru").await?;
    let listed =
        async || anyhow::Ok(gateway.admin("GET", &format!("/tenants/{TENANT}/policies"), "", "").await?.text());
    let before = listed().await?;
    let freshness = sandbar_policies::find("freshness", "standard").expect("a stock policy").component;
    let wrong: [(&str, &str, Vec<u8>); 5] = [
        ("no component", "application/wasm", b"hello".to_vec()),
        ("half a component", "application/wasm", freshness[..freshness.len() / 2].to_vec()),
        ("the role is missing", "application/wasm", freshness.to_vec()),
        ("no such policy", "application/json", br#"{"stock": "nonesuch"}"#.to_vec()),
        ("settings refused", "application/json", br#"{"stock": "lru", "settings": {"nonesuch": 1}}"#.to_vec()),
    ];
    for (what, kind, body) in wrong {
        let answer = gateway.admin("PUT", &format!("/tenants/{TENANT}/policies/eviction"), kind, body).await?;
        assert!(answer.status.is_client_error(), "{what}: {} {}", answer.status, answer.text());
        assert!(answer.text().len() > 30, "{what}: the reason is missing: {}", answer.text());
        assert_eq!(listed().await?, before, "{what}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_bound_over_the_api_survives_a_restart() -> anyhow::Result<()> {
    let origin = origin().await?;
    let settings = one_tenant(&origin.url(), "[tenant.policy.eviction]\nstock = \"lru\"\n");
    let gateway = TestGateway::start(&settings).await?;
    assert_eq!(gateway.tenant(TENANT).memory_stats().policy, "lru");
    gateway.bind_stock("eviction", "s3-fifo").await?;
    let gateway = gateway.restart().await?;
    assert_eq!(gateway.tenant(TENANT).memory_stats().policy, "s3-fifo", "it outranks the file");
    gateway.admin("DELETE", &format!("/tenants/{TENANT}/policies/eviction"), "", "").await?;
    assert_eq!(gateway.tenant(TENANT).memory_stats().policy, "lru", "the file counts again");
    let gateway = gateway.restart().await?;
    assert_eq!(gateway.tenant(TENANT).memory_stats().policy, "lru");
    Ok(())
}

/// Binds a component to a role of the one tenant.
async fn bind(gateway: &TestGateway, role: &str, component: Vec<u8>) -> anyhow::Result<(u16, serde_json::Value)> {
    let path = format!("/tenants/{TENANT}/policies/{role}");
    let answer = gateway.admin("PUT", &path, "application/wasm", component).await?;
    Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
}

/// Reads until the eviction policy that is bound has been asked: before that it is not even made.
async fn keep_busy(gateway: &TestGateway, client: &mut Client) -> anyhow::Result<()> {
    let advances = || gateway.tenant(TENANT).memory_stats().advances;
    let before = advances();
    for number in 0..20_000 {
        if advances() > before {
            return Ok(());
        }
        get(client, &format!("/{}", number % 20)).await?;
    }
    anyhow::bail!("the policy was never asked")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nothing_asks_can_not_be_bound_and_nothing_claims_to_deliver_events() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "")).await?;
    let (status, answer) = bind(&gateway, "warming", guests::warming()).await?;
    assert_eq!(status, 501, "{answer}");
    assert!(
        answer["error"].as_str().is_some_and(|error| error.contains("nothing asks a warming policy yet")),
        "{answer}"
    );
    let path = format!("/tenants/{TENANT}/policies/warming");
    let stock = gateway.admin("PUT", &path, "application/json", r#"{"stock": "popular"}"#).await?;
    assert_eq!(stock.status, 501, "{}", stock.text());
    let refused =
        TestGateway::start(&one_tenant(&origin.url(), "[tenant.policy.warming]\nstock = \"popular\"\n")).await;
    let refused = refused.map(drop).expect_err("a configured one is refused, too").to_string();
    assert!(refused.contains("nothing asks a warming policy yet"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_lies_and_wastes_can_be_replaced_at_any_time() -> anyhow::Result<()> {
    let origin = origin().await?;
    // A fiftieth of a core: the failed tries below would use up the share for minutes, were they charged.
    let settings = format!("[policy]\ncore_share_percent = 2\n{}", one_tenant(&origin.url(), "l1 = \"4MiB\"\n"));
    let gateway = TestGateway::start(&settings).await?;
    let mut client = gateway.client(HOST);
    // All ghosts there can be, and bytes that begin as those of `tide` do; it takes its time, too.
    let hand_over = "(drop (memory.grow (i32.const 40)))
        (i64.store (i32.const 4096) (i64.const 0x3520656469740600))
        (i32.store (i32.const 2048) (i32.const 0)) (i32.store (i32.const 2052) (i32.const 4000))
        (i32.store (i32.const 2056) (i32.const 0)) (i32.store (i32.const 2060) (i32.const 200000))
        (i32.store (i32.const 2064) (i32.const 4097)) (i32.store (i32.const 2068) (i32.const 400000))
        (i32.const 2048)";
    let (status, bound) = bind(&gateway, "eviction", guests::eviction_with(ZERO, ZERO, hand_over, "")).await?;
    assert_eq!(status, 200, "{bound}");
    for at in 0..50 {
        get(&mut client, &format!("/{at}")).await?;
    }
    keep_busy(&gateway, &mut client).await?;
    for _ in 0..30 {
        let (status, answer) = bind(&gateway, "eviction", guests::eviction(LOOP, ZERO)).await?;
        assert_eq!(status, 422, "{answer}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains("ran for more than 50000 us")), "{answer}");
    }
    let bound = gateway.bind_stock("eviction", "tide").await?;
    assert_eq!((&bound["faults"], &bound["over_share"]), (&0.into(), &0.into()), "{bound}");
    assert_eq!(gateway.tenant(TENANT).memory_stats().policy, "tide");
    for at in 0..50 {
        assert!(get(&mut client, &format!("/{at}")).await?, "/{at} is still there");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenant_sees_what_failed_and_who_misled_whom() -> anyhow::Result<()> {
    let origin = origin().await?;
    let gateway = TestGateway::start(&one_tenant(&origin.url(), "l1 = \"4MiB\"\n")).await?;
    let mut client = gateway.client(HOST);
    let (status, _) =
        bind(&gateway, "freshness", guests::freshness_that_says("panicked at src/lib.rs:7:5: no\nprice")).await?;
    assert_eq!(status, 200);
    get(&mut client, "/a").await?;
    let listed = gateway.admin("GET", &format!("/tenants/{TENANT}/policies/freshness"), "", "").await?.text();
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let fault = &listed["last_faults"][0];
    assert_eq!((&fault["kind"], &fault["times"]), (&"trap".into(), &1.into()), "{listed}");
    assert_eq!(fault["said"], r"panicked at src/lib.rs:7:5: no\nprice", "{listed}");
    assert!(fault["place"].is_string() && fault["last"].is_u64(), "{listed}");

    let ghosts =
        "(i32.store (i32.const 2056) (i32.const 4096)) (i32.store (i32.const 2060) (i32.const 4)) (i32.const 2048)";
    let (_, liar) = bind(&gateway, "eviction", guests::eviction_with(ZERO, ZERO, ghosts, "")).await?;
    keep_busy(&gateway, &mut client).await?;
    let credulous = "(if (local.get $ghosts_length) (then unreachable))";
    let (status, bound) = bind(&gateway, "eviction", guests::eviction_with(ZERO, ZERO, ZERO, credulous)).await?;
    assert_eq!((status, &bound["faults"]), (200, &0.into()), "{bound}");
    assert_eq!(bound["disinherited"]["from"], liar["name"], "{bound}");
    assert_eq!(bound["disinherited"]["kind"], "trap", "{bound}");
    Ok(())
}
