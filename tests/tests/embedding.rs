//! The cache as a part of another program: in front of an axum router, hyper's or tower's services, with policies of the
//! program's own.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::routing::get;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use sandbar::Sandbar;
use sandbar::barrier::{Purge, PurgeMode};
use sandbar::body::{self, Body, BoxError};
use sandbar::clock::Timestamp;
use sandbar::embed::BuildError;
use sandbar::policy::eviction::list::Lists;
use sandbar::policy::eviction::{Arrival, Replacement, Shard};
use sandbar::policy::freshness::{Fill, Freshness, Plan};
use sandbar::policy::invalidation::{Invalidation, Written};
use sandbar::policy::{Binding, BindingState, Role};
use sandbar::tenant::config::TenantConfig;
use sandbar_tests::client::Client;
use sandbar_tests::wait::{eventually, settled};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, service_fn};

#[path = "../../host/cache/examples/axum.rs"]
#[allow(dead_code, reason = "its `main` listens on ports of its own")]
mod program;

/// A program as it is written by the crate's documentation: forty lines at most.
#[test]
fn the_example_for_axum_has_forty_lines_at_most() {
    let source = include_str!("../../host/cache/examples/axum.rs");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let lines = source.lines().filter(is_code).count();
    assert!(lines <= 40, "{lines} lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_axum_gateway_swaps_a_guest_and_purges_while_two_tenants_are_served() -> anyhow::Result<()> {
    let [public, private] = [TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?];
    let (site, admin) = (public.local_addr()?, private.local_addr()?);
    let disk = tempfile::tempdir()?;
    let path = disk.path().to_owned();
    let gateway = tokio::spawn(async move { program::gateway(public, private, &path).await });

    let stop = Arc::new(AtomicBool::new(false));
    let visitors: Vec<_> = ["shop.example", "media.example", "shop.example", "media.example"]
        .into_iter()
        .map(|host| {
            let (stop, mut client) = (Arc::clone(&stop), Client::new(site, host));
            tokio::spawn(async move {
                let mut answers = 0;
                while !stop.load(Ordering::SeqCst) {
                    let page = format!("/p{}", answers % 7);
                    let answer = client.get(&page).await?;
                    anyhow::ensure!(
                        answer.status == 200 && answer.text() == format!("this is {}", &page[1..]),
                        "{answer:?}"
                    );
                    answers += 1;
                }
                Ok(answers)
            })
        })
        .collect();

    let mut operator = Client::new(admin, "admin");
    for name in ["lru", "s3-fifo", "lru"] {
        let component = sandbar_policies::find("eviction", name).unwrap().component;
        let bound = operator.send("PUT", "/shop/policies/eviction", &[], component).await?;
        assert_eq!(bound.status, 200, "{}", bound.text());
    }
    let refused = operator.send("PUT", "/shop/policies/eviction", &[], &b"no component"[..]).await?;
    assert!(refused.status == 400 && refused.text().contains("not WebAssembly"), "{}", refused.text());
    let unknown = operator.send("POST", "/nobody/purge", &[], &b""[..]).await?;
    assert!(unknown.status == 404 && unknown.text().contains("there are: shop, media"), "{}", unknown.text());

    let mut client = Client::new(site, "shop.example");
    eventually("the page is stored", async || client.get("/purged").await.is_ok_and(|answer| answer.is_hit())).await;
    assert_eq!(operator.send("POST", "/shop/purge", &[], &b""[..]).await?.status, 200);
    assert!(!client.get("/purged").await?.is_hit(), "a purge that was answered holds");

    stop.store(true, Ordering::SeqCst);
    for visitor in visitors {
        assert!(visitor.await?? > 0);
    }
    gateway.abort();
    Ok(())
}

/// A service that counts how often it is asked, and answers with its name and what may be stored for a minute.
fn origin(
    name: &'static str,
    asked: &Arc<AtomicUsize>,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send + Sync + 'static
{
    let asked = Arc::clone(asked);
    service_fn(move |request: Request<Body>| {
        asked.fetch_add(1, Ordering::SeqCst);
        async move {
            if request.uri().path() == "/panic" {
                panic!("as it was asked to");
            }
            Ok(Response::builder().header("cache-control", "max-age=60").body(body::full(name))?)
        }
    })
}

async fn ask(
    service: &(impl Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone),
    request: http::request::Builder,
) -> (StatusCode, String, String) {
    let request = request.body(body::empty()).expect("a request");
    let Ok(response) = service.clone().oneshot(request).await;
    let (head, content) = response.into_parts();
    let said = head.headers.get("cache-status").map_or("", |value| value.to_str().expect("text")).to_owned();
    let text = content.collect().await.expect("content that does not break off").to_bytes();
    (head.status, said, String::from_utf8_lossy(&text).into_owned())
}

fn two_tenants() -> sandbar::embed::Builder {
    let tenant = |name: &str| TenantConfig { hosts: vec![format!("{name}.example")], ..TenantConfig::named(name) };
    Sandbar::builder().tenant(tenant("one")).tenant(tenant("two"))
}

#[tokio::test]
async fn each_service_behind_the_layer_is_the_origin_of_what_comes_through_it() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let router = Router::new()
        .route_service("/a", sandbar.layer().layer(origin("a", &asked)))
        .route_service("/b", sandbar.layer().layer(origin("b", &asked)))
        .route("/c", get(async || ([("cache-control", "max-age=60")], "c")).layer(sandbar.layer()));
    for (path, expected) in [("/a", "a"), ("/b", "b"), ("/c", "c"), ("/a", "a"), ("/b", "b"), ("/c", "c")] {
        for host in ["one.example", "two.example"] {
            let request = Request::get(format!("http://{host}{path}")).body(axum::body::Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let text = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, expected.as_bytes(), "{host}{path}");
            settled(sandbar.cache()).await;
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 4, "each tenant fetched each of two once");
    let stats = sandbar.stats();
    assert_eq!(stats.tenants.iter().map(|tenant| tenant.counters.requests).collect::<Vec<_>>(), [6, 6]);
}

#[tokio::test]
async fn a_refresh_behind_goes_to_the_service_that_the_hit_came_through() {
    let clock = Arc::new(sandbar::clock::ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
    let sandbar = two_tenants().native_only().clock(Arc::clone(&clock) as _).build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = sandbar.layer().layer(service_fn(move |_: Request<Body>| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            let response = Response::builder().header("cache-control", "max-age=10, stale-while-revalidate=60");
            Ok::<_, BoxError>(response.body(body::full(number.to_string()))?)
        }
    }));
    let get = || Request::get("http://one.example/");
    assert_eq!(ask(&service, get()).await.2, "0");
    settled(sandbar.cache()).await;
    clock.advance(std::time::Duration::from_secs(20));
    assert_eq!(ask(&service, get()).await.2, "0", "stale while it is validated");
    eventually("the service behind was asked again", async || asked.load(Ordering::SeqCst) == 2).await;
    settled(sandbar.cache()).await;
    assert_eq!(ask(&service, get()).await.2, "1");
}

#[tokio::test]
async fn nested_routers_have_keys_of_their_own_where_the_layer_knows_what_was_taken_off() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let named = |name: &'static str| {
        let asked = move |uri: http::Uri| async move {
            ([("cache-control", "max-age=60")], format!("{name} for {}", uri.path()))
        };
        Router::new().route("/item", get(asked)).layer(sandbar.layer().under(&format!("/{name}")))
    };
    let router = Router::new().nest("/public", named("public")).nest("/admin", named("admin"));
    for _ in 0..2 {
        for name in ["public", "admin"] {
            let request =
                Request::get(format!("http://one.example/{name}/item")).body(axum::body::Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            let text = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(text, format!("{name} for /item").as_bytes());
            settled(sandbar.cache()).await;
        }
    }
    let counted = || sandbar.tenant("one").unwrap().counters.values().fetched;
    assert_eq!(counted(), 2);
    sandbar.purge_url("one", "http://one.example/admin/item", PurgeMode::Hard).await.unwrap();
    for name in ["public", "admin"] {
        let request = Request::get(format!("http://one.example/{name}/item")).body(axum::body::Body::empty()).unwrap();
        assert_eq!(router.clone().oneshot(request).await.unwrap().status(), StatusCode::OK);
        settled(sandbar.cache()).await;
    }
    assert_eq!(counted(), 3, "one was purged");
}

#[tokio::test]
async fn a_second_layer_of_the_same_cache_further_in_does_not_wait_for_the_first() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let service = sandbar.layer().layer(sandbar.layer().layer(origin("x", &asked)));
    for path in ["/a", "/b", "/a"] {
        let answer = tokio::time::timeout(
            std::time::Duration::from_secs(5),
            ask(&service, Request::get(format!("http://one.example{path}"))),
        );
        assert_eq!(answer.await.expect("nobody waits for itself").2, "x");
        settled(sandbar.cache()).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_scheme_is_the_layers_whatever_a_client_says() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let service = sandbar.layer().scheme(http::uri::Scheme::HTTPS).layer(origin("x", &asked));
    for target in ["http://one.example/", "https://one.example/", "/"] {
        ask(&service, Request::get(target).header("host", "one.example")).await;
        settled(sandbar.cache()).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    sandbar.purge_url("one", "https://one.example/", PurgeMode::Hard).await.unwrap();
    ask(&service, Request::get("/").header("host", "one.example")).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

/// What a layer in front has found out.
#[derive(Clone)]
struct FoundOut(&'static str);

#[tokio::test]
async fn extensions_reach_the_service_behind_but_no_handle_on_the_clients_connection_does() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let service = sandbar.layer().layer(service_fn(async |request: Request<Body>| {
        assert!(request.extensions().get::<hyper::upgrade::OnUpgrade>().is_none());
        let found_out = request.extensions().get::<FoundOut>().map_or("nothing", |found_out| found_out.0);
        Ok::<_, BoxError>(Response::new(body::full(found_out)))
    }));
    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        let mut client = Request::new(body::empty());
        let upgrade = hyper::upgrade::on(&mut client);
        let request =
            Request::builder().method(method).uri("http://one.example/").extension(FoundOut("it")).extension(upgrade);
        let (status, _, text) = ask(&service, request).await;
        assert_eq!((status, &*text), (StatusCode::OK, if method == "HEAD" { "" } else { "it" }), "{method}");
    }
}

#[tokio::test]
async fn the_tenant_is_found_by_host_by_header_or_by_a_closure() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let served = |name: &str| sandbar.tenant(name).unwrap().counters.values().requests;

    let service = sandbar.layer().layer(origin("x", &asked));
    ask(&service, Request::get("/").header("host", "ONE.example:80")).await;
    assert_eq!((served("one"), served("two")), (1, 0));

    let by_header = sandbar.layer().by_header(http::HeaderName::from_static("x-tenant")).layer(origin("x", &asked));
    ask(&by_header, Request::get("http://h/").header("x-tenant", "two")).await;
    assert_eq!((served("one"), served("two")), (1, 1));

    let by_path = sandbar.layer().by(|head| head.uri.path().split('/').nth(1).map(str::to_owned));
    let by_path = by_path.layer(origin("x", &asked));
    ask(&by_path, Request::get("http://h/two/a")).await;
    assert_eq!((served("one"), served("two")), (1, 2));
}

#[tokio::test]
async fn a_request_of_no_tenant_goes_to_the_service_as_it_is() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let service = sandbar.layer().layer(origin("x", &asked));
    for _ in 0..2 {
        let answer = ask(&service, Request::get("http://other.example/")).await;
        assert_eq!(answer, (StatusCode::OK, String::new(), "x".to_owned()), "nothing is added, nothing is stored");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let (status, said, _) = ask(&service, Request::get("http://other.example/panic")).await;
    assert_eq!((status, said.contains("origin-broken")), (StatusCode::BAD_GATEWAY, true), "{said}");
    let (status, ..) = ask(&sandbar.service(), Request::get("http://other.example/")).await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "there is no service behind");
    let (status, said, _) = ask(&sandbar.service(), Request::get("http://one.example/")).await;
    assert_eq!((status, said.contains("origin-unreachable")), (StatusCode::BAD_GATEWAY, true), "{said}");
}

#[tokio::test]
async fn a_service_that_panics_is_an_origin_that_broke_and_the_next_request_is_served() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let service = sandbar.layer().layer(origin("x", &Arc::default()));
    let (status, said, _) = ask(&service, Request::get("http://one.example/panic")).await;
    assert_eq!((status, said.contains("origin-broken")), (StatusCode::BAD_GATEWAY, true), "{said}");
    assert_eq!(ask(&service, Request::get("http://one.example/")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn responses_are_put_purged_and_deleted_by_name_and_url() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let service = sandbar.layer().layer(origin("x", &asked));
    let get = |path: &str| Request::get(format!("http://one.example{path}"));
    let put = |text: &'static str| {
        let response = Response::builder().header("cache-control", "max-age=60").header("surrogate-key", "k");
        sandbar.put("one", "http://one.example", "/a", response.body(text.as_bytes().to_vec()).unwrap())
    };
    for way in 0..3 {
        put("put").await.unwrap();
        assert_eq!(ask(&service, get("/a")).await.2, "put");
        match way {
            0 => drop(sandbar.purge("one", &[Purge::surrogate_key("k")]).await.unwrap()),
            1 => drop(sandbar.purge_url("one", "http://ONE.example:80/a", PurgeMode::Hard).await.unwrap()),
            _ => drop(sandbar.delete("one", "http://one.example", "/a").await.unwrap()),
        }
        assert_eq!(ask(&service, get("/a")).await.2, "x", "way {way}");
        settled(sandbar.cache()).await;
    }
    let unknown = sandbar.purge("three", &[Purge::everything()]).await.unwrap_err();
    assert_eq!(unknown.to_string(), "there is no tenant \"three\"; there are: one, two");
    assert!(sandbar.purge_url("one", "/a", PurgeMode::Soft).await.is_err());
}

/// Pages are fresh for as many milliseconds as it says, and one path makes it panic.
struct Lifetime(u64);

impl Freshness for Lifetime {
    fn amend(&self, _now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Plan {
        assert_ne!(fill.target, "/panic-policy", "as it was asked to");
        Plan { freshness_lifetime_ms: standard.freshness_lifetime_ms.min(self.0), ..standard.clone() }
    }
}

#[tokio::test]
async fn a_freshness_policy_of_ones_own_decides_is_swapped_and_harms_nobody_where_it_panics() {
    let clock = Arc::new(sandbar::clock::ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
    let builder = two_tenants().native_only().clock(clock as _);
    let sandbar = builder.policy("one", Binding::freshness("short", Lifetime(7_000))).build().unwrap();
    let service = sandbar.layer().layer(origin("x", &Arc::default()));
    let get = |path: &str| Request::get(format!("http://one.example{path}"));
    let ttl = async |path: &str| {
        ask(&service, get(path)).await;
        settled(sandbar.cache()).await;
        let (_, said, _) = ask(&service, get(path)).await;
        said.split("ttl=").nth(1).and_then(|rest| rest.split(';').next()).map(str::to_owned)
    };
    assert_eq!(ttl("/a").await.as_deref(), Some("7"));
    sandbar.bind("one", Binding::freshness("shorter", Lifetime(3_000))).await.unwrap();
    assert_eq!(ttl("/b").await.as_deref(), Some("3"));
    for number in 0..3 {
        assert_eq!(ttl(&format!("/panic-policy?{number}")).await.as_deref(), Some("3"), "a query makes another target");
    }
    let panicking = async |number: usize| {
        sandbar.purge("one", &[Purge::everything()]).await.unwrap();
        let lifetime = ttl("/panic-policy").await;
        assert_eq!(lifetime.as_deref(), Some("60"), "fault {number}: the native default answers");
    };
    for number in 1..=3 {
        panicking(number).await;
    }
    let info = sandbar.tenant("one").unwrap().report().policies.into_iter().find(|info| info.role == Role::Freshness);
    let info = info.unwrap();
    assert_eq!((&*info.name, info.faults), ("shorter", 3));
    assert!(matches!(info.state, BindingState::Quarantined { .. }), "{info:?}");
    assert_eq!(&*sandbar.unbind("one", Role::Freshness).await.unwrap().name, "short", "what the builder was given");
}

/// Purges the list of what is written to.
struct Listings;

impl Invalidation for Listings {
    fn purges(&self, _now: Timestamp, written: &Written<'_>) -> Vec<Purge> {
        vec![Purge::surrogate_key(format!("list-of-{}", written.target.trim_start_matches('/')))]
    }
}

#[tokio::test]
async fn an_invalidation_policy_of_ones_own_purges_what_a_write_makes_wrong() {
    let sandbar = two_tenants().native_only().policy("one", Binding::invalidation("lists", Listings)).build().unwrap();
    let service = sandbar.layer().layer(service_fn(async |_: Request<Body>| {
        let response =
            Response::builder().header("cache-control", "max-age=60").header("surrogate-key", "list-of-item");
        Ok::<_, BoxError>(response.body(body::full("list"))?)
    }));
    let list = || Request::get("http://one.example/list");
    ask(&service, list()).await;
    settled(sandbar.cache()).await;
    assert!(ask(&service, list()).await.1.contains("hit"));
    ask(&service, Request::put("http://one.example/item")).await;
    assert!(!ask(&service, list()).await.1.contains(";hit"));
}

/// Evicts what arrived last: easily told from all others.
struct Lifo;

impl Replacement for Lifo {
    type Settings = sandbar::policy::settings::NoSettings;
    type Entries = Lists;

    fn configure(_: Self::Settings, _capacity_bytes: u64, _seed: u64) -> Result<(Self, Lists), String> {
        Ok((Self, Lists::new(1)))
    }

    fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
        lists.push(0, arrival.slot, arrival.weight_bytes, ());
    }

    fn hit(&mut self, lists: &mut Lists, slot: u32) {
        lists.move_to(0, slot);
    }

    fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
        lists.coldest(0)
    }
}

#[tokio::test]
async fn an_eviction_policy_of_ones_own_takes_over_and_is_refused_with_settings_that_it_does_not_know() {
    let sandbar = two_tenants().native_only().build().unwrap();
    let service = sandbar.layer().layer(origin("x", &Arc::default()));
    for number in 0..100 {
        ask(&service, Request::get(format!("http://one.example/{number}"))).await;
    }
    settled(sandbar.cache()).await;
    let own = || Binding::eviction::<Shard<Lifo>>("mine");
    let bound = sandbar.bind("one", own()).await.unwrap();
    assert_eq!((&*bound.name, bound.digest), ("mine", None));
    let memory = sandbar.tenant("one").unwrap().memory_stats();
    assert_eq!((memory.policy.as_str(), memory.entries), ("mine", 100), "entries stay");
    for number in 100..400 {
        ask(&service, Request::get(format!("http://one.example/{number}"))).await;
    }
    settled(sandbar.cache()).await;
    let bound = |policy: &sandbar::policy::BoundInfo| policy.role == Role::Eviction;
    let info = sandbar.stats().tenants[0].policies.iter().find(|policy| bound(policy)).cloned().unwrap();
    assert!(info.calls > 0 && info.faults == 0, "{info:?}");
    let refused = sandbar.bind("one", own().with(std::collections::BTreeMap::from([("speed", 3)])).unwrap()).await;
    assert!(refused.unwrap_err().to_string().contains("speed"));
    let wrong_role = Binding { role: Role::Freshness, ..own() };
    assert!(sandbar.bind("one", wrong_role).await.unwrap_err().to_string().contains("it has eviction"));
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_begins() {
    let built = |builder: sandbar::embed::Builder| builder.native_only().build().unwrap_err();
    let two = || Sandbar::builder().tenant(TenantConfig::named("a")).tenant(TenantConfig::named("a"));
    assert!(matches!(built(two()), BuildError::SameName(name) if name == "a"));
    let everywhere = |name| TenantConfig { hosts: vec!["*".into()], ..TenantConfig::named(name) };
    let same_host = Sandbar::builder().tenant(everywhere("a")).tenant(everywhere("b"));
    assert!(built(same_host).to_string().contains("is named twice"));
    let stray = Sandbar::builder().policy("nobody", Binding::freshness("short", Lifetime(1)));
    assert!(built(stray).to_string().contains("there is no tenant \"nobody\"; there are: default"));
    let guest = Sandbar::builder().policy("default", Binding::stock(Role::Eviction, "lru"));
    assert!(built(guest).to_string().contains("only native policies can be bound"));
    let crowded = Sandbar::builder().memory_bytes(64 << 20);
    assert!(built(crowded).to_string().contains("an eighth must be left"));
    let settings = Binding::freshness("short", Lifetime(1)).with(3).unwrap();
    assert!(built(Sandbar::builder().policy("default", settings)).to_string().contains("takes none"));
    let name = Sandbar::builder().tenant(TenantConfig::named("No Name"));
    assert!(matches!(built(name), BuildError::Settings(_)));
}

#[tokio::test]
async fn a_read_of_a_value_asks_no_origin_and_refreshes_nothing() {
    let clock = Arc::new(sandbar::clock::ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
    let disk = tempfile::tempdir().unwrap();
    let builder = two_tenants().native_only().disk(disk.path(), 16 << 20).clock(Arc::clone(&clock) as _);
    let sandbar = builder.build().unwrap();
    let get = async |path: &str| {
        let found = sandbar.get("one", "http://one.example", path).await.unwrap();
        let (head, content) = found?.into_parts();
        assert_eq!(head.status, StatusCode::OK);
        Some(content.collect().await.unwrap().to_bytes())
    };
    assert_eq!(get("/a").await, None);
    let response = Response::builder().header("cache-control", "max-age=60, stale-while-revalidate=60");
    sandbar.put("one", "http://one.example", "/a", response.body(b"value".to_vec()).unwrap()).await.unwrap();
    assert_eq!(get("/a").await.as_deref(), Some(&b"value"[..]));
    sandbar.tenant("one").unwrap().clear_memory();
    assert_eq!(get("/a").await.as_deref(), Some(&b"value"[..]), "from the L2");
    clock.advance(std::time::Duration::from_secs(90));
    assert_eq!(get("/a").await.as_deref(), Some(&b"value"[..]), "stale, as its author allows");
    clock.advance(std::time::Duration::from_secs(90));
    assert_eq!(get("/a").await, None);
    let counted = sandbar.tenant("one").unwrap().report().counters;
    let answered = (counted.requests, counted.hits_l1, counted.hits_l2, counted.hits_stale, counted.synthesized);
    assert_eq!(answered, (5, 2, 1, 1, 2), "{counted:?}");
    assert_eq!((counted.origin_requests, counted.answered()), (0, 5));
    assert!(sandbar.get("one", "no site", "/a").await.is_err());
    assert!(sandbar.get("three", "http://one.example", "/a").await.is_err());
}

#[path = "../../host/cache/examples/reverse_proxy.rs"]
#[allow(dead_code, reason = "its `main` listens on ports of its own")]
mod reverse_proxy;

#[tokio::test]
async fn a_reverse_proxy_keeps_what_its_origin_sends() -> anyhow::Result<()> {
    let asked = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&asked);
    let page = async move || {
        counts.fetch_add(1, Ordering::SeqCst);
        ([("cache-control", "max-age=60")], "from the origin")
    };
    let [behind, before] = [TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?];
    let (origin, public) = (behind.local_addr()?.to_string().parse()?, before.local_addr()?);
    let behind = tokio::spawn(axum::serve(behind, Router::new().route("/a", get(page))).into_future());
    let proxy = tokio::spawn(async move { reverse_proxy::proxy(before, origin).await });
    let mut client = Client::new(public, "shop.example");
    eventually("the page is stored", async || client.get("/a").await.is_ok_and(|answer| answer.is_hit())).await;
    assert_eq!(client.get("/a").await?.text(), "from the origin");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(client.get("/missing").await?.status, 404);
    behind.abort();
    eventually("no connection is left", async || client.get("/new").await.is_ok_and(|answer| answer.status == 502))
        .await;
    assert!(client.get("/a").await?.is_hit(), "what is stored is served without the origin");
    proxy.abort();
    Ok(())
}

#[tokio::test]
async fn what_the_gateway_shows_as_metrics_is_there_as_values() {
    let disk = tempfile::tempdir().unwrap();
    let builder = two_tenants().native_only().memory_bytes(256 << 20).disk(disk.path(), 16 << 20);
    let sandbar = builder.build().unwrap();
    let service = sandbar.layer().layer(origin("x", &Arc::default()));
    for _ in 0..3 {
        ask(&service, Request::get("http://one.example/a")).await;
        settled(sandbar.cache()).await;
    }
    let stats = sandbar.stats();
    let one = &stats.tenants[0];
    let counted: std::collections::BTreeMap<_, _> = one.counters.each().map(|(name, _, value)| (name, value)).collect();
    assert_eq!((counted["requests"], counted["hits_l1"], counted["origin_requests"]), (3, 2, 1));
    assert_eq!((one.counters.answers["hit"], one.memory.entries, one.origin.running), (2, 1, 0));
    let latency = &one.counters.latency;
    let noted = [&latency.hits, &latency.others].map(|times| times.counts.iter().sum::<u64>());
    assert_eq!(noted, [2, 1]);
    assert_eq!(one.policies.len(), Role::ALL.len());
    let (name, health) = stats.l2.as_ref().unwrap();
    assert!(*name == "disk" && health.available && health.entries == Some(1), "{health:?}");
    assert!(stats.memory.used_bytes > 0 && !stats.memory.uses.is_empty() && stats.fleet.is_none());
    let text = serde_json::to_string(&stats).unwrap();
    assert!(text.contains("\"purges_pending\":0") && text.contains("\"evicted_by_policy\""), "{text}");
}
