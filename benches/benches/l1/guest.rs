//! The stock LRU as a guest, bound the way a tenant binds it.

use std::collections::BTreeSet;
use std::sync::Arc;

use sandbar::clock::SystemClock;
use sandbar::memory::eviction::EvictionFactory;
use sandbar::policy::{Binding, Engine, EngineConfig, Role, TenantPolicies};

/// Makes guests of the stock LRU.
pub(crate) fn lru() -> Arc<dyn EvictionFactory> {
    let engine = Engine::new(&EngineConfig::default()).expect("an engine");
    let bound = [Binding::stock(Role::Eviction, "lru")];
    let policies = TenantPolicies::open(engine, "bench", &bound, BTreeSet::new(), None, Arc::new(SystemClock));
    policies.expect("the stock policy can be bound").eviction()
}
