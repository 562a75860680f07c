//! Policies come and go; entries and their order stay.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sandbar_base::Timestamp;
use sandbar_base::{Fault, FaultKind};
use sandbar_guest::eviction::Event;

use super::super::{Facts, Memory, MemoryConfig, Removal};
use super::hostile::{Habit, failing_after, hostile};
use super::support::{Factory, NOW, assert_consistent, batched, exact, facts, key, keys_of};

fn fill(memory: &Memory<u64>, numbers: std::ops::Range<u64>) {
    for number in numbers {
        memory.insert(key(number), number, facts(1), NOW);
    }
}

#[test]
fn the_new_policy_takes_over_the_order_of_the_old_one() {
    for config in [exact(2000), batched(2000)] {
        let (old, new) = (Factory::watchful_lru(), Factory::watchful_lru());
        let memory = Memory::new(&config, Arc::clone(&old) as _);
        fill(&memory, 0..2000);
        for number in (0..2000).step_by(2) {
            memory.get(key(number), NOW);
        }
        let swapped = memory.swap_eviction(Arc::clone(&new) as _, NOW).unwrap();
        assert_eq!((swapped.from.as_str(), swapped.to.as_str(), swapped.entries), ("lru", "lru", 2000));
        fill(&memory, 2000..3000);
        let kept = keys_of(&memory, 2000);
        assert!(kept.iter().filter(|number| *number % 2 == 0).count() == 1000, "those that were read stay");
        assert_eq!(memory.stats().evicted_by_host, 0);
        old.assert_clean();
        new.assert_clean();
        assert_consistent(&memory);
    }
}

#[test]
fn the_new_policy_is_told_of_an_entry_what_the_old_one_was() {
    let (old, new) = (Factory::watchful_lru(), Factory::watchful_lru());
    let memory = Memory::new(&exact(100), Arc::clone(&old) as _);
    for (number, cost, expires) in [(1, 7, 1 << 40), (2, 1 << 31, u64::MAX), (3, 0, 0), (4, 5, 6_001)] {
        let facts = Facts { fetch_cost_us: cost, expires: Timestamp::from_millis(expires), ..facts(number) };
        memory.insert(key(number), number, facts, NOW);
    }
    let changed = Facts { fetch_cost_us: 8, expires: Timestamp::from_millis(9_001), ..facts(10) };
    memory.insert(key(4), 4, changed, NOW);
    memory.swap_eviction(Arc::clone(&new) as _, NOW).unwrap();
    let told = |factory: &Factory| -> Vec<[u64; 4]> {
        let arrived = |event: &Event| match event {
            Event::Arrived(it) => Some([u64::from(it.slot), it.weight_bytes, it.fetch_cost_us, it.expires_ms]),
            _ => None,
        };
        factory.log.lock().iter().filter_map(arrived).collect()
    };
    let common = [[0, 1, 7, 1 << 40], [1, 2, 1 << 31, u64::MAX], [2, 3, 0, 0]];
    assert_eq!(told(&old), [&common[..], &[[3, 4, 5, 6_001]]].concat());
    // The new policy learns an expiry only to about a second.
    assert_eq!(told(&new), [&common[..], &[[3, 10, 8, 8 << 10]]].concat());
}

#[test]
fn a_swap_before_anything_happened_takes_effect() {
    let (old, new) = (Factory::watchful_lru(), Factory::watchful_lru());
    let memory = Memory::new(&exact(10), Arc::clone(&old) as _);
    memory.swap_eviction(Arc::clone(&new) as _, NOW).unwrap();
    fill(&memory, 0..20);
    assert_eq!(old.made.load(Ordering::SeqCst), 0);
    assert_eq!(keys_of(&memory, 20).len(), 10);
    new.assert_clean();
}

#[test]
fn a_swap_that_fails_in_any_shard_at_any_call_is_undone_in_all() {
    let config = MemoryConfig { shards: Some(4), ..batched(4000) };
    let mut undone = 0;
    for calls in 0..60 {
        let (old, new) = (Factory::watchful_lru(), failing_after(calls));
        let memory = Memory::new(&config, Arc::clone(&old) as _);
        fill(&memory, 0..3000);
        match memory.swap_eviction(Arc::clone(&new) as _, NOW) {
            Ok(_) => continue,
            Err(fault) => assert_eq!(fault.kind, FaultKind::Deadline { budget_us: 1 }),
        }
        undone += 1;
        assert_eq!(memory.stats().entries, 3000, "no entry is lost");
        assert_eq!(*new.faults.lock(), [FaultKind::Deadline { budget_us: 1 }.into()]);
        fill(&memory, 3000..9000);
        assert_eq!((memory.stats().evicted_by_host, memory.stats().shards_standing_in), (0, 0));
        assert_eq!(memory.stats().policy, "lru");
        old.assert_clean();
        assert_consistent(&memory);
    }
    assert!(undone > 4, "{undone}");
}

#[test]
fn a_swap_to_a_policy_that_can_not_be_made_changes_nothing() {
    let old = Factory::watchful_lru();
    let memory = Memory::new(&exact(10), Arc::clone(&old) as _);
    fill(&memory, 0..5);
    let none = Factory::new("none", |_, _| Err(Fault::no_instance("used up")));
    assert_eq!(memory.swap_eviction(none, NOW), Err(Fault::no_instance("used up")));
    fill(&memory, 5..20);
    assert_eq!(keys_of(&memory, 20), (10..20).collect::<Vec<_>>());
    old.assert_clean();
}

#[test]
fn an_old_policy_that_gives_no_order_leaves_the_order_of_insertion() {
    let new = Factory::watchful_lru();
    let memory = Memory::new(&exact(1000), hostile(Habit::GoesRound) as _);
    fill(&memory, 0..1000);
    memory.swap_eviction(Arc::clone(&new) as _, NOW).unwrap();
    assert_eq!(memory.stats().entries, 1000);
    fill(&memory, 1000..1500);
    assert_eq!(keys_of(&memory, 1500).into_iter().filter(|n| *n >= 520).count(), 980);
    new.assert_clean();
    assert_consistent(&memory);
}

#[test]
fn what_happens_in_the_middle_of_a_swap_is_told_to_the_new_policy() {
    let (old, new) = (Factory::watchful_lru(), Factory::watchful_lru());
    let memory = Arc::new(Memory::new(&batched(20_000), Arc::clone(&old) as _));
    fill(&memory, 0..20_000);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2u64 {
            let (memory, stop) = (&memory, &stop);
            scope.spawn(move || {
                let mut number = thread;
                while !stop.load(Ordering::Relaxed) {
                    number += 2;
                    memory.insert(key(number % 50_000), number, facts(1 + number % 3), NOW);
                    memory.get(key((number * 7) % 50_000), NOW);
                    memory.remove(key((number * 13) % 50_000), Removal::Purged, NOW);
                    let stats = memory.stats();
                    assert!(stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes);
                }
            });
        }
        for round in 0..20 {
            let to = if round % 2 == 0 { &new } else { &old };
            memory.swap_eviction(Arc::clone(to) as _, NOW).unwrap();
            let _ = memory.swap_eviction(failing_after(round) as _, NOW);
            if round % 5 == 4 {
                memory.set_capacity_bytes(15_000 + 1000 * u64::from(round), NOW);
            }
            memory.swap_eviction(Arc::clone(to) as _, NOW).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_consistent(&memory);
    fill(&memory, 0..50_000);
    old.assert_clean();
    new.assert_clean();
}

#[test]
fn a_swap_that_a_policy_takes_on_with_victims_evicts_them_when_it_is_done() {
    let memory = Memory::new(&exact(100), Factory::watchful_lru() as _);
    fill(&memory, 0..100);
    // A policy made for half the capacity evicts the coldest entries while it is told of them.
    let half = Factory::new("half", |capacity_bytes, seed| Factory::watchful_lru_of(capacity_bytes / 2, seed));
    memory.swap_eviction(half, NOW).unwrap();
    assert_eq!(keys_of(&memory, 100), (50..100).collect::<Vec<_>>());
    assert_consistent(&memory);
}

#[test]
fn a_smaller_capacity_keeps_the_warmest_and_a_larger_one_all() {
    for config in [exact(100), batched(100)] {
        let factory = Factory::watchful_lru();
        let memory = Memory::new(&config, Arc::clone(&factory) as _);
        memory.set_capacity_bytes(200, NOW);
        fill(&memory, 0..200);
        memory.get(key(0), NOW);
        memory.set_capacity_bytes(50, NOW);
        let kept: Vec<u64> = [0].into_iter().chain(151..200).collect();
        assert_eq!(keys_of(&memory, 200), kept);
        memory.set_capacity_bytes(1000, NOW);
        fill(&memory, 200..1000);
        assert_eq!(memory.stats().entries, 850);
        assert_eq!((memory.stats().evicted_by_host, memory.stats().capacity_bytes), (0, 1000));
        factory.assert_clean();
        assert_consistent(&memory);
    }
}
