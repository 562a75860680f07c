use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use sandbar_base::clock::{ManualClock, Timestamp};
use sandbar_http::plan::Directives;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::freshness::{Fill, LifetimeSource, Plan, Standard};
use crate::{BindError, Binding, ContractVersion, Engine, EngineConfig, Role, TenantPolicies, check};

/// A freshness policy built against version 0.0.9: a response with the status 200 is fresh for half as long as RFC 9111
/// says, another one is not stored. It logs a line, in the way of that version.
const OLD: &str = r#"(module
    (import "sandbar:policy/log@0.0.9" "write" (func $write (param i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 8) "hello")
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "sandbar:policy/freshness@0.0.9#configure") (param $text i32) (param $length i32) (result i32)
      (call $write (i32.const 8) (i32.const 5))
      (i32.store8 (i32.const 64) (i32.const 0))
      (i32.const 64))
    (func (export "sandbar:policy/freshness@0.0.9#lifetime")
      (param $site i32) (param $site-len i32) (param $target i32) (param $target-len i32)
      (param $status i32) (param $standard i64) (result i32)
      (i32.store8 (i32.const 64) (i32.eq (local.get $status) (i32.const 200)))
      (i64.store (i32.const 72) (i64.div_u (local.get $standard) (i64.const 2)))
      (i32.const 64)))"#;

/// The component of a module that was written against the made-up version.
fn old_component() -> Vec<u8> {
    let mut module = wat::parse_str(OLD).unwrap();
    let mut contract = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wit/0.0.9");
    let (package, _) = contract.push_dir(folder).unwrap();
    let world = contract.select_world(&[package], Some("freshness-policy")).unwrap();
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
}

fn planned(policies: &TenantPolicies, status: StatusCode) -> Plan {
    let plan = Plan {
        l1: true,
        l2: true,
        freshness_lifetime_ms: 60_000,
        stale_if_error_ms: 7,
        surrogate_keys: vec!["a".to_owned()],
        ..Plan::default()
    };
    let (directives, lifetime) = (Directives::default(), LifetimeSource::Explicit);
    let standard = Standard { plan, directives, initial_age: Duration::ZERO, lifetime, obstacles: vec![] };
    policies.plan(&Fill::of_a(status, &HeaderMap::new()), &standard).plan
}

#[test]
fn a_component_built_against_an_older_contract_is_bound_and_asked_in_its_own_way() {
    let component = old_component();
    let checked = check(&component).unwrap();
    assert_eq!(checked.roles, [Role::Freshness]);
    assert_eq!(checked.contract(Role::Freshness), Some(ContractVersion::V0_0_9));

    let engine = Engine::new(&EngineConfig { instances_max: 4, ..EngineConfig::default() }).unwrap();
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000_000)));
    let policies = TenantPolicies::open(engine, "shop", &[], BTreeSet::new(), None, clock).unwrap();
    policies.bind(Binding::component(Role::Freshness, component)).unwrap();

    let plan = planned(&policies, StatusCode::OK);
    assert_eq!((plan.l1, plan.l2, plan.freshness_lifetime_ms), (true, true, 30_000));
    assert_eq!((plan.stale_if_error_ms, &*plan.surrogate_keys), (7, &["a".to_owned()][..]), "as RFC 9111 has it");
    let plan = planned(&policies, StatusCode::NOT_FOUND);
    assert_eq!((plan.l1, plan.l2), (false, false));
    let info = policies.list().into_iter().find(|info| info.role == Role::Freshness).unwrap();
    assert_eq!((info.calls, info.faults), (2, 0));
}

#[test]
fn current_policies_are_of_the_newest_contract() {
    let stock = sandbar_policies::find("eviction", "lru").unwrap();
    assert_eq!(check(stock.component).unwrap().contract(Role::Eviction), Some(ContractVersion::ALL[0]));
}

#[test]
fn a_contract_from_the_future_is_named_with_those_that_the_host_speaks() {
    for text in [
        r#"(component (instance $roles) (export "sandbar:policy/freshness@7.0.0" (instance $roles)))"#,
        r#"(component (import "sandbar:policy/log@7.0.0" (instance)))"#,
    ] {
        let refused = check(&wat::parse_str(text).unwrap()).unwrap_err();
        assert!(matches!(refused, BindError::UnknownContract(_)), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("sandbar:policy@7.0.0") && said.contains("0.1.0"), "{said}");
    }
}
