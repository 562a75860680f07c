//! What a caller sees of one shard, and what its policy sees.

use std::sync::Arc;

use sandbar_guest::eviction::{Departure, Event};

use super::super::{ENTRY_OVERHEAD_BYTES, Memory, MemoryConfig, Removal};
use super::support::{Factory, NOW, batched, exact, facts, key, keys_of};

fn lru(config: &MemoryConfig) -> (Memory<Arc<str>>, Arc<Factory>) {
    let factory = Factory::watchful_lru();
    (Memory::new(config, Arc::clone(&factory) as _), factory)
}

fn put(memory: &Memory<Arc<str>>, number: u64, weight_bytes: u64) -> bool {
    memory.insert(key(number), number.to_string().into(), facts(weight_bytes), NOW)
}

#[test]
fn an_entry_is_found_replaced_and_removed() {
    let (memory, factory) = lru(&exact(10));
    assert_eq!(memory.get(key(1), NOW), None);
    assert!(put(&memory, 1, 3));
    assert!(memory.insert(key(1), "new".into(), facts(4), NOW));
    assert_eq!(memory.get(key(1), NOW).as_deref(), Some("new"));
    assert_eq!((memory.stats().resident_bytes, memory.stats().entries), (4, 1));
    assert!(!memory.remove_if(key(1), Removal::Purged, NOW, |value| &**value == "old"));
    assert_eq!(memory.remove(key(1), Removal::Purged, NOW).as_deref(), Some("new"));
    assert_eq!(memory.remove(key(1), Removal::Purged, NOW), None);
    assert_eq!((memory.stats().resident_bytes, memory.stats().entries), (0, 0));
    let slots: Vec<_> = factory.log.lock().clone();
    assert!(matches!(
        slots[..],
        [
            Event::Arrived(_),
            Event::Changed { slot: 0, weight_bytes: 4, .. },
            Event::Touched { slot: 0 },
            Event::Departed { slot: 0, reason: Departure::Purged },
        ]
    ));
    factory.assert_clean();
}

#[test]
fn with_batch_one_the_policy_sees_each_request_at_once_and_evicts_before_the_arrival_comes_in() {
    let (memory, factory) = lru(&exact(3));
    for number in [0, 1, 2] {
        put(&memory, number, 1);
    }
    memory.get(key(0), NOW);
    put(&memory, 3, 1);
    assert_eq!(keys_of(&memory, 9), [0, 2, 3], "1 was the least recently used");
    put(&memory, 4, 2);
    assert_eq!(keys_of(&memory, 9), [3, 4]);
    assert!(!put(&memory, 5, 4), "larger than the shard");
    let stats = memory.stats();
    assert_eq!((stats.evicted_by_policy, stats.evicted_by_host, stats.not_admitted), (3, 0, 1));
    assert_eq!((stats.reads_noted, stats.slack_bytes), (1, 0));
    factory.assert_clean();
}

#[test]
fn an_entry_as_large_as_the_shard_is_taken_in() {
    for config in [exact(100), batched(100)] {
        let (memory, factory) = lru(&config);
        put(&memory, 1, 60);
        assert!(put(&memory, 2, 100));
        assert_eq!(keys_of(&memory, 9), [2]);
        factory.assert_clean();
    }
}

#[test]
fn replacing_by_something_too_large_leaves_nothing_old_behind() {
    let (memory, factory) = lru(&exact(10));
    put(&memory, 1, 5);
    assert!(!put(&memory, 1, 11));
    assert_eq!(memory.get(key(1), NOW), None);
    factory.assert_clean();
}

#[test]
fn a_replacement_that_grows_makes_others_leave() {
    let (memory, factory) = lru(&exact(10));
    put(&memory, 1, 5);
    put(&memory, 2, 5);
    assert!(put(&memory, 2, 8));
    assert_eq!(keys_of(&memory, 9), [2]);
    assert_eq!(memory.stats().resident_bytes, 8);
    factory.assert_clean();
}

#[test]
fn batches_stay_within_the_slack_and_lose_no_read_of_one_thread() {
    let (memory, factory) = lru(&batched(1000));
    for number in 0..5000u64 {
        put(&memory, number, 1);
        for back in 0..3 {
            memory.get(key(number.saturating_sub(back)), NOW);
        }
        let stats = memory.stats();
        assert!(stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes, "{stats:?}");
    }
    let stats = memory.stats();
    assert_eq!(stats.evicted_by_host, 0);
    assert_eq!(stats.reads_dropped, 0);
    assert!(stats.reads_noted > 14_900, "{stats:?}");
    assert!(stats.advances < 1500, "{stats:?}");
    factory.assert_clean();
}

#[test]
fn a_sweep_removes_what_is_not_to_be_kept() {
    let (memory, factory) = lru(&batched(10_000));
    for number in 0..1000 {
        put(&memory, number, 1);
    }
    assert_eq!(memory.sweep(Removal::Purged, NOW, |_, value| value.len() == 3), 100);
    assert_eq!(keys_of(&memory, 1000).len(), 900);
    memory.clear(NOW);
    let stats = memory.stats();
    assert_eq!((stats.entries, stats.resident_bytes, stats.removed), (0, 0, 1000));
    for number in 0..20_000 {
        put(&memory, number, 1);
    }
    factory.assert_clean();
}

#[test]
fn what_weighs_more_than_a_slot_can_say_is_not_taken_in() {
    let (memory, factory) = lru(&exact(u64::MAX));
    assert!(put(&memory, 1, (1 << 40) - 1));
    assert_eq!(memory.stats().resident_bytes, (1 << 40) - 1);
    assert!(!put(&memory, 2, 1 << 40) && !put(&memory, 1, u64::MAX));
    let stats = memory.stats();
    assert_eq!((stats.entries, stats.resident_bytes, stats.not_admitted), (0, 0, 2));
    factory.assert_clean();
}

#[test]
fn each_entry_is_charged_the_overhead() {
    let (memory, _) = lru(&MemoryConfig { capacity_bytes: 1 << 20, ..MemoryConfig::default() });
    put(&memory, 1, 1000);
    assert_eq!(memory.stats().resident_bytes, 1000 + ENTRY_OVERHEAD_BYTES);
}

#[test]
fn values_of_evicted_entries_are_dropped() {
    let memory: Memory<Arc<u64>> = Memory::new(&batched(100), Factory::watchful_lru());
    let value = Arc::new(7);
    for number in 0..1000 {
        memory.insert(key(number), Arc::clone(&value), facts(1), NOW);
    }
    assert_eq!(Arc::strong_count(&value) as u64, 1 + memory.stats().entries);
    memory.clear(NOW);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_clear_of_more_than_the_event_queue_holds_is_told_all_the_same() {
    let (memory, factory) = lru(&batched(100_000));
    for round in 0..3 {
        for number in 0..30_000 {
            put(&memory, round * 100_000 + number, 1);
        }
        let _busy = memory.shards[0].seat.lock();
        memory.clear(NOW);
        for number in 0..20_000 {
            put(&memory, round * 100_000 + number, 2);
            memory.remove(key(round * 100_000 + number / 2), Removal::Purged, NOW);
        }
    }
    put(&memory, 1, 1);
    for number in 0..200_000 {
        put(&memory, number, 1);
    }
    assert!(memory.stats().event_overflows > 0);
    assert_eq!(memory.stats().evicted_by_host, 0);
    factory.assert_clean();
}
