//! Each entry that leaves is told of, once, with the reason why.

use std::sync::Arc;

use parking_lot::Mutex;

use super::super::{Left, Memory, MemoryConfig, Removal, Witness};
use super::hostile::{Habit, hostile};
use super::support::{Factory, NOW, Random, batched, exact, facts, key};
use crate::eviction::EvictionFactory;

/// Notes what it is told.
#[derive(Default)]
struct Notes(Mutex<Vec<(u64, Left)>>);

impl Notes {
    fn take(&self) -> Vec<(u64, Left)> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Witness<u64> for Notes {
    fn left(&self, value: &u64, why: Left) {
        self.0.lock().push((*value, why));
    }
}

fn watched(config: &MemoryConfig, eviction: Arc<dyn EvictionFactory>) -> (Memory<u64>, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    (Memory::watched(config, eviction, Arc::clone(&notes) as _), notes)
}

#[test]
fn the_witness_is_told_why() {
    let (memory, notes) = watched(&exact(3), Factory::watchful_lru());
    for number in 0..4 {
        assert!(memory.insert(key(number), number, facts(1), NOW));
    }
    assert_eq!(notes.take(), [(0, Left::EvictedByPolicy)]);
    memory.insert(key(3), 30, facts(1), NOW);
    assert_eq!(notes.take(), [(3, Left::Replaced)]);
    assert!(!memory.insert(key(3), 300, facts(4), NOW));
    assert_eq!(notes.take(), [(30, Left::Replaced), (300, Left::NotAdmitted)], "too large, and the older one goes too");
    memory.remove(key(1), Removal::Ended, NOW);
    assert_eq!(notes.take(), [(1, Left::Removed(Removal::Ended))]);
    assert!(!memory.remove_if(key(2), Removal::Purged, NOW, |_| false));
    assert_eq!(notes.take(), [], "it is still there");
    memory.clear(NOW);
    assert_eq!(notes.take(), [(2, Left::Removed(Removal::Cleared))]);
    memory.insert(key(5), 5, facts(1), NOW);
    memory.insert(key(6), 6, facts(1), NOW);
    memory.set_capacity_bytes(1, NOW);
    assert_eq!(notes.take(), [(5, Left::EvictedByPolicy)]);
}

#[test]
fn what_the_host_evicts_is_told_as_the_hosts() {
    let (memory, notes) = watched(&exact(2), hostile(Habit::Withholds) as _);
    for number in 0..3 {
        memory.insert(key(number), number, facts(1), NOW);
    }
    assert_eq!(notes.take(), [(0, Left::EvictedByHost)]);
}

/// Whatever happens, each value that was given to the tier is resident, or has been told of once.
fn nothing_is_lost(config: &MemoryConfig, eviction: &Arc<dyn EvictionFactory>, seed: u64) {
    let (memory, notes) = watched(config, Arc::clone(eviction));
    let mut random = Random(seed);
    let mut given = 0;
    for version in 0..3000 {
        let number = random.below(40);
        match random.below(40) {
            0 => drop(memory.remove(key(number), Removal::Purged, NOW)),
            1 => drop(memory.sweep(Removal::Purged, NOW, |_, value| value % 7 != 0)),
            2 => drop(memory.swap_eviction(Arc::clone(eviction), NOW)),
            3 => memory.set_capacity_bytes(20 + random.below(80), NOW),
            4..=12 => drop(memory.get(key(number), NOW)),
            _ => {
                given += 1;
                memory.insert(key(number), version * 100 + number, facts(1 + random.below(12)), NOW);
            }
        }
    }
    let mut told = notes.take().into_iter().map(|(value, _)| value).collect::<Vec<_>>();
    told.extend((0..40).filter_map(|number| memory.peek(key(number))));
    told.sort_unstable();
    let times = told.len();
    told.dedup();
    assert_eq!((times, told.len()), (given, given), "{config:?}, {}", eviction.name());
}

#[test]
fn each_entry_is_resident_or_has_been_told_of_once() {
    let quick = Habit::ALL.into_iter().filter(|habit| *habit != Habit::Dawdles);
    let hostile = quick.map(|habit| hostile(habit) as Arc<dyn EvictionFactory>);
    for eviction in hostile.chain([Factory::watchful_lru() as _]) {
        for config in [exact(60), batched(60)] {
            nothing_is_lost(&config, &eviction, 1);
        }
    }
}
