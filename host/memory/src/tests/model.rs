//! Comparison of the tier with a reference cache that is too simple to be wrong.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Memory, Removal};
use super::support::{Factory, NOW, assert_consistent, batched, exact, facts, key};

#[derive(Clone, Debug)]
enum Operation {
    Get(u64),
    Insert(u64, u64),
    Remove(u64),
    Sweep(u64),
    Clear,
    Resize(u64),
    Swap,
}

fn operation() -> impl Strategy<Value = Operation> {
    let number = 0..24u64;
    prop_oneof![
        30 => number.clone().prop_map(Operation::Get),
        30 => (number.clone(), 1..12u64).prop_map(|(number, weight)| Operation::Insert(number, weight)),
        6 => number.prop_map(Operation::Remove),
        1 => (1..5u64).prop_map(Operation::Sweep),
        1 => Just(Operation::Clear),
        2 => (1..60u64).prop_map(Operation::Resize),
        2 => Just(Operation::Swap),
    ]
}

/// A reference cache, least recently used, over a vector of number, weight and version, coldest first.
#[derive(Default)]
struct Reference {
    entries: Vec<(u64, u64, u64)>,
    capacity: u64,
}

impl Reference {
    fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.1).sum()
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.0 == number)
    }

    fn get(&mut self, number: u64) -> Option<u64> {
        let entry = self.entries.remove(self.position(number)?);
        self.entries.push(entry);
        Some(entry.2)
    }

    fn insert(&mut self, number: u64, weight: u64, version: u64) -> bool {
        if let Some(at) = self.position(number) {
            if weight <= self.capacity && self.bytes() - self.entries[at].1 + weight <= self.capacity {
                self.entries[at] = (number, weight, version);
                return true;
            }
            self.entries.remove(at);
        }
        if weight > self.capacity {
            return false;
        }
        self.shrink_to(self.capacity - weight);
        self.entries.push((number, weight, version));
        true
    }

    fn shrink_to(&mut self, bytes: u64) {
        while self.bytes() > bytes {
            self.entries.remove(0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn with_batch_one_it_is_a_plain_cache_through_swaps_and_resizes(operations in prop::collection::vec(operation(), 1..300)) {
        let factory = Factory::watchful_lru();
        let memory = Memory::new(&exact(40), Arc::clone(&factory) as _);
        let mut reference = Reference { capacity: 40, ..Reference::default() };
        for (version, operation) in (0..).zip(operations) {
            match operation {
                Operation::Get(number) => prop_assert_eq!(memory.get(key(number), NOW), reference.get(number)),
                Operation::Insert(number, weight) => prop_assert_eq!(
                    memory.insert(key(number), version, facts(weight), NOW),
                    reference.insert(number, weight, version)
                ),
                Operation::Remove(number) => {
                    let removed = reference.position(number).map(|at| reference.entries.remove(at).2);
                    prop_assert_eq!(memory.remove(key(number), Removal::Purged, NOW), removed);
                }
                Operation::Sweep(modulus) => {
                    let before = reference.entries.len();
                    reference.entries.retain(|entry| entry.2 % modulus != 0);
                    prop_assert_eq!(memory.sweep(Removal::Purged, NOW, |_, version| version % modulus != 0), before - reference.entries.len());
                }
                Operation::Clear => {
                    memory.clear(NOW);
                    reference.entries.clear();
                }
                Operation::Resize(capacity) => {
                    memory.set_capacity_bytes(capacity, NOW);
                    reference.capacity = capacity;
                    reference.shrink_to(capacity);
                }
                Operation::Swap => { memory.swap_eviction(Arc::clone(&factory) as _, NOW).unwrap(); }
            }
            prop_assert_eq!(memory.stats().resident_bytes, reference.bytes());
            for number in 0..24 {
                let held = reference.position(number).map(|at| reference.entries[at].2);
                prop_assert_eq!(memory.peek(key(number)), held);
            }
        }
        prop_assert_eq!(memory.stats().evicted_by_host, 0);
        assert_consistent(&memory);
        factory.assert_clean();
    }

    #[test]
    fn in_batches_it_answers_the_latest_value_or_none(operations in prop::collection::vec(operation(), 1..600)) {
        let factory = Factory::watchful_lru();
        let memory = Memory::new(&batched(64), Arc::clone(&factory) as _);
        let mut latest = std::collections::HashMap::new();
        for (version, operation) in (0..).zip(operations) {
            match operation {
                Operation::Get(number) => {
                    let value = memory.get(key(number), NOW);
                    prop_assert!(value.is_none() || value == latest.get(&number).copied());
                }
                Operation::Insert(number, weight) => {
                    latest.insert(number, version);
                    memory.insert(key(number), version, facts(weight), NOW);
                }
                Operation::Remove(number) => {
                    memory.remove(key(number), Removal::Purged, NOW);
                    latest.remove(&number);
                }
                Operation::Sweep(modulus) => {
                    memory.sweep(Removal::Purged, NOW, |_, version| version % modulus != 0);
                    latest.retain(|_, version| *version % modulus != 0);
                }
                Operation::Clear => {
                    memory.clear(NOW);
                    latest.clear();
                }
                Operation::Resize(capacity) => memory.set_capacity_bytes(capacity, NOW),
                Operation::Swap => { memory.swap_eviction(Arc::clone(&factory) as _, NOW).unwrap(); }
            }
            let stats = memory.stats();
            prop_assert!(stats.resident_bytes <= stats.capacity_bytes + stats.slack_bytes);
        }
        prop_assert_eq!(memory.stats().evicted_by_host, 0);
        assert_consistent(&memory);
        factory.assert_clean();
    }
}
