//! Several threads at once, with honest and hostile policies: bounds, consistency and the stream of events.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::super::{Memory, MemoryConfig, Removal};
use super::hostile::{Habit, hostile};
use super::support::{Factory, NOW, Random, assert_consistent, batched, facts, key};

const KEYS: u64 = 3000;
const OPERATIONS: u64 = 30_000;

/// The number of the value's own key, and its version.
type Value = Arc<(u64, u64)>;

fn operate(memory: &Memory<Value>, seed: u64, version: &AtomicU64) {
    let mut random = Random(seed);
    for _ in 0..OPERATIONS {
        let number = random.below(KEYS).min(random.below(KEYS));
        match random.below(100) {
            0..60 => {
                if let Some(value) = memory.get(key(number), NOW) {
                    assert_eq!(value.0, number, "another key's value");
                }
            }
            60..90 => {
                let value = Arc::new((number, version.fetch_add(1, Ordering::Relaxed)));
                memory.insert(key(number), value, facts(1 + random.below(20)), NOW);
            }
            90..98 => {
                memory.remove(key(number), Removal::Purged, NOW);
            }
            98 => {
                let stats = memory.stats();
                assert!(stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes, "{stats:?}");
            }
            _ if random.below(50) == 0 => {
                memory.sweep(Removal::Purged, NOW, |_, value| value.1 % 5 != 0);
            }
            _ => {}
        }
    }
}

fn stress(factory: &Arc<Factory>, config: &MemoryConfig) -> Memory<Value> {
    let memory = Memory::new(config, Arc::clone(factory) as _);
    let version = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for seed in 1..=4 {
            let (memory, version) = (&memory, &version);
            scope.spawn(move || operate(memory, seed, version));
        }
    });
    assert_consistent(&memory);
    memory
}

#[test]
fn the_stream_of_events_is_sound_whatever_the_batch() {
    for read_buffer_len in [1, 4, 64] {
        for shards in [1, 4] {
            let factory = Factory::watchful_lru();
            let config = MemoryConfig { read_buffer_len, shards: Some(shards), ..batched(6000) };
            let memory = stress(&factory, &config);
            factory.assert_clean();
            let stats = memory.stats();
            let left = stats.evicted_by_policy + stats.evicted_by_host + stats.removed;
            assert!(left <= stats.insertions + stats.replacements, "{stats:?}");
        }
    }
}

#[test]
fn every_value_is_dropped_once_it_has_left() {
    let factory = Factory::watchful_lru();
    let memory = stress(&factory, &batched(6000));
    let held: HashMap<u64, Value> = (0..KEYS).filter_map(|n| Some((n, memory.peek(key(n))?))).collect();
    assert_eq!(held.len() as u64, memory.stats().entries);
    drop(memory);
    assert!(held.values().all(|value| Arc::strong_count(value) == 1));
}

#[test]
fn hostile_policies_break_neither_the_bound_nor_the_table() {
    for habit in Habit::ALL {
        let factory = hostile(habit);
        let memory = stress(&factory, &MemoryConfig { read_buffer_len: 16, ..batched(6000) });
        factory.stand_in().assert_clean();
        assert_eq!(memory.stats().faults, factory.faults.lock().len() as u64);
    }
}
