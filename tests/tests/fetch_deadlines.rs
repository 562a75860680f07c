//! How long a request waits for its fetch, and what an origin's protection makes of it. Time is stepped: nobody waits for
//! real.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use sandbar::CacheService;
use sandbar::body::{self, Body, BoxError};
use sandbar::cache::{Cache, CacheLimits, CacheParts, Roster};
use sandbar::clock::{Clock, ManualClock, Timestamp};
use sandbar::origin::loader::Loader;
use sandbar::origin::shield::{BreakerConfig, ProtectConfig};
use sandbar::policy::{Binding, Engine, EngineConfig, Role, TenantPolicies};
use sandbar::setting::Count;
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar::tenant::counters::CounterValues;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::Service;

/// What the origin does with a request: at once, or when it is told to.
enum Does {
    Answers(u16),
    Waits(oneshot::Receiver<()>),
    Takes(Duration),
}

#[derive(Default)]
struct Script {
    does: Mutex<VecDeque<Does>>,
    fetches: AtomicUsize,
}

struct Scene {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    service: CacheService,
    cache_control: &'static str,
}

struct Got {
    status: u16,
    cache_status: String,
    retry_after: Option<String>,
}

impl Got {
    fn detail(&self) -> &str {
        self.cache_status.rsplit_once("detail=").map_or("", |(_, detail)| detail)
    }
}

impl Scene {
    fn new(config: TenantConfig, cache_control: &'static str) -> Self {
        let policies = TenantPolicies::native(&config.name);
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
        Self::with(config, cache_control, policies, clock)
    }

    fn with(
        config: TenantConfig,
        cache_control: &'static str,
        policies: TenantPolicies,
        clock: Arc<ManualClock>,
    ) -> Self {
        let script = Arc::new(Script::default());
        let (heard, time) = (Arc::clone(&script), Arc::clone(&clock));
        let origin = Loader::new("test", move |_: Request<Body>| {
            let number = heard.fetches.fetch_add(1, Ordering::SeqCst);
            let does = heard.does.lock().pop_front().unwrap_or(Does::Answers(200));
            let time = Arc::clone(&time);
            async move {
                let status = match does {
                    Does::Answers(status) => status,
                    Does::Waits(told) => {
                        let _ = told.await;
                        200
                    }
                    Does::Takes(duration) => {
                        time.sleep(duration).await;
                        200
                    }
                };
                let response = Response::builder().status(status).header("cache-control", cache_control);
                Ok::<_, BoxError>(response.body(body::full(number.to_string()))?)
            }
        })
        .deadline(Duration::from_secs(86_400));
        let tenant = Tenant::new(&config, policies, Arc::new(origin), Arc::clone(&clock) as _).unwrap();
        let cache = Cache::new(CacheParts {
            tenants: Roster::new([Arc::clone(&tenant)]).unwrap(),
            l2: None,
            barriers: None,
            clock: Arc::clone(&clock) as _,
            limits: CacheLimits::default(),
        });
        Self { script, clock, service: CacheService::new(cache, tenant), cache_control }
    }

    /// The origin will wait for the next request's answer until the sender says so.
    fn will_wait(&self) -> oneshot::Sender<()> {
        let (tell, told) = oneshot::channel();
        self.script.does.lock().push_back(Does::Waits(told));
        tell
    }

    fn will(&self, does: impl IntoIterator<Item = Does>) {
        self.script.does.lock().extend(does);
    }

    fn start(&self, target: &str) -> JoinHandle<Got> {
        let request = Request::get(format!("http://h{target}")).body(body::empty()).unwrap();
        let mut service = self.service.clone();
        tokio::spawn(async move {
            let (head, content) = service.call(request).await.unwrap().into_parts();
            let _ = content.collect().await;
            let field = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let (status, retry_after) = (head.status.as_u16(), field("retry-after"));
            Got { status, cache_status: field("cache-status").unwrap(), retry_after }
        })
    }

    async fn get(&self, target: &str) -> Got {
        let got = self.start(target).await.unwrap();
        settle().await;
        got
    }

    async fn after(&self, duration: Duration) {
        settle().await;
        self.clock.advance(duration);
        settle().await;
    }

    fn fetches(&self) -> usize {
        self.script.fetches.load(Ordering::SeqCst)
    }

    fn counters(&self) -> CounterValues {
        self.service.cache().tenants().all()[0].counters.values()
    }
}

/// Lets the tasks do all they can without time passing.
async fn settle() {
    for _ in 0..256 {
        tokio::task::yield_now().await;
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn past_the_soft_deadline_stale_is_served_and_the_fetch_goes_on_behind() {
    let scene = Scene::new(TenantConfig::default(), "max-age=60, stale-if-error=600");
    scene.get("/a").await;
    scene.after(61 * SECOND).await;
    let tell = scene.will_wait();
    let (first, second) = (scene.start("/a"), scene.start("/a"));
    scene.after(2 * SECOND - Duration::from_millis(1)).await;
    assert!(!first.is_finished(), "a moment more");
    scene.after(Duration::from_millis(1)).await;
    for got in [first.await.unwrap(), second.await.unwrap()] {
        assert_eq!((got.status, got.detail()), (200, "fetch-soft-deadline"), "{}", got.cache_status);
    }
    tell.send(()).unwrap();
    settle().await;
    let got = scene.get("/a").await;
    // The two seconds that the origin took count as age (RFC 9111 section 4.2.3).
    assert!(got.cache_status.contains(";hit;ttl=58"), "{}", got.cache_status);
    assert_eq!((scene.fetches(), scene.counters().stale_soft_deadline), (2, 2));
}

#[tokio::test]
async fn without_a_stale_response_that_may_be_served_the_hard_deadline_ends_it() {
    for (cache_control, age) in [("max-age=60", 61), ("max-age=60, stale-if-error=600, must-revalidate", 61)] {
        let scene = Scene::new(TenantConfig::default(), cache_control);
        scene.get("/a").await;
        scene.after(age * SECOND).await;
        let _never = scene.will_wait();
        let asking = scene.start("/a");
        scene.after(59 * SECOND).await;
        assert!(!asking.is_finished(), "{}", scene.cache_control);
        scene.after(SECOND).await;
        let got = asking.await.unwrap();
        assert_eq!(got.status, 504, "{}", got.cache_status);
        assert!(["fetch-hard-deadline", "origin-timeout"].contains(&got.detail()), "{}", got.cache_status);
        assert_eq!((scene.fetches(), scene.counters().origin_errors), (2, 1));
    }
}

#[tokio::test]
async fn waiters_that_waited_in_vain_have_one_new_leader() {
    let scene = Scene::new(TenantConfig::default(), "max-age=60");
    let _hangs = scene.will_wait();
    let leader = scene.start("/a");
    settle().await;
    let waiters: Vec<_> = (0..100).map(|_| scene.start("/a")).collect();
    settle().await;
    assert_eq!(scene.fetches(), 1);
    let tell = scene.will_wait();
    scene.after(10 * SECOND).await;
    assert_eq!(scene.fetches(), 2, "one of a hundred");
    tell.send(()).unwrap();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap().status, 200);
    }
    assert!(!leader.is_finished(), "it waits for its own");
    assert!(scene.get("/a").await.cache_status.contains("hit"));
    let counters = scene.counters();
    assert_eq!((counters.waiters_overdue, counters.collapsed), (100, 99));
    scene.after(50 * SECOND).await;
    // Its own fetch never ends, and what the new leader has fetched is there.
    assert_eq!(leader.await.unwrap().status, 200);
    assert_eq!(scene.fetches(), 2);
}

#[tokio::test]
async fn an_open_breaker_is_an_error_for_stale_if_error_and_503_else() {
    let breaker = BreakerConfig { requests_min: Count::of(4), ..BreakerConfig::default() };
    let protect = ProtectConfig { breaker, ..ProtectConfig::default() };
    let scene = Scene::new(TenantConfig { protect, ..TenantConfig::default() }, "max-age=60, stale-if-error=600");
    scene.get("/a").await;
    scene.after(61 * SECOND).await;
    scene.will((0..4).map(|_| Does::Answers(503)));
    for n in 0..4 {
        assert_eq!(scene.get(&format!("/{n}")).await.status, 503);
    }
    let fetches = scene.fetches();
    let stale = scene.get("/a").await;
    assert_eq!((stale.status, stale.detail()), (200, "stale-if-error"), "{}", stale.cache_status);
    let refused = scene.get("/new").await;
    assert_eq!((refused.status, refused.detail(), refused.retry_after.as_deref()), (503, "origin-open", Some("1")));
    assert_eq!(scene.fetches(), fetches, "it is left alone");
    let counters = scene.counters();
    assert_eq!(counters.origin_requests, fetches as u64, "what is refused is not sent");
    scene.after(SECOND).await;
    assert_eq!(scene.get("/new").await.status, 200);
}

#[tokio::test]
async fn a_refresh_that_is_dropped_harms_nobody_who_came_to_wait_for_it() {
    let protect = ProtectConfig { requests_max: Count::of(1), ..ProtectConfig::default() };
    let config = TenantConfig { protect, ..TenantConfig::default() };
    let scene = Scene::new(config, "max-age=60, stale-while-revalidate=10");
    scene.get("/a").await;
    scene.after(61 * SECOND).await;
    let tell = scene.will_wait();
    let busy = scene.start("/busy");
    settle().await;
    let stale = scene.get("/a").await;
    assert!(stale.cache_status.contains("hit"), "{}", stale.cache_status);
    assert_eq!(scene.service.cache().tenants().all()[0].origin.stats().refused["origin-background"], 1);
    tell.send(()).unwrap();
    assert_eq!(busy.await.unwrap().status, 200);
    // The next hit refreshes.
    scene.get("/a").await;
    assert!(scene.get("/a").await.cache_status.contains(";hit;ttl=60"));
    assert_eq!(scene.fetches(), 3);
}

#[tokio::test]
async fn lifetimes_are_spread_within_what_the_origin_allows() {
    let config = TenantConfig { lifetime_jitter_percent: Count::of(50), ..TenantConfig::default() };
    let scene = Scene::new(config, "max-age=1000");
    let mut ttls = BTreeSet::new();
    for n in 0..50 {
        let ttl = |got: Got| got.cache_status.split_once("ttl=").unwrap().1.split(';').next().unwrap().to_owned();
        let stored: u64 = ttl(scene.get(&format!("/{n}")).await).parse().unwrap();
        assert!((500..=1000).contains(&stored), "{stored}");
        // A plan that is made anew comes to the same.
        scene.service.cache().tenants().all()[0].replan();
        assert_eq!(ttl(scene.get(&format!("/{n}")).await), stored.to_string());
        ttls.insert(stored);
    }
    assert!(ttls.len() > 30, "{ttls:?}");
    assert_eq!(scene.fetches(), 50);
}

/// A cache whose freshness policy is the stock one for early refreshes.
fn early(settings: serde_json::Value, cache_control: &'static str) -> Scene {
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
    let config = TenantConfig::default();
    let engine = Engine::new(&EngineConfig { instances_max: 8, ..EngineConfig::default() }).unwrap();
    let binding = Binding::stock(Role::Freshness, "early-refresh").with_settings(settings);
    let time = Arc::clone(&clock) as Arc<dyn Clock>;
    let policies = TenantPolicies::open(engine, &config.name, &[binding], BTreeSet::new(), None, time).unwrap();
    Scene::with(config, cache_control, policies, clock)
}

#[tokio::test]
async fn a_hot_key_is_refreshed_once_before_it_expires_and_nobody_waits() {
    for settings in [serde_json::json!({"method": "xfetch", "beta": 2.0}), serde_json::json!({"odds_percent": 20})] {
        fastrand::seed(7);
        let scene = early(settings.clone(), "max-age=60");
        // The first fetch takes 200 ms: that is what XFetch reckons with.
        scene.will([Does::Takes(SECOND / 5)]);
        let first = scene.start("/hot");
        scene.after(SECOND / 5).await;
        first.await.unwrap();
        scene.will((0..10).map(|_| Does::Takes(SECOND / 5)));
        // A hundred requests a second, for six lifetimes: time moves only when all have been answered.
        for tick in 0..36_000 {
            let got = tokio::time::timeout(10 * SECOND, scene.start("/hot")).await.expect("nobody waits").unwrap();
            assert!(got.cache_status.contains("hit"), "tick {tick}, {settings}: {}", got.cache_status);
            tokio::task::yield_now().await;
            scene.clock.advance(Duration::from_millis(10));
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
        let fetches = scene.fetches();
        assert!((7..=9).contains(&fetches), "{fetches} fetches in six lifetimes, {settings}");
    }
}

#[tokio::test]
async fn refreshes_are_as_frequent_as_the_plan_says() {
    // In the window each hit refreshes with odds of 1 in 20: the number of hits until the first does is geometric with
    // mean 20. Over 400 lifetimes the mean of that is within 3 of it (three standard errors of 19.5 / sqrt(400)).
    fastrand::seed(42);
    let scene = early(serde_json::json!({"window_percent": 50, "odds_percent": 5}), "max-age=60");
    let mut hits_in_window = 0_u64;
    for _ in 0..400 {
        // A new entry, half way through its life.
        scene.get("/a").await;
        let before = scene.fetches();
        scene.clock.advance(30 * SECOND);
        while scene.fetches() == before {
            assert!(scene.start("/a").await.unwrap().cache_status.contains("hit"));
            settle().await;
            hits_in_window += 1;
        }
    }
    let mean = hits_in_window as f64 / 400.0;
    assert!((17.0..=23.0).contains(&mean), "{mean}");
    let refreshes = scene.counters().origin_refreshes;
    assert_eq!(refreshes, 400, "one each, although hits went on");
}
