//! What does a call of a guest cost, for each role, beside the same policy compiled in? And what does it cost to make
//! an instance, and to compile a component?

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use sandbar::clock::SystemClock;
use sandbar::http::entry::Directives;
use sandbar::http::key::KeyRules;
use sandbar::memory::eviction::EvictionPolicy;
use sandbar::policy::freshness::{Fill, LifetimeSource, Plan, Standard};
use sandbar::policy::invalidation::Written;
use sandbar::policy::{Binding, Engine, EngineConfig, Role, TenantPolicies};
use sandbar_guest::eviction::{Arrival, Event, pack};

/// Entries that the shard holds, each of weight 1.
const RESIDENT: u32 = 1_024;

fn engine() -> Arc<Engine> {
    // A bench uses a whole core, and compiles the same component again and again.
    let config = EngineConfig { core_share_percent: 0, compiled_bytes_max: 0, ..EngineConfig::default() };
    Engine::new(&config).expect("the machine runs guests")
}

fn bound(engine: &Arc<Engine>, binding: Binding) -> TenantPolicies {
    let clock = Arc::new(SystemClock);
    TenantPolicies::open(Arc::clone(engine), "bench", &[binding], BTreeSet::new(), None, clock).expect("it binds")
}

/// The policy of a shard that is full.
fn shard(policies: &TenantPolicies) -> Box<dyn EvictionPolicy> {
    let mut shard = policies.eviction().make(u64::from(RESIDENT), 1).expect("there are instances");
    let mut events = Vec::new();
    for slot in 0..RESIDENT {
        let key_hash = u64::from(slot).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        pack(Event::Arrived(Arrival { slot, key_hash, weight_bytes: 1, ..Arrival::default() }), &mut events);
    }
    shard.advance(0, &events, 0, &mut Vec::new()).expect("it takes them");
    shard
}

fn reads(count: u32) -> Vec<u64> {
    let mut events = Vec::new();
    for number in 0..count {
        pack(Event::Touched { slot: number.wrapping_mul(0x9e37_79b1) % RESIDENT }, &mut events);
    }
    events
}

fn advance(criterion: &mut Criterion) {
    let engine = engine();
    let mut group = criterion.benchmark_group("advance");
    for (kind, binding) in
        [("guest", Binding::stock(Role::Eviction, "lru")), ("native", Binding::stock(Role::Eviction, "lru").native())]
    {
        let policies = bound(&engine, binding);
        let mut shard = shard(&policies);
        for batch in [1_u32, 16, 64, 256] {
            let events = reads(batch);
            let mut victims = Vec::new();
            group.throughput(Throughput::Elements(u64::from(batch)));
            group.bench_function(BenchmarkId::new(kind, batch), |bencher| {
                bencher.iter(|| {
                    victims.clear();
                    shard.advance(0, black_box(&events), 0, &mut victims).expect("it takes them");
                });
            });
        }
    }
}

fn plan(criterion: &mut Criterion) {
    let policies = bound(&engine(), Binding::stock(Role::Freshness, "early-refresh"));
    let mut fields = HeaderMap::new();
    for (name, value) in [("cache-control", "max-age=60"), ("content-type", "text/html"), ("etag", "\"abc\"")] {
        fields.insert(name, HeaderValue::from_static(value));
    }
    let fill = Fill {
        method: &Method::GET,
        site: "https://shop.example",
        target: "/products/1234?page=2",
        class: "products",
        request: &fields,
        status: StatusCode::OK,
        response: &fields,
        body_bytes: Some(12_345),
        fetch_time: Duration::from_millis(80),
    };
    let standard = Standard {
        plan: Plan {
            l1: true,
            l2: true,
            freshness_lifetime_ms: 60_000,
            surrogate_keys: vec!["products".to_owned(), "product-1234".to_owned()],
            ..Plan::default()
        },
        directives: Directives::default(),
        initial_age: Duration::ZERO,
        lifetime: LifetimeSource::Explicit,
        obstacles: Vec::new(),
    };
    criterion.bench_function("plan/guest", |bencher| bencher.iter(|| policies.plan(black_box(&fill), &standard)));
    let native = TenantPolicies::native("bench");
    criterion.bench_function("plan/native", |bencher| bencher.iter(|| native.plan(black_box(&fill), &standard)));
}

fn purges(criterion: &mut Criterion) {
    let settings = serde_json::json!({ "keys": { "/products/{id}": ["product-{id}", "products"] } });
    let policies = bound(&engine(), Binding::stock(Role::Invalidation, "path-keys").with_settings(settings));
    let fields = HeaderMap::new();
    let written = Written {
        method: &Method::PUT,
        site: "https://shop.example",
        target: "/products/1234",
        key: &KeyRules::default(),
        status: StatusCode::NO_CONTENT,
        request: &fields,
        response: &fields,
    };
    criterion.bench_function("purges/guest", |bencher| bencher.iter(|| policies.purges(black_box(&written))));
}

fn make(criterion: &mut Criterion) {
    let engine = engine();
    let factory = bound(&engine, Binding::stock(Role::Eviction, "lru")).eviction();
    criterion.bench_function("instance/made and dropped", |bencher| {
        bencher.iter(|| factory.make(black_box(1 << 20), 1).expect("there are instances"));
    });
    let mut group = criterion.benchmark_group("bind");
    group.sample_size(10);
    let policies = bound(&engine, Binding::stock(Role::Freshness, "standard"));
    group.bench_function("compiled and configured", |bencher| {
        bencher.iter(|| policies.prepare(Binding::stock(Role::Freshness, "early-refresh")).expect("it binds"));
    });
}

criterion_group!(benches, advance, plan, purges, make);
criterion_main!(benches);
