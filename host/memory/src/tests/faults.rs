//! Faults of policies: the bound holds whatever a policy answers, and another policy stands in for one that failed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbar_base::{Fault, FaultKind};

use super::super::Memory;
use super::hostile::{Habit, failing_after, hostile};
use super::support::{Factory, Lru, NOW, assert_consistent, batched, exact, facts, key, keys_of};
use crate::eviction::EvictionPolicy;

fn fill(memory: &Memory<u64>, numbers: std::ops::Range<u64>) {
    for number in numbers {
        memory.insert(key(number), number, facts(1), NOW);
        let stats = memory.stats();
        assert!(stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes, "{stats:?}");
    }
}

#[test]
fn nonsense_is_counted_and_the_host_keeps_the_bound() {
    for habit in [Habit::Invents, Habit::Repeats, Habit::Withholds, Habit::Halves, Habit::EvictsAll] {
        for config in [exact(100), batched(1000)] {
            let factory = hostile(habit);
            let memory = Memory::new(&config, Arc::clone(&factory) as _);
            fill(&memory, 0..3000);
            let stats = memory.stats();
            let faults = factory.faults.lock();
            assert!(!faults.is_empty(), "{habit:?}");
            assert!(
                faults.iter().all(|fault| matches!(fault.kind, FaultKind::Nonsense { .. })),
                "{habit:?} {faults:?}"
            );
            assert_eq!(stats.faults, faults.len() as u64);
            assert_eq!(stats.shards_standing_in, 0, "it is still trusted");
            assert_eq!(stats.evicted_by_host > 0, matches!(habit, Habit::Withholds | Habit::Halves), "{habit:?}");
            drop(faults);
            assert_consistent(&memory);
        }
    }
}

#[test]
fn where_the_policy_names_nobody_entries_leave_in_the_order_of_insertion() {
    let memory = Memory::new(&exact(10), hostile(Habit::Withholds) as _);
    fill(&memory, 0..25);
    memory.get(key(15), NOW);
    fill(&memory, 25..26);
    assert_eq!(keys_of(&memory, 30), (16..26).collect::<Vec<_>>());
}

#[test]
fn a_policy_that_is_not_trusted_after_nonsense_is_replaced() {
    let factory = hostile(Habit::Withholds);
    let memory = Memory::new(&exact(10), Arc::clone(&factory) as _);
    fill(&memory, 0..10);
    factory.trusted.store(false, Ordering::SeqCst);
    fill(&memory, 10..20);
    assert_eq!((memory.stats().faults, memory.stats().shards_standing_in), (1, 1));
    factory.stand_in().assert_clean();
}

#[test]
fn a_native_policy_stands_in_for_one_that_fails_until_that_is_trusted_again() {
    let factory = failing_after(12);
    let memory = Memory::new(&exact(10), Arc::clone(&factory) as _);
    fill(&memory, 0..10);
    memory.get(key(0), NOW);
    memory.get(key(1), NOW);
    factory.trusted.store(false, Ordering::SeqCst);
    memory.get(key(2), NOW);
    assert_eq!(*factory.faults.lock(), [FaultKind::Deadline { budget_us: 1 }.into()]);
    assert_eq!(memory.stats().shards_standing_in, 1);
    assert_eq!(keys_of(&memory, 20).len(), 10, "nothing is lost");

    // The stand-in was told of the entries in the order of insertion, and keeps its own order from then on.
    memory.get(key(0), NOW);
    fill(&memory, 10..11);
    assert_eq!(keys_of(&memory, 20), [0, 2, 3, 4, 5, 6, 7, 8, 9, 10]);

    // First the bound policy is not trusted yet; once it is, it takes over in the stand-in's order.
    let later = NOW.saturating_add(Duration::from_millis(1000));
    memory.get(key(2), later);
    assert_eq!(factory.made.load(Ordering::SeqCst), 1);
    factory.trusted.store(true, Ordering::SeqCst);
    memory.get(key(3), later);
    assert_eq!(factory.made.load(Ordering::SeqCst), 1, "asked at most once a second");
    memory.get(key(3), later.saturating_add(Duration::from_millis(1000)));
    assert_eq!(factory.made.load(Ordering::SeqCst), 2);
    factory.stand_in().assert_clean();
    assert_consistent(&memory);
}

#[test]
fn the_policy_that_comes_back_takes_over_the_order_of_the_one_that_stood_in() {
    let factory = hostile(Habit::Fails);
    let memory = Memory::new(&exact(5), Arc::clone(&factory) as _);
    fill(&memory, 0..17);
    assert_eq!(memory.stats().shards_standing_in, 1);
    memory.get(key(12), NOW);
    let later = NOW.saturating_add(Duration::from_millis(1000));
    memory.get(key(13), later);
    assert_eq!(memory.stats().shards_standing_in, 0);
    fill(&memory, 17..20);
    assert_eq!(keys_of(&memory, 30), [12, 13, 17, 18, 19]);
}

#[test]
fn where_the_stand_in_fails_too_entries_leave_in_the_order_of_insertion() {
    let fallback = failing_after(3);
    let factory = Factory::with_fallback("guest", |_, _| Err(Fault::no_instance("none")), Arc::clone(&fallback));
    let memory = Memory::new(&exact(5), Arc::clone(&factory) as _);
    fill(&memory, 0..20);
    memory.get(key(15), NOW);
    fill(&memory, 20..22);
    assert_eq!(keys_of(&memory, 30), [17, 18, 19, 20, 21]);
    assert_eq!(fallback.faults.lock().len(), 1);
    assert_eq!(memory.stats().shards_standing_in, 1);
    assert_consistent(&memory);
}

#[test]
fn an_arrival_that_the_policy_names_is_not_admitted() {
    struct Refuses;
    impl EvictionPolicy for Refuses {
        fn advance(&mut self, _: u64, events: &[u64], _: u64, victims: &mut Vec<u32>) -> Result<(), Fault> {
            victims.extend(sandbar_guest::eviction::unpack(events).filter_map(|event| match event {
                sandbar_guest::eviction::Event::Arrived(arrival) if arrival.weight_bytes > 2 => Some(arrival.slot),
                _ => None,
            }));
            Ok(())
        }

        fn order(&mut self, _: Option<u32>, _: u32, _: &mut Vec<u32>) -> Result<(), Fault> {
            Ok(())
        }
    }
    let factory = Factory::new("refuses", |_, _| Ok(Box::new(Refuses)));
    let memory = Memory::new(&exact(10), Arc::clone(&factory) as _);
    fill(&memory, 0..9);
    assert!(!memory.insert(key(20), 20, facts(3), NOW), "refused before it came in");
    memory.clear(NOW);
    memory.insert(key(21), 21, facts(3), NOW);
    assert_eq!(keys_of(&memory, 30), [0u64; 0], "refused when there was room");
    assert_eq!((memory.stats().not_admitted, memory.stats().evicted_by_policy), (2, 0));
    factory.assert_clean();
    assert_consistent(&memory);
}

#[test]
fn nobody_waits_for_a_policy_that_is_busy() {
    let factory = Factory::watchful::<Lru>("lru");
    let memory = Memory::new(&batched(1000), Arc::clone(&factory) as _);
    fill(&memory, 0..1000);
    {
        let _guest_at_work = memory.shards[0].seat.lock();
        fill(&memory, 1000..10_000);
        for number in 9000..10_000 {
            memory.get(key(number), NOW);
        }
        let stats = memory.stats();
        assert!(stats.evicted_by_host > 8900 && stats.reads_dropped > 800 && stats.event_overflows == 1, "{stats:?}");
        assert_consistent(&memory);
    }
    let before = memory.stats().evicted_by_host;
    fill(&memory, 10_000..12_000);
    assert_eq!(memory.stats().evicted_by_host, before);
    factory.assert_clean();
    assert_consistent(&memory);
}
