use std::time::Duration;

use http::{HeaderMap, Method, StatusCode};
use sandbar_base::clock::{ManualClock, Timestamp};
use sandbar_http::key::{KeyRules, Target};
use sandbar_http::plan::Directives;
use sandbar_http::purge::{PurgeMode, Scope};
use serde_json::json;

use super::*;
use crate::freshness::{EarlyRefresh, LifetimeSource, Obstacle, Plan};
use crate::{EngineConfig, Source};

struct Bench {
    policies: TenantPolicies,
    dir: tempfile::TempDir,
    engine: Arc<Engine>,
    clock: Arc<ManualClock>,
}

fn kept_below(dir: &tempfile::TempDir) -> Option<KeptBelow<'_>> {
    Some(KeptBelow { dir: dir.path(), is_anothers: false })
}

fn bench(configured: &[Binding], grants: &[Grant]) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::new(&EngineConfig { instances_max: 16, ..EngineConfig::default() }).unwrap();
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000_000)));
    let grants = grants.iter().copied().collect();
    let (shared, now) = (Arc::clone(&engine), Arc::clone(&clock) as Arc<dyn Clock>);
    let policies = TenantPolicies::open(shared, "shop", configured, grants, kept_below(&dir), now).unwrap();
    Bench { policies, dir, engine, clock }
}

impl Bench {
    fn restarted(&self, configured: &[Binding]) -> TenantPolicies {
        let (engine, clock) = (Arc::clone(&self.engine), Arc::clone(&self.clock) as Arc<dyn Clock>);
        TenantPolicies::open(engine, "shop", configured, BTreeSet::new(), kept_below(&self.dir), clock).unwrap()
    }
}

fn standard(obstacles: &[Obstacle]) -> Standard {
    let stores = obstacles.is_empty();
    let plan = Plan { l1: stores, l2: stores, freshness_lifetime_ms: 60_000, ..Plan::default() };
    let directives = Directives::default();
    let (lifetime, obstacles) = (LifetimeSource::Explicit, obstacles.to_vec());
    Standard { plan, directives, initial_age: Duration::ZERO, lifetime, obstacles }
}

fn plan(policies: &TenantPolicies, standard: &Standard) -> Planned {
    policies.plan(&Fill::of_a(StatusCode::OK, &HeaderMap::new()), standard)
}

fn info(policies: &TenantPolicies, role: Role) -> BoundInfo {
    policies.list().into_iter().find(|info| info.role == role).unwrap()
}

#[test]
fn unbound_roles_are_answered_natively() {
    let policies = TenantPolicies::native("shop");
    let standard = standard(&[]);
    assert_eq!(plan(&policies, &standard), Planned { plan: standard.plan.clone(), policy: None });
    assert_eq!(policies.eviction().name(), sandbar_memory::native::DEFAULT_EVICTION);
    assert!(policies.list().iter().all(|info| info.by == BoundBy::Default && info.digest.is_none()));
    assert!(matches!(policies.bind(Binding::stock(Role::Freshness, "standard")), Err(BindError::NoEngine)));
    assert_eq!(&*policies.bind(Binding::stock(Role::Eviction, "lru").native()).unwrap().name, "lru");
    assert_eq!(policies.eviction().name(), "lru");
}

#[test]
fn a_bound_policy_changes_the_plan_and_is_named_in_it() {
    let bench = bench(&[Binding::stock(Role::Freshness, "early-refresh")], &[]);
    let planned = plan(&bench.policies, &standard(&[]));
    assert_eq!(planned.plan.early_refresh, EarlyRefresh::Window { window_ms: 12_000, odds_ppm: 100_000 });
    assert_eq!(planned.policy, bench.policies.digest(Role::Freshness));
    let info = info(&bench.policies, Role::Freshness);
    assert_eq!((info.by, &*info.name, info.calls, info.faults), (BoundBy::Config, "early-refresh", 1, 0));
}

#[test]
fn the_floor_gives_every_standard_plan_back() {
    let bench = bench(&[Binding::stock(Role::Freshness, "standard")], &[]);
    let mut standard = standard(&[]);
    standard.plan.surrogate_keys = vec!["a".to_owned(), "b".to_owned()];
    standard.plan.early_refresh = EarlyRefresh::Xfetch { fetch_ms: 5, beta_milli: 1_500 };
    standard.plan.stale_if_error_ms = 7;
    assert_eq!(plan(&bench.policies, &standard).plan, standard.plan);
    assert_eq!(info(&bench.policies, Role::Freshness).clamped, 0);
}

#[test]
fn what_may_not_be_stored_is_not_asked_about_unless_all_of_it_is_granted() {
    let configured = [Binding::stock(Role::Freshness, "early-refresh")];
    let forbidden = standard(&[Obstacle::Private]);
    let strict = bench(&configured, &[]);
    assert_eq!(plan(&strict.policies, &forbidden).policy, None);
    assert_eq!(info(&strict.policies, Role::Freshness).calls, 0);
    let granted = bench(&configured, &[Grant::Private]);
    assert!(plan(&granted.policies, &forbidden).policy.is_some());
}

#[test]
fn a_write_purges_what_the_policy_says() {
    let settings = json!({ "keys": { "/products/{id}": ["product-{id}", "no key"] }, "soft": true });
    let bench = bench(&[Binding::stock(Role::Invalidation, "path-keys").with_settings(settings)], &[]);
    let fields = HeaderMap::new();
    let written = Written {
        method: &Method::PUT,
        site: "https://shop.example",
        target: "/products/7",
        key: &KeyRules::default(),
        status: StatusCode::NO_CONTENT,
        request: &fields,
        response: &fields,
    };
    let target = Scope::Target(Target::of_url(written.key, "https://shop.example/products/7").expect("a target"));
    let soft = |scope| Purge { scope, mode: PurgeMode::Soft };
    assert_eq!(bench.policies.purges(&written), [soft(target), soft(Scope::SurrogateKey("product-7".to_owned()))]);
    assert_eq!(info(&bench.policies, Role::Invalidation).clamped, 1);
}

#[test]
fn an_eviction_guest_evicts() {
    use sandbar_guest::eviction::{Arrival, Event, pack};
    let bench = bench(&[Binding::stock(Role::Eviction, "lru")], &[]);
    let factory = bench.policies.eviction();
    assert!(factory.digest().is_some());
    let mut shard = factory.make(100, 1).unwrap();
    let mut events = Vec::new();
    for slot in 0..3 {
        pack(Event::Arrived(Arrival { slot, weight_bytes: 40, ..Arrival::default() }), &mut events);
    }
    let (mut victims, mut order) = (Vec::new(), Vec::new());
    shard.advance(0, &events, 0, &mut victims).unwrap();
    shard.order(None, 9, &mut order).unwrap();
    assert_eq!((victims, order), (vec![0], vec![1, 2]));
    assert_eq!(bench.engine.instances(), 1);
    drop(shard);
    assert_eq!(bench.engine.instances(), 0);
}

#[test]
fn what_can_not_be_bound_changes_nothing_and_says_why() {
    let bench = bench(&[Binding::stock(Role::Freshness, "early-refresh")], &[]);
    let lru = sandbar_policies::find("eviction", "lru").unwrap().component;
    let refused = |binding: Binding| bench.policies.bind(binding).unwrap_err();
    for (binding, says) in [
        (Binding::component(Role::Freshness, lru), "it has not the role freshness; it has eviction"),
        (Binding::component(Role::Freshness, &lru[..lru.len() / 2]), "not a valid component"),
        (Binding::component(Role::Freshness, &b"garbage"[..]), "it is not WebAssembly"),
        (Binding::component(Role::Freshness, wat::parse_str("(module)").unwrap()), "core module"),
        (Binding::stock(Role::Freshness, "lru"), "there are: early-refresh, standard"),
        (Binding::stock(Role::Freshness, "early-refresh").native(), "not compiled in"),
        (Binding::stock(Role::Freshness, "early-refresh").with_settings(json!({ "odds": 1 })), "`odds`"),
        (Binding { source: Source::File("/no/such.wasm".into()), ..Binding::stock(Role::Freshness, "") }, "/no/such"),
    ] {
        let error = refused(binding);
        assert!(error.to_string().contains(says) && error.is_tenants(), "{error}");
    }
    let large = Binding::component(Role::Freshness, vec![0; (8 << 20) + 1]);
    assert!(matches!(refused(large), BindError::TooLarge { limit_bytes: 8_388_608, .. }));
    assert_eq!(&*info(&bench.policies, Role::Freshness).name, "early-refresh");
    assert!(bench.restarted(&[]).digest(Role::Freshness).is_none());
}

#[test]
fn what_the_api_binds_survives_a_restart_and_outranks_the_configuration_until_unbound() {
    let configured = [Binding::stock(Role::Eviction, "lru")];
    let bench = bench(&configured, &[]);
    let bound = bench.policies.bind(Binding::stock(Role::Eviction, "s3-fifo")).unwrap();
    assert_eq!((&*bound.name, bound.by), ("s3-fifo", BoundBy::Api));
    bench.clock.advance(Duration::from_secs(60));
    let again = bench.restarted(&configured);
    let found = info(&again, Role::Eviction);
    assert_eq!((&*found.name, found.by, found.since), ("s3-fifo", BoundBy::Api, bound.since));
    let unbound = again.unbind(Role::Eviction).unwrap();
    assert_eq!((&*unbound.name, unbound.by), ("lru", BoundBy::Config));
    assert_eq!(info(&bench.restarted(&configured), Role::Eviction).by, BoundBy::Config);
    let native = again.unbind(Role::Eviction).unwrap();
    assert_eq!((native.by, native.digest), (BoundBy::Default, None));
}

#[test]
fn a_component_of_ones_own_is_kept_too() {
    let bench = bench(&[], &[]);
    let component = sandbar_policies::find("freshness", "early-refresh").unwrap().component;
    let settings = json!({ "odds_percent": 50 });
    let bound = bench.policies.bind(Binding::component(Role::Freshness, component).with_settings(settings)).unwrap();
    assert_eq!(bound.digest, Some(Digest::of(component)));
    let again = bench.restarted(&[]);
    let planned = plan(&again, &standard(&[]));
    assert_eq!(planned.plan.early_refresh, EarlyRefresh::Window { window_ms: 12_000, odds_ppm: 500_000 });
    assert_eq!(planned.policy, bound.digest);
}

#[test]
fn a_kept_binding_that_was_damaged_gives_way_to_the_configured_one() {
    let configured = [Binding::stock(Role::Eviction, "lru")];
    let bench = bench(&configured, &[]);
    bench.policies.bind(Binding::stock(Role::Eviction, "s3-fifo")).unwrap();
    let record = bench.dir.path().join("policies/shop/eviction.json");
    std::fs::write(&record, &std::fs::read(&record).unwrap()[..40]).unwrap();
    assert_eq!(info(&bench.restarted(&configured), Role::Eviction).by, BoundBy::Config);
}

#[test]
fn a_hand_over_that_fails_leaves_everything_as_it_was() {
    let bench = bench(&[], &[]);
    let prepared = bench.policies.prepare(Binding::stock(Role::Eviction, "lru")).unwrap();
    let failed = bench.policies.commit(prepared, |factory| {
        assert_eq!(factory.unwrap().name(), "lru");
        Err(BindError::Panicked("in the middle".into()))
    });
    assert!(failed.is_err());
    assert_eq!(info(&bench.policies, Role::Eviction).by, BoundBy::Default);
    assert_eq!(info(&bench.restarted(&[]), Role::Eviction).by, BoundBy::Default);
}

#[test]
fn a_call_under_way_ends_on_the_old_policy() {
    let bench = bench(&[Binding::stock(Role::Freshness, "early-refresh")], &[]);
    let old = bench.policies.bound(Role::Freshness);
    bench.policies.bind(Binding::stock(Role::Freshness, "standard")).unwrap();
    assert_eq!(&**old.ledger.policy(), "early-refresh");
    assert_eq!(plan(&bench.policies, &standard(&[])).plan.early_refresh, EarlyRefresh::Never);
}
