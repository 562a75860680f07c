//! The stock policies keep to what every policy has to keep to, as guests and compiled in; and a policy that breaks a rule is found.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]
#![cfg(feature = "wasm")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use sandbar_base::clock::{ManualClock, Timestamp};
use sandbar_guest::eviction::list::Lists;
use sandbar_guest::eviction::{Arrival, Departure, Eviction, Knowledge, Replacement, Shard};
use sandbar_guest::settings::NoSettings;
use sandbar_http::purge::Purge;
use sandbar_policy::conformance::examine;
use sandbar_policy::freshness::{Fill, Freshness, Plan};
use sandbar_policy::invalidation::{Invalidation, Written};
use sandbar_policy::{Binding, Engine, EngineConfig, OpenError, Role, TenantPolicies};

static ENGINE: LazyLock<Arc<Engine>> = LazyLock::new(|| {
    let config = EngineConfig { core_share_percent: 0, instances_max: 64, ..EngineConfig::default() };
    Engine::new(&config).unwrap()
});

/// The rules that a policy breaks, and how.
fn broken(binding: &Binding) -> Vec<(&'static str, String)> {
    let open = || -> Result<TenantPolicies, OpenError> {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000)));
        let configured = [binding.clone()];
        TenantPolicies::open(Arc::clone(&*ENGINE), "examined", &configured, BTreeSet::new(), None, clock)
    };
    examine(binding.role, &open).into_iter().filter_map(|found| Some((found.rule, found.broken?))).collect()
}

/// The settings that a policy refuses to run without.
fn settings(stock: &sandbar_policies::Stock) -> serde_json::Value {
    match stock.name {
        "path-keys" => serde_json::json!({ "keys": { "/products/{id}": ["product-{id}"] } }),
        _ => serde_json::Value::Null,
    }
}

#[test]
fn the_stock_policies_keep_every_rule() {
    for stock in sandbar_policies::stock() {
        let role: Role = stock.role.parse().unwrap();
        let guest = Binding::stock(role, stock.name).with_settings(settings(stock));
        assert_eq!(broken(&guest), [], "{role} {}", stock.name);
        if role == Role::Eviction {
            assert_eq!(broken(&guest.native()), [], "native {}", stock.name);
        }
    }
}

/// The rules that are broken, without the details.
fn rules(binding: &Binding) -> Vec<&'static str> {
    broken(binding).into_iter().map(|(rule, _)| rule).collect()
}

const KEEPS: &str = "names residents as victims, frees enough, and has each entry in its order once";
const GIVES_UP: &str = "gives up everything when told to, and no more than there is";
const SAME: &str = "decides the same from the same inputs";
const TAKES_OVER: &str = "takes over from itself at any capacity";
const NONSENSE: &str = "is not broken by nonsense in what is handed over";
const ANSWERS: &str = "answers whatever is asked, without a fault";
const NARROWED: &str = "asks for nothing that the host would drop, under the grants that it has";

/// Evicts the entry that arrived first.
struct Fifo;

impl Replacement for Fifo {
    type Settings = NoSettings;
    type Entries = Lists;

    fn configure(_: NoSettings, _: u64, _: u64) -> Result<(Self, Lists), String> {
        Ok((Self, Lists::new(1)))
    }

    fn insert(&mut self, lists: &mut Lists, arrival: &Arrival) {
        lists.push(0, arrival.slot, arrival.weight_bytes, ());
    }

    fn victim(&mut self, lists: &mut Lists) -> Option<u32> {
        lists.coldest(0)
    }
}

/// A way to be wrong, around a policy that is right.
trait Fault: Send + 'static {
    fn victims(_victims: &mut Vec<u32>) {}
    fn order(_order: &mut Vec<u32>) {}
    fn learnt() -> Knowledge {
        Knowledge::default()
    }
    fn take_over(_: &Knowledge) {}
    fn admits(_: &Arrival) -> bool {
        true
    }
}

struct Wrong<F>(Shard<Fifo>, std::marker::PhantomData<F>);

impl<F: Fault> Eviction for Wrong<F> {
    fn configure(settings: &str, capacity_bytes: u64, seed: u64) -> Result<Self, String> {
        Ok(Self(Shard::configure(settings, capacity_bytes, seed)?, std::marker::PhantomData))
    }

    fn touched(&mut self, now_ms: u64, slot: u32) {
        self.0.touched(now_ms, slot);
    }

    fn arrived(&mut self, now_ms: u64, arrival: Arrival, victims: &mut Vec<u32>) {
        if F::admits(&arrival) {
            self.0.arrived(now_ms, arrival, victims);
        } else {
            victims.push(arrival.slot);
        }
        F::victims(victims);
    }

    fn changed(&mut self, now_ms: u64, slot: u32, weight_bytes: u64, expires_ms: u64, victims: &mut Vec<u32>) {
        self.0.changed(now_ms, slot, weight_bytes, expires_ms, victims);
    }

    fn departed(&mut self, slot: u32, reason: Departure) {
        self.0.departed(slot, reason);
    }

    fn reclaim(&mut self, now_ms: u64, bytes: u64, victims: &mut Vec<u32>) {
        self.0.reclaim(now_ms, bytes, victims);
        F::victims(victims);
    }

    fn order(&self, after: Option<u32>, limit: u32) -> Vec<u32> {
        let mut order = self.0.order(after, limit);
        F::order(&mut order);
        order
    }

    fn hand_over(&self) -> Knowledge {
        F::learnt()
    }

    fn take_over(&mut self, knowledge: &Knowledge) {
        F::take_over(knowledge);
    }
}

fn rules_of<F: Fault>() -> Vec<&'static str> {
    rules(&Binding::eviction::<Wrong<F>>("wrong"))
}

struct Right;
impl Fault for Right {}

/// Names each victim twice.
struct Twice;
impl Fault for Twice {
    fn victims(victims: &mut Vec<u32>) {
        victims.extend(victims.clone());
    }
}

/// Names no victim.
struct None_;
impl Fault for None_ {
    fn victims(victims: &mut Vec<u32>) {
        victims.clear();
    }
}

/// Leaves an entry out of its order.
struct Short;
impl Fault for Short {
    fn order(order: &mut Vec<u32>) {
        order.pop();
    }
}

/// Admits by what it has seen in all instances together.
struct Shared;
static SEEN: AtomicU64 = AtomicU64::new(0);
impl Fault for Shared {
    fn admits(_: &Arrival) -> bool {
        !SEEN.fetch_add(1, Ordering::Relaxed).is_multiple_of(97)
    }
}

/// Admits nothing that another policy hands over.
struct Fresh;
impl Fault for Fresh {
    fn admits(arrival: &Arrival) -> bool {
        arrival.rank == 0
    }
}

/// Trusts what is handed over.
struct Trusting;
impl Fault for Trusting {
    fn learnt() -> Knowledge {
        Knowledge { private: vec![7; 16], ..Knowledge::default() }
    }
    fn take_over(knowledge: &Knowledge) {
        assert_eq!(knowledge.private, [7; 16], "what I have handed over");
    }
}

#[test]
fn an_eviction_policy_that_breaks_a_rule_is_found() {
    assert_eq!(rules_of::<Right>(), [""; 0]);
    assert_eq!(rules_of::<Twice>(), [KEEPS, GIVES_UP, SAME, TAKES_OVER, NONSENSE]);
    assert_eq!(rules_of::<None_>(), [KEEPS, GIVES_UP, SAME, TAKES_OVER, NONSENSE]);
    assert!(rules_of::<Short>().contains(&KEEPS));
    assert!(rules_of::<Shared>().contains(&SAME));
    assert_eq!(rules_of::<Fresh>(), [TAKES_OVER]);
    assert_eq!(rules_of::<Trusting>(), [NONSENSE]);
}

#[test]
fn how_a_rule_was_broken_is_said() {
    let found = broken(&Binding::eviction::<Wrong<Twice>>("wrong"));
    assert!(found[0].1.contains("has no entry or was named before (step "), "{found:?}");
}

struct Drifts(AtomicU64);
impl Freshness for Drifts {
    fn amend(&self, _: Timestamp, _: &Fill<'_>, standard: &Plan) -> Plan {
        let freshness_lifetime_ms = 1_000 + DRIFT.fetch_add(1, Ordering::Relaxed) + self.0.load(Ordering::Relaxed);
        Plan { freshness_lifetime_ms, ..standard.clone() }
    }
}
static DRIFT: AtomicU64 = AtomicU64::new(0);

struct Panics;
impl Freshness for Panics {
    fn amend(&self, _: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Plan {
        assert!(fill.target.len() < 100, "nobody asks for that");
        standard.clone()
    }
}

struct Nowhere;
impl Invalidation for Nowhere {
    fn purges(&self, _: Timestamp, _: &Written<'_>) -> Vec<Purge> {
        vec![Purge::surrogate_key("two words")]
    }
}

#[test]
fn a_policy_that_answers_wrongly_is_found() {
    assert!(rules(&Binding::freshness("drifts", Drifts(AtomicU64::new(0)))).contains(&SAME));
    assert_eq!(rules(&Binding::freshness("panics", Panics))[0], ANSWERS);
    assert_eq!(rules(&Binding::invalidation("nowhere", Nowhere)), [NARROWED]);
}
