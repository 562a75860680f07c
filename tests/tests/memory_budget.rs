//! What the node's memory bound does to traffic: nothing fails, and what finds no room is not kept.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;
use http::{Request, Response};

use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use sandbar::CacheService;
use sandbar::body::{self, Body, BoxError};
use sandbar::cache::{Cache, CacheLimits, CacheParts, Roster};
use sandbar::clock::{ManualClock, Timestamp};
use sandbar::memory_budget::keeper::{Keeper, Kept};
use sandbar::memory_budget::machine::Reading;
use sandbar::memory_budget::pressure::PressureConfig;
use sandbar::memory_budget::{MemoryBudget, MemoryBudgetStats, Use};
use sandbar::origin::loader::Loader;
use sandbar::policy::{Binding, Engine, EngineConfig, Role, TenantPolicies};
use sandbar::setting::Size;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::wait::eventually;
use tower::Service;

const MIB: usize = 1 << 20;

struct Scene {
    budget: Arc<MemoryBudget>,
    clock: Arc<ManualClock>,
    /// Bytes of chunked content that were asked of the origin.
    made: Arc<AtomicUsize>,
    service: CacheService,
}

impl Scene {
    /// An origin that answers `/announced/n` and `/chunked/n` with n bytes.
    fn new(total_bytes: usize, l1: ByteSize) -> Self {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let origin = Loader::new("test", move |request: Request<Body>| {
            let made = Arc::clone(&counted);
            async move {
                let mut parts = request.uri().path().split('/').skip(1);
                let (kind, bytes) = (parts.next().unwrap(), parts.next().unwrap().parse::<usize>().unwrap());
                let content = match kind {
                    "announced" => body::full(vec![b'x'; bytes]),
                    _ => body::boxed(StreamBody::new(futures_util::stream::iter((0..bytes / 65_536).map(move |_| {
                        made.fetch_add(65_536, Ordering::Relaxed);
                        Ok::<_, BoxError>(Frame::data(Bytes::from(vec![b'x'; 65_536])))
                    })))),
                };
                Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(content)?)
            }
        });
        let config = TenantConfig { l1: Size::of(l1.as_u64()), ..TenantConfig::default() };
        let policies = TenantPolicies::native(&config.name);
        let tenant = Tenant::new(&config, policies, Arc::new(origin), Arc::clone(&clock) as _).unwrap();
        let (tenants, limits, time) =
            (Roster::new([Arc::clone(&tenant)]).unwrap(), CacheLimits::default(), Arc::clone(&clock) as _);
        let budget = MemoryBudget::new(total_bytes as u64);
        let parts = CacheParts { tenants, l2: None, barriers: None, clock: time, limits };
        let cache = Cache::within(parts, Arc::clone(&budget));
        Self { budget, clock, made, service: CacheService::new(cache, tenant) }
    }

    async fn open(&self, target: &str) -> Response<Body> {
        let request = Request::get(format!("http://h{target}")).body(body::empty()).unwrap();
        self.service.clone().call(request).await.unwrap()
    }

    /// Length of the body, and `Cache-Status`.
    async fn get(&self, target: &str) -> (usize, String) {
        let (head, content) = self.open(target).await.into_parts();
        let bytes = content.collect().await.unwrap().to_bytes().len();
        settle().await;
        (bytes, head.headers["cache-status"].to_str().unwrap().to_owned())
    }

    fn used(&self, what: Use) -> usize {
        self.stats().uses[what as usize].bytes as usize
    }

    fn stats(&self) -> MemoryBudgetStats {
        self.budget.stats()
    }
}

async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_finds_no_room_is_passed_through_and_not_stored() {
    // L1 could hold such a body, the budget can't.
    let scene = Scene::new(4 * MIB, ByteSize::mib(32));
    for (target, detail) in [("/announced/8388608", "no-room"), ("/chunked/8388608", "")] {
        let (bytes, status) = scene.get(target).await;
        assert_eq!(bytes, 8 * MIB, "all of it");
        assert_eq!(status.contains("detail=no-room"), !detail.is_empty(), "{status}");
        assert!(!scene.get(target).await.1.contains("hit"), "it was stored");
        assert_eq!((scene.used(Use::Fills), scene.used(Use::Windows)), (0, 0));
    }
    assert_eq!(scene.service.cache().tenants().all()[0].counters.values().no_room, 4);
    assert!(scene.stats().uses[Use::Fills as usize].refused >= 4);
    // What fits is stored as ever.
    scene.get("/announced/100000").await;
    assert!(scene.get("/announced/100000").await.1.contains("hit"));
}

#[tokio::test]
async fn a_body_whose_pieces_find_no_room_to_become_one_is_counted_and_not_stored() {
    let (scene, bytes) = (Scene::new(4 * MIB, ByteSize::mib(32)), 40 * 65_536);
    assert_eq!(scene.get(&format!("/chunked/{bytes}")).await.0, bytes, "all of it");
    let counted = scene.service.cache().tenants().all()[0].counters.values();
    assert_eq!((counted.stored, counted.no_room, counted.reasons["no-room"]), (0, 1, 1));
}

#[tokio::test]
async fn an_entry_that_l1_let_go_counts_until_its_last_client_has_it() {
    let scene = Scene::new(64 * MIB, ByteSize::mib(2));
    scene.get("/announced/1000000").await;
    assert!(scene.used(Use::Entries) >= 1_000_000);
    let (slow, slower) = (scene.open("/announced/1000000").await, scene.open("/announced/1000000").await);
    assert!(scene.used(Use::Entries) < 1_100_000, "shared, not twice");
    // As a server does: the frame is taken, the body is done, and the bytes wait for the socket.
    let frame = slow.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
    scene.service.cache().tenants().all()[0].clear_memory();
    assert!(scene.used(Use::Entries) >= 1_000_000, "it is still being sent");
    drop(slower);
    assert!(scene.used(Use::Entries) >= 1_000_000);
    drop(frame);
    assert_eq!(scene.used(Use::Entries), 0);
}

#[tokio::test]
async fn a_body_counts_from_its_announcement_to_its_last_reader() {
    let scene = Scene::new(64 * MIB, ByteSize::mib(8));
    let waiting = scene.open("/announced/3000000").await;
    settle().await;
    let kept = || scene.used(Use::Fills) + scene.used(Use::Entries);
    assert!((3_000_000..3_100_000).contains(&kept()), "once, as what is stored: {:?}", scene.stats());
    let bytes = waiting.into_body().collect().await.unwrap().to_bytes();
    settle().await;
    assert_eq!((bytes.len(), scene.used(Use::Fills)), (3_000_000, 0));
    drop(bytes);
    assert!(scene.stats().used_bytes < 3_100_000, "once, in L1");
}

#[tokio::test]
async fn an_evicted_entry_makes_room_and_the_bound_holds_under_churn() {
    let scene = Scene::new(16 * MIB, ByteSize::mib(8));
    for n in 0..200 {
        let (bytes, _) = scene.get(&format!("/announced/1000000?{n}")).await;
        assert_eq!(bytes, 1_000_000);
        assert!(scene.stats().used_bytes <= 16 * MIB as u64, "{:?}", scene.stats());
    }
    assert_eq!(scene.service.cache().tenants().all()[0].counters.values().no_room, 0, "evictions make room");
}

#[tokio::test]
async fn guests_count_and_are_not_made_where_there_is_no_room() {
    let binding = || [Binding::stock(Role::Freshness, "early-refresh")];
    let clock = || Arc::new(ManualClock::starting_at(Timestamp::from_millis(0))) as _;
    let config = EngineConfig { instances_max: 8, ..EngineConfig::default() };
    let budget = MemoryBudget::new(64 * MIB as u64);
    let engine = Engine::within(&config, Arc::clone(&budget)).unwrap();
    let policies =
        TenantPolicies::open(Arc::clone(&engine), "t", &binding(), Default::default(), None, clock()).unwrap();
    assert!(budget.stats().uses[Use::Guests as usize].bytes >= 65_536, "{:?}", budget.stats());
    engine.release_idle();
    assert_eq!(budget.stats().used_bytes, 0, "nobody asks it");
    drop(policies);

    let engine = Engine::within(&config, MemoryBudget::new(1000)).unwrap();
    let refused = TenantPolicies::open(engine, "t", &binding(), Default::default(), None, clock());
    let refused = refused.map(drop).unwrap_err().to_string();
    assert!(refused.contains("memory.total"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_runs_short_shrinks_l1_and_gives_it_back() {
    let scene = Scene::new(64 * MIB, ByteSize::mib(8));
    for n in 0..7 {
        scene.get(&format!("/announced/1000000?{n}")).await;
    }
    let used = Arc::new(std::sync::atomic::AtomicU64::new(97));
    let reading = Arc::clone(&used);
    let kept = Kept { cache: scene.service.cache().clone(), engine: None, budget: Arc::clone(&scene.budget) };
    let _keeper = Keeper::start(
        kept,
        PressureConfig::default(),
        Box::new(move || {
            let used_bytes = reading.load(std::sync::atomic::Ordering::SeqCst);
            Some(Reading { used_bytes, limit_bytes: 100, stalled_percent: 0.0 })
        }),
    );
    let steps = async |percent: u64| {
        eventually(&format!("it keeps {percent} %"), async || {
            scene.clock.advance(Duration::from_secs(1));
            scene.stats().l1_kept_percent == percent
        })
        .await;
    };
    steps(25).await;
    let memory = scene.service.cache().tenants().all()[0].memory_stats();
    assert_eq!(memory.capacity_bytes, 2 * MIB as u64);
    assert!(memory.resident_bytes <= memory.capacity_bytes + memory.slack_bytes, "{memory:?}");
    assert_eq!(scene.stats().machine_used_percent, 97);
    assert!(scene.used(Use::Entries) <= 2 * MIB + 100_000, "{:?}", scene.stats());
    used.store(50, Ordering::SeqCst);
    steps(100).await;
    assert_eq!(scene.service.cache().tenants().all()[0].memory_stats().capacity_bytes, 8 * MIB as u64);
}

#[tokio::test]
async fn what_needs_the_origin_and_finds_no_room_is_refused() {
    let scene = Scene::new(4 * MIB, ByteSize::mib(2));
    scene.get("/announced/1000").await;
    let left = 4 * MIB as u64 - scene.stats().used_bytes;
    let others = scene.budget.reserve(Use::Streams, left - 10_000).unwrap();
    let refused = scene.open("/announced/2000").await;
    assert_eq!(refused.status(), 503);
    let status = refused.headers()["cache-status"].to_str().unwrap();
    assert!(status.contains("detail=no-room") && refused.headers()["retry-after"] == "1", "{status}");
    assert_eq!(scene.service.cache().tenants().all()[0].counters.values().no_room, 1);
    assert!(scene.get("/announced/1000").await.1.contains("hit"), "what is in memory needs nothing");
    assert!(scene.stats().uses[Use::Exchanges as usize].refused > 0);
    drop(others);
    assert_eq!(scene.get("/announced/2000").await.0, 2000);
    assert_eq!(scene.used(Use::Exchanges), 0);
}

/// A client that does not read holds up its origin, and one that takes all of it gets all of it, though it keeps each piece.
#[tokio::test]
async fn of_a_response_that_is_not_stored_a_little_is_under_way() {
    let scene = Scene::new(2 * MIB, ByteSize::mib(1));
    let mut content = scene.open("/chunked/67108864").await.into_body();
    let first = content.frame().await.unwrap().unwrap().into_data().unwrap();
    settle().await;
    let made = scene.made.load(Ordering::Relaxed);
    assert!(made <= 3 * MIB, "{made}: what the account has room for, and a piece on its way");
    assert!(scene.stats().used_bytes <= 2 * MIB as u64, "{:?}", scene.stats());
    let all = tokio::time::timeout(Duration::from_secs(60), content.collect()).await.unwrap().unwrap();
    assert_eq!(first.len() + all.to_bytes().len(), 67_108_864);
    drop(first);
    settle().await;
    assert_eq!(scene.used(Use::Windows) + scene.used(Use::Exchanges), 0);
}
