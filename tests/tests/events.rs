//! What a program that embeds the cache is told: what was stored and why not, and why each response left memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use sandbar::barrier::{Purge, PurgeMode};
use sandbar::body::{self, Body, BoxError};
use sandbar::clock::{Clock, ManualClock, Timestamp};
use sandbar::events::{Event, Events, What};
use sandbar::memory_budget::{MemoryBudget, Reserved, Use};
use sandbar::policy::freshness::{Fill, Freshness, Plan};
use sandbar::policy::{Binding, Role};
use sandbar::setting::Size;
use sandbar::tenant::config::TenantConfig;
use sandbar::{CacheService, Sandbar};
use sandbar_tests::wait::settled;
use tower::{Layer, ServiceExt, service_fn};

/// A cache of the tenants `one` and `two`, in front of a service that answers as the path says.
struct Rig {
    sandbar: Sandbar,
    service: CacheService,
    clock: Arc<ManualClock>,
}

impl Rig {
    fn new(l1_bytes: u64) -> Self {
        Self::of(|builder| builder, l1_bytes)
    }

    fn of(also: impl FnOnce(sandbar::embed::Builder) -> sandbar::embed::Builder, l1_bytes: u64) -> Self {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_800_000_000_000)));
        let tenant = |name: &str| TenantConfig {
            hosts: vec![format!("{name}.test")],
            l1: Size::of(l1_bytes),
            ..TenantConfig::named(name)
        };
        let builder = Sandbar::builder().tenant(tenant("one")).tenant(tenant("two")).native_only();
        let builder = also(builder.clock(Arc::clone(&clock) as Arc<dyn Clock>));
        let sandbar = builder.build().expect("a cache");
        let service = sandbar.layer().layer(service_fn(origin));
        Self { sandbar, service, clock }
    }

    /// Asks, and waits until what came is stored.
    async fn ask(&self, host: &str, path: &str) {
        let request = Request::get(format!("http://{host}.test{path}")).body(body::empty()).expect("a request");
        let Ok(response) = self.service.clone().oneshot(request).await;
        let _ = response.into_body().collect().await;
        settled(self.sandbar.cache()).await;
    }
}

async fn origin(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let response = Response::builder().header("surrogate-key", "k").header("etag", "\"1\"");
    let path = request.uri().path();
    let response = match path {
        "/private" => response.header("cache-control", "private").body(body::full("x"))?,
        "/broken" => {
            let pieces = [Ok(Bytes::from_static(b"a")), Err("broken".into())];
            let content = http_body_util::StreamBody::new(futures_util::stream::iter(
                pieces.map(|piece: Result<_, BoxError>| piece.map(hyper::body::Frame::data)),
            ));
            response.header("cache-control", "max-age=60").body(body::boxed(content))?
        }
        "/gone" if request.headers().contains_key("if-none-match") => {
            Response::builder().status(410).header("cache-control", "no-store").body(body::empty())?
        }
        _ if path.starts_with("/large") => {
            response.header("cache-control", "max-age=60").body(body::full(vec![0; 40_000]))?
        }
        _ if path.starts_with("/varies") => {
            response.header("cache-control", "max-age=60").header("vary", "accept").body(body::full("v"))?
        }
        _ => response.header("cache-control", "max-age=60").body(body::full("x"))?,
    };
    Ok(response)
}

/// All events that are there, as text.
fn read(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next().expect("the cache is there")).map(|event| text(&event)).collect()
}

fn text(event: &Event) -> String {
    let what = match event.what {
        What::Stored { tier } => format!("stored in {tier}"),
        What::NotStored(why) => format!("not stored: {}", why.as_str()),
        What::Left(why) => format!("left: {}", why.as_str()),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{} {} {what}", event.tenant, event.key.target())
}

#[tokio::test]
async fn what_is_stored_and_why_not_is_told() {
    let rig = Rig::new(1 << 20);
    let mut events = rig.sandbar.events(100);
    rig.ask("one", "/a").await;
    rig.ask("one", "/a").await;
    rig.ask("two", "/private").await;
    rig.ask("one", "/broken").await;
    rig.ask("one", "/varies").await;
    let told = [
        "one /a stored in l1",
        "two /private not stored: private",
        "one /broken not stored: broken-off",
        "one /varies stored in l1",
    ];
    assert_eq!(read(&mut events), told);
    rig.ask("one", "/b?q=1").await;
    let event = events.next().await.expect("an event");
    assert_eq!((event.key.site(), event.key.target(), &*event.tenant), ("http://one.test", "/b?q=1", "one"));
    assert_eq!((event.at, event.weight_bytes.is_some_and(|bytes| bytes > 1)), (rig.clock.now(), true));
}

#[tokio::test]
async fn why_a_response_left_is_told() {
    let rig = Rig::new(1 << 20);
    let mut events = rig.sandbar.events_of("one", 100).unwrap();
    let one = rig.sandbar.tenant("one").unwrap();
    for path in ["/purged", "/replaced", "/gone", "/cleared", "/varies"] {
        rig.ask("one", path).await;
        rig.ask("two", path).await;
    }
    assert_eq!(read(&mut events).len(), 5, "those of the other tenant are not told");

    rig.sandbar.purge_url("one", "http://one.test/purged", PurgeMode::Hard).await.unwrap();
    settled(rig.sandbar.cache()).await;
    assert_eq!(read(&mut events), ["one /purged left: purged"], "by the sweep behind the purge");

    rig.clock.advance(Duration::from_secs(61));
    rig.ask("one", "/gone").await;
    let told = ["one /gone left: ended", "one /gone not stored: no-store"];
    assert_eq!(read(&mut events), told);
    rig.ask("one", "/replaced").await;
    assert_eq!(read(&mut events), ["one /replaced left: replaced", "one /replaced stored in l1"]);

    one.clear_memory();
    let mut cleared = read(&mut events);
    cleared.sort_unstable();
    let told = ["one /cleared left: cleared", "one /replaced left: cleared", "one /varies left: cleared"];
    assert_eq!(cleared, told, "the list of variants is not told of");
}

#[tokio::test]
async fn what_makes_room_is_told_as_evicted_or_as_expired() {
    let lru = || Binding::stock(Role::Eviction, "lru").native();
    let rig = Rig::of(|builder| builder.policy("one", lru()), 128 << 10);
    let mut events = rig.sandbar.events_of("one", 1000).unwrap();
    for number in 0..6 {
        rig.ask("one", &format!("/large{number}")).await;
    }
    let left = |told: Vec<String>| {
        let mut by_reason = BTreeMap::new();
        for line in told {
            if let Some((_, why)) = line.split_once("left: ") {
                *by_reason.entry(why.to_owned()).or_insert(0) += 1;
            }
        }
        by_reason
    };
    let fresh = left(read(&mut events));
    assert!(
        fresh.keys().all(|why| ["evicted-by-policy", "evicted-by-host", "not-admitted"].contains(&&**why)),
        "{fresh:?}"
    );
    assert!(fresh.values().sum::<i32>() >= 3, "{fresh:?}");
    rig.clock.advance(Duration::from_secs(61));
    for number in 10..16 {
        rig.ask("one", &format!("/large{number}")).await;
    }
    assert!(left(read(&mut events)).contains_key("expired"));
}

#[tokio::test]
async fn what_finds_no_memory_is_told_and_so_is_the_older_one_that_has_to_go() {
    let rig = Rig::of(|builder| builder.memory_bytes(1 << 20).limits(few()), 256 << 10);
    let mut events = rig.sandbar.events(1000);
    rig.ask("one", "/a").await;
    assert_eq!(read(&mut events), ["one /a stored in l1"]);
    let held = all_of(rig.sandbar.cache().memory_budget());
    let newer = Response::builder().header("cache-control", "max-age=60").body(vec![b'y'; 1000]).unwrap();
    rig.sandbar.put("one", "http://one.test", "/a", newer).await.unwrap();
    assert_eq!(read(&mut events), ["one /a left: no-room", "one /a not stored: no-room"]);
    drop(held);
}

/// Takes all memory that there is left.
fn all_of(budget: &Arc<MemoryBudget>) -> Vec<Reserved> {
    let mut held = Vec::new();
    let mut bytes = budget.total_bytes();
    while bytes > 0 {
        match budget.reserve(Use::Entries, bytes) {
            Some(reserved) => held.push(reserved),
            None => bytes /= 2,
        }
    }
    held
}

fn few() -> sandbar::cache::CacheLimits {
    sandbar::cache::CacheLimits { learned_keys: 16, ..sandbar::cache::CacheLimits::default() }
}

/// Keeps responses in the L2 alone, or in memory alone.
struct Only {
    l1: bool,
}

impl Freshness for Only {
    fn amend(&self, _now: Timestamp, _fill: &Fill<'_>, standard: &Plan) -> Plan {
        Plan { l1: self.l1 && standard.l1, l2: !self.l1 && standard.l2, ..standard.clone() }
    }
}

#[tokio::test]
async fn what_is_stored_below_and_promoted_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let rig = Rig::of(|builder| builder.disk(directory.path(), 16 << 20), 1 << 20);
    let mut events = rig.sandbar.events(100);
    rig.ask("one", "/a").await;
    assert_eq!(read(&mut events), ["one /a stored in l1", "one /a stored in disk"]);
    rig.sandbar.tenant("one").unwrap().clear_memory();
    rig.ask("one", "/a").await;
    assert_eq!(read(&mut events), ["one /a left: cleared", "one /a promoted"]);
    rig.sandbar.bind("one", Binding::freshness("below", Only { l1: false })).await.unwrap();
    rig.ask("one", "/b").await;
    assert_eq!(read(&mut events), ["one /b stored in disk"]);
    rig.sandbar.unbind("one", Role::Freshness).await.unwrap();
}

#[tokio::test]
async fn a_response_that_was_purged_under_way_is_told_of() {
    let rig = Rig::new(1 << 20);
    let mut events = rig.sandbar.events(100);
    let sandbar = rig.sandbar.clone();
    let service = rig.sandbar.layer().layer(service_fn(move |_: Request<Body>| {
        let sandbar = sandbar.clone();
        async move {
            sandbar.purge("one", &[Purge::everything()]).await?;
            Ok::<_, BoxError>(Response::builder().header("cache-control", "max-age=60").body(body::full("x"))?)
        }
    }));
    let request = Request::get("http://one.test/a").body(body::empty()).unwrap();
    let Ok(response) = service.oneshot(request).await;
    let _ = response.into_body().collect().await;
    settled(rig.sandbar.cache()).await;
    assert_eq!(read(&mut events), ["one /a not stored: purged"]);
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_bounded_and_slows_nobody() {
    let rig = Rig::new(1 << 20);
    let (mut idle, mut eager, mut late) = (rig.sandbar.events(2), rig.sandbar.events(1000), rig.sandbar.events(0));
    // Nothing waits for a reader: this would not end.
    for number in 0..50 {
        rig.ask("one", &format!("/{number}")).await;
    }
    assert_eq!((read(&mut eager).len(), eager.lost()), (50, 0));
    assert_eq!((idle.lost(), late.lost()), (48, 49));
    assert_eq!(read(&mut idle), ["one /0 stored in l1", "one /1 stored in l1"], "the oldest are kept");
    assert_eq!(read(&mut late).len(), 1, "a channel has room for one at least");
    drop(eager);
    rig.ask("one", "/more").await;
    assert_eq!(read(&mut idle), ["one /more stored in l1"]);
}

#[tokio::test]
async fn a_reader_ends_with_the_cache_and_has_what_was_told_before() {
    let rig = Rig::new(1 << 20);
    let (mut all, mut one) = (rig.sandbar.events(10), rig.sandbar.events_of("one", 10).unwrap());
    assert!(rig.sandbar.events_of("nobody", 10).is_err());
    rig.ask("one", "/a").await;
    drop(rig);
    for events in [&mut all, &mut one] {
        let next = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("an event");
        assert_eq!(next.map(|event| text(&event)).as_deref(), Some("one /a stored in l1"));
        let end = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("the end");
        assert!(end.is_none());
        assert!(events.try_next().is_err());
    }
}
