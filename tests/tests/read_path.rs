//! The read path over any service: what is asked of the origin, and what the client is told. Time is stepped.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::body::{self, Body};
use sandbar::cache::{Cache, CacheLimits, CacheParts, Roster};
use sandbar::clock::{Clock, ManualClock, Timestamp};
use sandbar::origin::loader::Loader;
use sandbar::policy::{Binding, Engine, EngineConfig, Role, TenantPolicies};
use sandbar::setting::{Count, Size};
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar::{CacheService, Sandbar};
use sandbar_tests::scope::{prefix, target};
use tokio::sync::{Mutex, Notify};
use tower::{Layer, Service, service_fn};

type Fields = &'static [(&'static str, &'static str)];

/// What the origin says next.
#[derive(Clone)]
struct Says {
    status: u16,
    fields: Fields,
    body: &'static str,
    after: Option<Arc<Notify>>,
}

fn says(status: u16, fields: Fields, body: &'static str) -> Says {
    Says { status, fields, body, after: None }
}

/// What the origin was asked.
#[derive(Clone, Debug)]
struct Heard {
    target: String,
    fields: HeaderMap,
}

#[derive(Default)]
struct Script {
    says: Mutex<VecDeque<Says>>,
    heard: Mutex<Vec<Heard>>,
}

struct Scene {
    script: Arc<Script>,
    clock: Arc<ManualClock>,
    service: CacheService,
}

struct Got {
    status: u16,
    fields: HeaderMap,
    body: String,
}

impl Got {
    fn cache_status(&self) -> &str {
        self.fields["cache-status"].to_str().unwrap()
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn origin(script: Arc<Script>, request: Request<Body>) -> Result<Response<Body>, std::io::Error> {
    let (head, content) = request.into_parts();
    let _ = content.collect().await;
    let target = head.uri.path_and_query().unwrap().to_string();
    script.heard.lock().await.push(Heard { target, fields: head.headers });
    let Some(says) = script.says.lock().await.pop_front() else {
        return Err(std::io::Error::other("the origin has no more to say"));
    };
    if let Some(after) = says.after {
        after.notified().await;
    }
    let mut response = Response::new(body::full(says.body));
    *response.status_mut() = StatusCode::from_u16(says.status).unwrap();
    for (name, value) in says.fields {
        response.headers_mut().append(*name, HeaderValue::from_static(value));
    }
    Ok(response)
}

impl Scene {
    fn new(says: impl IntoIterator<Item = Says>) -> Self {
        Self::with(TenantConfig::default(), says)
    }

    fn with(mut config: TenantConfig, says: impl IntoIterator<Item = Says>) -> Self {
        // A retry would wait for a clock that nobody moves on.
        config.protect.retry.times_max = Count::of(0);
        let script = Arc::new(Script { says: Mutex::new(says.into_iter().collect()), ..Script::default() });
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
        let heard = Arc::clone(&script);
        let sandbar = Sandbar::builder().native_only().tenant(config).clock(Arc::clone(&clock) as _).build().unwrap();
        let service = sandbar.layer().layer(service_fn(move |request| origin(Arc::clone(&heard), request)));
        Self { script, clock, service }
    }

    /// With this stock freshness policy as a guest.
    fn with_guest(policy: &'static str, says: impl IntoIterator<Item = Says>) -> Self {
        let scene = Self::new(says);
        let (config, clock) = (TenantConfig::default(), Arc::clone(&scene.clock) as Arc<dyn Clock>);
        let engine = Engine::new(&EngineConfig { instances_max: 8, ..EngineConfig::default() }).unwrap();
        let binding = Binding::stock(Role::Freshness, policy);
        let policies =
            TenantPolicies::open(engine, &config.name, &[binding], BTreeSet::new(), None, Arc::clone(&clock)).unwrap();
        let heard = Arc::clone(&scene.script);
        let asked = Loader::new("script", move |request: Request<Body>| origin(Arc::clone(&heard), request));
        let tenant = Tenant::new(&config, policies, Arc::new(asked), Arc::clone(&clock)).unwrap();
        let (tenants, limits) = (Roster::new([Arc::clone(&tenant)]).unwrap(), CacheLimits::default());
        let cache = Cache::new(CacheParts { tenants, l2: None, barriers: None, clock, limits });
        Self { service: CacheService::new(cache, tenant), ..scene }
    }

    async fn ask(&self, method: Method, target: &str, fields: Fields) -> Got {
        let mut request = Request::new(body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://h{target}").parse().unwrap();
        for (name, value) in fields {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        let response: Result<_, Infallible> = self.service.clone().call(request).await;
        let (head, content) = response.unwrap().into_parts();
        let body = content
            .collect()
            .await
            .map(|body| body.to_bytes().to_vec())
            .unwrap_or_else(|error| format!("broken: {error}").into_bytes());
        self.settle().await;
        Got { status: head.status.as_u16(), fields: head.headers, body: String::from_utf8(body).unwrap() }
    }

    async fn get(&self, target: &str, fields: Fields) -> Got {
        self.ask(Method::GET, target, fields).await
    }

    /// Lets the tasks behind an answer finish.
    async fn settle(&self) {
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
    }

    fn after(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn heard(&self) -> Vec<Heard> {
        self.script.heard.lock().await.clone()
    }

    async fn fetches(&self) -> usize {
        self.heard().await.len()
    }
}

const FRESH: Fields = &[("cache-control", "max-age=60"), ("etag", "\"1\"")];

#[tokio::test]
async fn a_miss_is_stored_and_then_hit_with_its_age() {
    let scene = Scene::new([says(200, FRESH, "hello")]);
    let first = scene.get("/a", &[]).await;
    assert_eq!((first.status, &*first.body), (200, "hello"));
    assert_eq!(first.cache_status(), "sandbar;fwd=uri-miss;stored;ttl=60");
    scene.after(10);
    let second = scene.get("/a", &[]).await;
    assert_eq!((second.status, &*second.body, second.field("age")), (200, "hello", "10"));
    assert_eq!(second.cache_status(), "sandbar;hit;ttl=50;detail=l1");
    assert_eq!(scene.fetches().await, 1);
}

#[tokio::test]
async fn a_stale_response_is_validated_and_freshened() {
    let scene = Scene::new([
        says(200, FRESH, "hello"),
        says(304, &[("cache-control", "max-age=90"), ("etag", "\"1\""), ("x-new", "1")], ""),
    ]);
    scene.get("/a", &[]).await;
    scene.after(61);
    let validated = scene.get("/a", &[]).await;
    assert_eq!((validated.status, &*validated.body, validated.field("x-new")), (200, "hello", "1"));
    assert_eq!(validated.cache_status(), "sandbar;fwd=stale;fwd-status=304;stored;ttl=90");
    assert_eq!(scene.heard().await[1].fields["if-none-match"], "\"1\"");
    scene.after(80);
    assert!(scene.get("/a", &[]).await.cache_status().contains("hit"));
    assert_eq!(scene.fetches().await, 2);
}

#[tokio::test]
async fn stale_while_revalidate_serves_and_refreshes_behind() {
    let fields: Fields = &[("cache-control", "max-age=10, stale-while-revalidate=20")];
    let scene = Scene::new([says(200, fields, "one"), says(200, fields, "two"), says(200, fields, "three")]);
    scene.get("/a", &[]).await;
    scene.after(15);
    let stale = scene.get("/a", &[]).await;
    assert_eq!((&*stale.body, stale.cache_status()), ("one", "sandbar;hit;ttl=-5;detail=l1"));
    assert_eq!(scene.get("/a", &[]).await.body, "two");
    scene.after(31);
    assert_eq!(scene.get("/a", &[]).await.body, "three", "past the window it is not served stale");
}

#[tokio::test]
async fn an_origin_that_fails_is_covered_only_where_stale_if_error_allows_it() {
    let allowed: Fields = &[("cache-control", "max-age=10, stale-if-error=60")];
    let scene = Scene::new([says(200, allowed, "good"), says(503, &[], "bad")]);
    scene.get("/a", &[]).await;
    scene.after(11);
    let covered = scene.get("/a", &[]).await;
    assert_eq!((covered.status, &*covered.body), (200, "good"));
    assert!(covered.cache_status().contains("stale-if-error"), "{}", covered.cache_status());
    let down = scene.get("/a", &[]).await;
    assert_eq!(down.status, 200, "no response at all is an error too");

    let plain = Scene::new([says(200, &[("cache-control", "max-age=10")], "good"), says(503, &[], "bad")]);
    plain.get("/a", &[]).await;
    plain.after(11);
    assert_eq!(plain.get("/a", &[]).await.status, 503);
    let down = plain.get("/a", &[]).await;
    assert_eq!((down.status, &*down.body), (502, "origin-broken\n"));
}

#[tokio::test]
async fn a_hundred_first_requests_are_one_fetch() {
    let go = Arc::new(Notify::new());
    let scene = Arc::new(Scene::new([Says { after: Some(Arc::clone(&go)), ..says(200, FRESH, "once") }]));
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.get("/a", &[]).await })
        })
        .collect();
    scene.settle().await;
    go.notify_one();
    let mut collapsed = 0;
    for asked in asking {
        let got = asked.await.unwrap();
        assert_eq!(got.body, "once");
        collapsed += usize::from(got.cache_status().contains("collapsed"));
    }
    assert_eq!((scene.fetches().await, collapsed), (1, 99));
    let counters = scene.service.cache().tenants().all()[0].counters.values();
    assert_eq!((counters.requests, counters.fetched, counters.collapsed), (100, 1, 99));
}

#[tokio::test]
async fn what_may_not_be_stored_is_not_shared_and_does_not_serialise_its_waiters() {
    let go = Arc::new(Notify::new());
    let private: Fields = &[("cache-control", "private")];
    let mut script = vec![Says { after: Some(Arc::clone(&go)), ..says(200, private, "mine") }];
    script.extend((0..9).map(|_| says(200, private, "yours")));
    let scene = Arc::new(Scene::new(script));
    let asking: Vec<_> = (0..10)
        .map(|_| {
            let scene = Arc::clone(&scene);
            tokio::spawn(async move { scene.get("/a", &[]).await })
        })
        .collect();
    scene.settle().await;
    assert_eq!(scene.fetches().await, 1);
    go.notify_one();
    let mut mine = 0;
    for asked in asking {
        let got = asked.await.unwrap();
        assert!(got.cache_status().contains("detail=private"), "{}", got.cache_status());
        mine += usize::from(got.body == "mine");
    }
    assert_eq!((scene.fetches().await, mine), (10, 1));
}

#[tokio::test]
async fn variants_are_kept_side_by_side() {
    let fields: Fields = &[("cache-control", "max-age=60"), ("vary", "accept-language")];
    let scene = Scene::new([says(200, fields, "english"), says(200, fields, "deutsch")]);
    let ask = |language: Fields| scene.get("/a", language);
    assert_eq!(ask(&[("accept-language", "en")]).await.body, "english");
    let other = ask(&[("accept-language", "de")]).await;
    assert_eq!((&*other.body, other.cache_status()), ("deutsch", "sandbar;fwd=vary-miss;stored;ttl=60"));
    assert_eq!(ask(&[("accept-language", "en")]).await.body, "english");
    assert_eq!(ask(&[("accept-language", "de")]).await.body, "deutsch");
    assert_eq!(scene.fetches().await, 2);
}

#[tokio::test]
async fn waiters_of_another_variant_make_their_own_fetch() {
    let go = Arc::new(Notify::new());
    let fields: Fields = &[("cache-control", "max-age=60"), ("vary", "accept-language")];
    let first = Says { after: Some(Arc::clone(&go)), ..says(200, fields, "english") };
    let scene = Arc::new(Scene::new([first, says(200, fields, "deutsch")]));
    let ask = |language: Fields| {
        let scene = Arc::clone(&scene);
        tokio::spawn(async move { scene.get("/a", language).await.body })
    };
    let english = ask(&[("accept-language", "en")]);
    scene.settle().await;
    let waiters = [ask(&[("accept-language", "de")]), ask(&[("accept-language", "de")])];
    scene.settle().await;
    go.notify_one();
    assert_eq!(english.await.unwrap(), "english");
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), "deutsch");
    }
    assert_eq!(scene.fetches().await, 2);
}

#[tokio::test]
async fn an_unsafe_request_invalidates_its_target_and_what_it_names() {
    let scene = Scene::new([
        says(200, FRESH, "a1"),
        says(200, FRESH, "b1"),
        says(201, &[("location", "/b")], ""),
        says(200, FRESH, "a2"),
        says(200, FRESH, "b2"),
        says(500, &[], ""),
    ]);
    scene.get("/a", &[]).await;
    scene.get("/b", &[]).await;
    let post = scene.ask(Method::POST, "/a", &[]).await;
    assert_eq!((post.status, post.cache_status()), (201, "sandbar;fwd=method"));
    assert_eq!(scene.get("/a", &[]).await.body, "a2");
    assert_eq!(scene.get("/b", &[]).await.body, "b2");
    scene.ask(Method::PUT, "/a", &[]).await;
    assert_eq!(scene.get("/a", &[]).await.body, "a2", "a write that failed changed nothing");
}

#[tokio::test]
async fn a_write_whose_client_leaves_invalidates_all_the_same() {
    let answers = Arc::new(Notify::new());
    let late = Says { after: Some(Arc::clone(&answers)), ..says(200, &[], "") };
    let scene = Scene::new([says(200, FRESH, "a1"), late, says(200, FRESH, "a2")]);
    scene.get("/a", &[]).await;
    let post = scene.ask(Method::POST, "/a", &[]);
    tokio::select! {
        biased;
        _ = post => panic!("the origin has not answered"),
        () = scene.settle() => {}
    }
    assert_eq!(scene.fetches().await, 2, "it was sent");
    answers.notify_one();
    scene.settle().await;
    assert_eq!(scene.get("/a", &[]).await.body, "a2");
}

#[tokio::test]
async fn a_write_that_may_have_been_taken_in_invalidates_its_target() {
    let scene = Scene::new([says(200, FRESH, "a1")]);
    scene.get("/a", &[]).await;
    let post = scene.ask(Method::POST, "/a", &[]).await;
    assert_eq!((post.status, post.cache_status()), (502, "sandbar;fwd=method;detail=origin-broken"));
    scene.script.says.lock().await.push_back(says(200, FRESH, "a2"));
    assert_eq!(scene.get("/a", &[]).await.body, "a2");
}

#[tokio::test]
async fn a_fill_begun_before_a_purge_never_becomes_visible_after_it() {
    let scopes = || [target("http://h/a"), prefix(None, "/"), Scope::SurrogateKey("k".into()), Scope::Everything];
    for scope in scopes() {
        let go = Arc::new(Notify::new());
        let fields: Fields = &[("cache-control", "max-age=60"), ("surrogate-key", "j k")];
        let slow = Says { after: Some(Arc::clone(&go)), ..says(200, fields, "old") };
        let scene = Arc::new(Scene::new([slow, says(200, fields, "new")]));
        let asking = tokio::spawn({
            let scene = Arc::clone(&scene);
            async move { scene.get("/a", &[]).await.body }
        });
        scene.settle().await;
        let purge = Purge { scope: scope.clone(), mode: PurgeMode::Hard };
        let report = scene.service.cache().purge(&scene.service.cache().tenants().all()[0], &[purge]).await;
        assert_eq!((report.recorded, report.pending), (1, 0));
        go.notify_one();
        assert_eq!(asking.await.unwrap(), "old", "who asked before it is answered");
        assert_eq!(scene.get("/a", &[]).await.body, "new", "{scope:?}");
        assert_eq!(scene.get("/a", &[]).await.body, "new");
        assert_eq!(scene.fetches().await, 2);
    }
}

#[tokio::test]
async fn a_soft_purge_leaves_what_can_be_served_stale() {
    let fields: Fields = &[("cache-control", "max-age=600, stale-while-revalidate=60"), ("surrogate-key", "k")];
    let scene = Scene::new([says(200, fields, "old"), says(200, fields, "new")]);
    scene.get("/a", &[]).await;
    let purge = Purge { scope: Scope::SurrogateKey("k".into()), mode: PurgeMode::Soft };
    scene.service.cache().purge(&scene.service.cache().tenants().all()[0], &[purge]).await;
    assert_eq!(scene.get("/a", &[]).await.body, "old");
    assert_eq!(scene.get("/a", &[]).await.body, "new");
    assert_eq!(scene.fetches().await, 2);
}

#[tokio::test]
async fn conditions_and_ranges_are_answered_from_what_is_stored() {
    let scene = Scene::new([says(200, FRESH, "0123456789")]);
    scene.get("/a", &[]).await;
    let not_modified = scene.get("/a", &[("if-none-match", "\"1\"")]).await;
    assert_eq!((not_modified.status, &*not_modified.body, not_modified.field("etag")), (304, "", "\"1\""));
    let range = scene.get("/a", &[("range", "bytes=2-4")]).await;
    assert_eq!((range.status, &*range.body, range.field("content-range")), (206, "234", "bytes 2-4/10"));
    let beyond = scene.get("/a", &[("range", "bytes=20-")]).await;
    assert_eq!((beyond.status, beyond.field("content-range")), (416, "bytes */10"));
    let head = scene.ask(Method::HEAD, "/a", &[]).await;
    assert_eq!((head.status, &*head.body, head.field("content-length")), (200, "", "10"));
    let several = scene.get("/a", &[("range", "bytes=0-1,8-9")]).await;
    assert_eq!(several.status, 206);
    assert!(several.field("content-type").starts_with("multipart/byteranges"));
    assert_eq!(scene.fetches().await, 1);
}

#[tokio::test]
async fn the_clients_own_conditions_do_not_reach_the_origin_of_what_may_be_stored() {
    let scene = Scene::new([says(200, FRESH, "hello")]);
    let got = scene.get("/a", &[("if-none-match", "\"1\""), ("x-host", "evil.example")]).await;
    assert_eq!(got.status, 304);
    let heard = &scene.heard().await[0];
    assert!(!heard.fields.contains_key("if-none-match") && !heard.fields.contains_key("x-host"));
    assert_eq!(scene.get("/a", &[]).await.body, "hello", "all of it was stored");
}

#[tokio::test]
async fn parts_are_stored_combined_and_served() {
    let part = |range: &'static str| -> Fields {
        match range {
            "0-4" => &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-range", "bytes 0-4/10")],
            _ => &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-range", "bytes 5-9/10")],
        }
    };
    let scene = Scene::new([says(206, part("0-4"), "01234"), says(206, part("5-9"), "56789")]);
    let first = scene.get("/a", &[("range", "bytes=0-4")]).await;
    assert_eq!((first.status, &*first.body), (206, "01234"));
    let within = scene.get("/a", &[("range", "bytes=1-2")]).await;
    assert_eq!((within.status, &*within.body, within.field("content-range")), (206, "12", "bytes 1-2/10"));
    assert_eq!(scene.get("/a", &[("range", "bytes=5-9")]).await.body, "56789");
    let whole = scene.get("/a", &[]).await;
    assert_eq!((whole.status, &*whole.body), (200, "0123456789"));
    assert_eq!(scene.fetches().await, 2);
}

#[tokio::test]
async fn only_if_cached_never_asks_the_origin() {
    let scene = Scene::new([says(200, FRESH, "hello")]);
    let fields: Fields = &[("cache-control", "only-if-cached")];
    assert_eq!(scene.get("/a", fields).await.status, 504);
    scene.get("/a", &[]).await;
    assert_eq!(scene.get("/a", fields).await.status, 200);
    assert_eq!(scene.fetches().await, 1);
}

#[tokio::test]
async fn a_body_that_outgrows_its_bound_is_passed_through_unstored() {
    let config = TenantConfig { body_max: Some(Size::of(4)), ..TenantConfig::default() };
    let scene = Scene::with(config, [says(200, FRESH, "too long"), says(200, FRESH, "too long")]);
    assert_eq!(scene.get("/a", &[]).await.body, "too long");
    assert!(scene.get("/a", &[]).await.cache_status().contains("detail=body-too-large"));
    assert_eq!(scene.fetches().await, 2);
}

#[tokio::test]
async fn nothing_but_what_the_key_holds_reaches_the_origin() {
    let mut config = TenantConfig::default();
    config.key.ignore_params = vec!["utm_*".into()];
    let scene = Scene::with(config, [says(200, FRESH, "page")]);
    scene.get("/p?utm_source=x&a=1", &[]).await;
    assert_eq!(scene.get("/p?a=1&utm_source=y", &[]).await.body, "page");
    assert_eq!(scene.heard().await[0].target, "/p?a=1");
}

#[tokio::test]
async fn what_is_put_is_served_and_what_is_deleted_is_not() {
    let scene = Scene::new([says(200, FRESH, "from the origin")]);
    let cache = scene.service.cache();
    let tenant = &cache.tenants().all()[0].clone();
    let put = |control: &'static str| {
        Response::builder().header("cache-control", control).body(bytes::Bytes::from("put")).unwrap()
    };
    cache.put(tenant, "http://h", "/a", put("max-age=60")).await.unwrap();
    assert_eq!(scene.get("/a", &[]).await.body, "put");
    cache.delete(tenant, "http://h", "/a").await.unwrap();
    assert_eq!(scene.get("/a", &[]).await.body, "from the origin");
    let refused = cache.put(tenant, "http://h", "/b", put("no-store")).await.unwrap_err().to_string();
    assert!(refused.contains("no-store"), "{refused}");
    assert!(cache.put(tenant, "nonsense", "/b", put("max-age=1")).await.is_err());
}

#[tokio::test]
async fn a_request_without_a_clear_host_is_refused() {
    let scene = Scene::new([]);
    let got = scene.get("/a", &[("host", "other")]).await;
    assert_eq!(got.status, 400);
    assert_eq!(scene.fetches().await, 0);
}

#[tokio::test]
async fn no_request_can_empty_the_cache() {
    let scene = Scene::new([
        says(200, FRESH, "kept"),
        says(304, &[("etag", "\"1\"")], ""),
        says(304, &[("etag", "\"1\"")], ""),
        says(200, FRESH, ""),
    ]);
    scene.get("/a", &[]).await;
    assert_eq!(scene.get("/a", &[("cache-control", "no-cache, no-store")]).await.body, "kept");
    assert_eq!(scene.get("/a", &[("cache-control", "no-cache"), ("authorization", "Basic x")]).await.body, "kept");
    scene.ask(Method::HEAD, "/a", &[("cache-control", "no-cache")]).await;
    assert!(scene.get("/a", &[]).await.cache_status().contains("hit"));
    assert_eq!(scene.fetches().await, 4);
}

#[tokio::test]
async fn a_304_that_names_other_content_is_not_believed() {
    let scene = Scene::new([
        says(200, &[("cache-control", "max-age=1"), ("etag", "\"1\"")], "old"),
        says(304, &[("cache-control", "max-age=60"), ("etag", "\"2\"")], ""),
        says(200, &[("cache-control", "max-age=60"), ("etag", "\"2\"")], "new"),
    ]);
    scene.get("/a", &[]).await;
    scene.after(2);
    assert_eq!(scene.get("/a", &[]).await.body, "new");
    assert!(!scene.heard().await[2].fields.contains_key("if-none-match"));
}

#[tokio::test]
async fn who_insists_on_validation_does_not_wait_in_vain_for_what_arrives() {
    let go = Arc::new(Notify::new());
    let scene = Arc::new(Scene::new([
        Says { after: Some(Arc::clone(&go)), ..says(200, FRESH, "one") },
        says(200, FRESH, "two"),
    ]));
    let first = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { scene.get("/a", &[]).await.body }
    });
    scene.settle().await;
    let second = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move { scene.get("/a", &[("cache-control", "no-cache")]).await }
    });
    scene.settle().await;
    go.notify_one();
    assert_eq!(first.await.unwrap(), "one");
    let second = second.await.unwrap();
    assert_eq!((second.status, &*second.body), (200, "two"));
}

/// What is stored is freshened without it: that is one judgement, not two.
#[tokio::test]
async fn a_cookie_in_a_304_is_judged_once_and_counts_for_nothing_that_is_stored() {
    let renewed: Fields = &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("set-cookie", "s=1")];
    let forbids: Fields = &[("cache-control", "max-age=0, no-store")];
    // What the request forbids no policy can store, so that none is asked.
    for (asks, asked, not_stored) in [(&[][..], 1, 0), (forbids, 0, 1)] {
        let scene = Scene::with_guest("standard", [says(200, FRESH, "hello"), says(304, renewed, "")]);
        let tenant = Arc::clone(&scene.service.cache().tenants().all()[0]);
        let calls = || tenant.policies.list().iter().find(|bound| bound.role == Role::Freshness).unwrap().calls;
        scene.get("/a", &[]).await;
        scene.after(61);
        let before = calls();
        let got = scene.get("/a", asks).await;
        assert_eq!((&*got.body, got.field("set-cookie")), ("hello", "s=1"), "{asks:?}");
        assert_eq!(calls() - before, asked, "{asks:?}");
        assert_eq!(tenant.counters.values().not_stored, not_stored, "{asks:?}");
        assert_eq!(scene.fetches().await, 2);
    }
}
