//! Small cases that are dense in conflicts: few keys, room for fewer, short read buffers.

use std::sync::Arc;

use shuttle::{check_pct, check_random, thread};

use super::super::{Memory, MemoryConfig, Removal};
use super::support::{Factory, NOW, Random, assert_consistent, batched, facts, key};

/// Interleavings per test and scheduler.
const TRIES: usize = 2_000;

const KEYS: u64 = 6;

/// The number of the value's own key.
type Value = Arc<u64>;

/// Tries a case under two schedulers: one that draws each step at random, and one (PCT) that draws few changes of
/// priority.
fn check(case: fn()) {
    check_random(case, TRIES);
    check_pct(case, TRIES, 3);
}

/// A tier of 64 bytes, which may exceed them by a slack of one byte (1/64).
fn memory(factory: &Arc<Factory>, read_buffer_len: usize) -> Arc<Memory<Value>> {
    let config = MemoryConfig { read_buffer_len, ..batched(64) };
    Arc::new(Memory::new(&config, Arc::clone(factory) as _))
}

/// Runs one thread's requests: checks each value that it gets, and that the bound holds.
fn request(memory: &Memory<Value>, seed: u64, requests: u64) {
    let mut random = Random(seed);
    for _ in 0..requests {
        let number = random.below(KEYS);
        match random.below(10) {
            0..5 => {
                let value = memory.get(key(number), NOW);
                assert!(value.is_none_or(|value| *value == number), "another key's value");
            }
            5..8 => {
                memory.insert(key(number), Arc::new(number), facts(8 + random.below(16)), NOW);
            }
            8 => {
                memory.remove(key(number), Removal::Purged, NOW);
            }
            _ => {
                let stats = memory.stats();
                assert!(stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes, "{stats:?}");
            }
        }
    }
}

/// Runs threads of requests at the same time as `meanwhile`, and checks the state afterwards.
fn beside(
    memory: &Arc<Memory<Value>>,
    factories: &[&Arc<Factory>],
    threads: u64,
    meanwhile: impl FnOnce(&Memory<Value>),
) {
    let requests = |seed| {
        let memory = Arc::clone(memory);
        thread::spawn(move || request(&memory, seed, 8))
    };
    let threads: Vec<_> = (1..=threads).map(requests).collect();
    meanwhile(memory);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_consistent(memory);
    factories.iter().for_each(|factory| factory.assert_clean());
}

#[test]
fn the_stream_of_events_is_sound_and_the_bound_holds() {
    for case in [|| requests_alone(1), || requests_alone(2), || requests_alone(4)] {
        check(case);
    }
}

fn requests_alone(read_buffer_len: usize) {
    let factory = Factory::watchful_lru();
    beside(&memory(&factory, read_buffer_len), &[&factory], 3, |_| {});
}

#[test]
fn a_swap_under_requests_tells_the_new_policy_what_is_there() {
    check(|| {
        let (from, to) = (Factory::watchful_lru(), Factory::watchful_lru());
        let memory = memory(&from, 2);
        beside(&memory, &[&from, &to], 2, |memory| {
            memory.swap_eviction(Arc::clone(&to) as _, NOW).unwrap();
        });
    });
}

#[test]
fn a_swap_alone_loses_no_entry() {
    check(|| {
        let (from, to) = (Factory::watchful_lru(), Factory::watchful_lru());
        let memory = memory(&from, 2);
        (0..4).for_each(|number| assert!(memory.insert(key(number), Arc::new(number), facts(16), NOW)));
        let reader = {
            let memory = Arc::clone(&memory);
            let read = move |number| assert!(memory.get(key(number), NOW).is_some(), "{number} was lost");
            thread::spawn(move || [0, 1, 2, 3, 0, 3].into_iter().for_each(read))
        };
        memory.swap_eviction(Arc::clone(&to) as _, NOW).unwrap();
        reader.join().unwrap();
        assert_eq!(memory.stats().entries, 4);
        to.assert_clean();
    });
}

#[test]
fn a_change_of_capacity_under_requests_keeps_the_bound() {
    check(|| {
        let factory = Factory::watchful_lru();
        let memory = memory(&factory, 2);
        beside(&memory, &[&factory], 2, |memory| {
            memory.set_capacity_bytes(32, NOW);
            memory.set_capacity_bytes(64, NOW);
        });
    });
}

#[test]
fn a_sweep_under_requests_removes_what_was_there() {
    check(|| {
        let factory = Factory::watchful_lru();
        let memory = memory(&factory, 2);
        memory.insert(key(KEYS), Arc::new(KEYS), facts(8), NOW);
        beside(&memory, &[&factory], 2, |memory| {
            memory.clear(NOW);
        });
        assert!(memory.peek(key(KEYS)).is_none());
    });
}
