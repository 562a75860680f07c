use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::*;

fn stock(role: &str, name: &str) -> &'static [u8] {
    sandbar_policies::find(role, name).unwrap().component
}

fn engine(compiled_bytes_max: u64) -> Arc<Engine> {
    Engine::new(&EngineConfig { instances_max: 8, compiled_bytes_max, ..EngineConfig::default() }).unwrap()
}

#[test]
fn a_component_is_compiled_once() {
    let engine = engine(64 << 20);
    let first = engine.compile(stock("eviction", "lru"), Role::Eviction).unwrap();
    let second = engine.compile(stock("eviction", "lru"), Role::Eviction).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    drop((first, second));
    assert_eq!(engine.compiled(), 1);
}

#[test]
fn compiled_policies_are_freed_once_nobody_uses_them_and_there_is_no_room_to_keep_them() {
    let engine = engine(1);
    let lru = engine.compile(stock("eviction", "lru"), Role::Eviction).unwrap();
    let weak = Arc::downgrade(&lru);
    assert_eq!(engine.compiled(), 1);
    drop(lru);
    assert_eq!(engine.compiled(), 0);
    assert!(weak.upgrade().is_none());
}

#[test]
fn ten_swaps_leave_no_old_policy_behind() {
    let engine = engine(1);
    let clock = Arc::new(sandbar_base::clock::SystemClock);
    let policies = crate::TenantPolicies::open(Arc::clone(&engine), "shop", &[], Default::default(), None, clock);
    let policies = policies.unwrap();
    for round in 0..5 {
        for name in ["lru", "s3-fifo"] {
            policies.bind(crate::Binding::stock(Role::Eviction, name)).unwrap();
            assert_eq!(engine.compiled(), 1, "round {round}");
        }
    }
    policies.unbind(Role::Eviction).unwrap();
    assert_eq!((engine.compiled(), engine.instances()), (0, 0));
}

#[test]
fn idle_instances_are_looked_for() {
    struct Looked(AtomicUsize, std::sync::mpsc::Sender<()>);
    impl Idle for Looked {
        fn release_idle(&self) {
            self.0.fetch_add(1, SeqCst);
            let _ = self.1.send(());
        }
    }
    let engine = engine(1);
    let (sender, looked) = std::sync::mpsc::channel();
    let watched: Arc<dyn Idle> = Arc::new(Looked(AtomicUsize::new(0), sender));
    engine.watch_idle(Arc::downgrade(&watched));
    engine.tick();
    looked.recv_timeout(Duration::from_secs(60)).expect("the ticker looks for them");
}

#[test]
fn an_address_space_that_is_limited_gets_no_pool() {
    let limits = limits::InstanceLimits::of_this_machine(4);
    assert!(pool::engine(&EngineConfig::default(), &limits.with_address_space(1 << 30)).is_ok());
}
