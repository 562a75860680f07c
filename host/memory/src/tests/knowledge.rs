//! The knowledge of a policy is handed over to the one that replaces it, whatever the reason, and nothing in it is
//! trusted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use sandbar_base::Fault;
use sandbar_base::Timestamp;
use sandbar_guest::eviction::knowledge::{Ghost, KNOWLEDGE_BYTES_MAX};
use sandbar_guest::eviction::{Event, Eviction, Knowledge, advance};

use super::super::{Memory, MemoryConfig};
use super::hostile::failing_after;
use super::support::{Factory, Lru, NOW, assert_consistent, batched, exact, facts, key, keys_of};
use crate::eviction::EvictionPolicy;

/// What a student hands over, and what it does when it is told its predecessor's knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Honest,
    SaysTooMuch,
    FailsToSay,
    FailsToListen,
}

/// A policy, least recently used, that notes the knowledge that it is told.
struct Student {
    inner: Lru,
    habit: Habit,
    told: Told,
}

/// The knowledge that the policies of a factory were told, one after the other.
type Told = Arc<Mutex<Vec<Knowledge>>>;

fn lesson() -> Knowledge {
    let ghost = Ghost { key_hash: 5, weight_bytes: 6, reads: 7 };
    Knowledge { reads: (0..100).collect(), ghosts: vec![ghost], private: vec![1, 2, 3] }
}

impl EvictionPolicy for Student {
    fn advance(&mut self, now_ms: u64, events: &[u64], reclaim: u64, victims: &mut Vec<u32>) -> Result<(), Fault> {
        advance(&mut self.inner, now_ms, events, reclaim, victims);
        Ok(())
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        slots.extend(self.inner.order(after, limit));
        Ok(())
    }

    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        match self.habit {
            Habit::SaysTooMuch => Ok(Knowledge { private: vec![0; KNOWLEDGE_BYTES_MAX + 1], ..lesson() }),
            Habit::FailsToSay => Err(Fault::trap("it fails to say")),
            Habit::Honest | Habit::FailsToListen => Ok(lesson()),
        }
    }

    fn take_over(&mut self, predecessor: &Knowledge) -> Result<(), Fault> {
        self.told.lock().push(predecessor.clone());
        match self.habit {
            Habit::FailsToListen => Err(Fault::trap("it fails to listen")),
            _ => Ok(()),
        }
    }
}

fn students(habit: Habit) -> (Arc<Factory>, Told) {
    let told = Told::default();
    let to = Arc::clone(&told);
    let factory = Factory::new("student", move |capacity_bytes, seed| {
        let inner = Lru::configure("", capacity_bytes, seed).map_err(Fault::trap)?;
        Ok(Box::new(Student { inner, habit, told: Arc::clone(&to) }))
    });
    (factory, told)
}

/// A tier of one shard and 100 entries, in which the first one was read last.
fn filled(config: &MemoryConfig, factory: &Arc<Factory>) -> Memory<u64> {
    let memory = Memory::new(config, Arc::clone(factory) as _);
    (0..100).for_each(|number| _ = memory.insert(key(number), number, facts(1), NOW));
    memory.get(key(0), NOW);
    memory
}

#[test]
fn a_swap_hands_on_what_was_learnt_and_entries_arrive_with_their_reads() {
    for config in [exact(100), batched(100)] {
        let (old, new) = (students(Habit::Honest).0, students(Habit::Honest));
        let watchful = Factory::watchful_lru();
        let memory = filled(&config, &old);
        memory.swap_eviction(Arc::clone(&new.0) as _, NOW).unwrap();
        assert_eq!(*new.1.lock(), [lesson()]);
        memory.swap_eviction(Arc::clone(&watchful) as _, NOW).unwrap();
        let log = watchful.log.lock();
        let arrivals = log.iter().filter_map(|event| match event {
            Event::Arrived(arrival) => Some(arrival),
            _ => None,
        });
        let arrivals: Vec<_> = arrivals.collect();
        assert_eq!(arrivals.len(), 100);
        assert!(arrivals.iter().all(|arrival| u32::from(arrival.reads) == arrival.slot && arrival.rank > 0));
        drop(log);
        (100..110).for_each(|number| _ = memory.insert(key(number), number, facts(1), NOW));
        let log = watchful.log.lock();
        assert!(log.iter().rev().take(10).all(|event| matches!(event, Event::Arrived(new) if new.reads == 0)));
        watchful.assert_clean();
    }
}

#[test]
fn so_do_a_change_of_the_capacity_and_a_return_from_quarantine() {
    let (teacher, _) = students(Habit::Honest);
    let (bound, told) = students(Habit::Honest);
    let memory = filled(&exact(100), &bound);
    memory.set_capacity_bytes(200, NOW);
    memory.set_capacity_bytes(50, NOW);
    assert_eq!(*told.lock(), [lesson(), lesson()]);

    // The stand-in has knowledge to hand over, too.
    let fails = Arc::new(Mutex::new(true));
    let (to, failing) = (Arc::clone(&told), Arc::clone(&fails));
    let make = move |capacity_bytes, seed| {
        if *failing.lock() {
            return failing_after(0).make_one(capacity_bytes, seed);
        }
        let inner = Lru::configure("", capacity_bytes, seed).map_err(Fault::trap)?;
        Ok(Box::new(Student { inner, habit: Habit::Honest, told: Arc::clone(&to) }) as Box<dyn EvictionPolicy>)
    };
    let moody = Factory::with_fallback("moody", make, teacher);
    let memory: Memory<u64> = Memory::new(&exact(100), Arc::clone(&moody) as _);
    moody.trusted.store(false, Ordering::SeqCst);
    (0..10).for_each(|number| _ = memory.insert(key(number), number, facts(1), NOW));
    assert_eq!(memory.stats().shards_standing_in, 1);
    *fails.lock() = false;
    moody.trusted.store(true, Ordering::SeqCst);
    memory.insert(key(10), 10, facts(1), Timestamp::from_millis(NOW.as_millis() + 60_000));
    assert_eq!(memory.stats().shards_standing_in, 0);
    assert_eq!(told.lock().len(), 3);
}

#[test]
fn too_much_is_not_handed_on_but_the_order_is() {
    let (old, (new, told)) = (students(Habit::SaysTooMuch).0, students(Habit::Honest));
    let memory = filled(&exact(100), &old);
    memory.swap_eviction(Arc::clone(&new) as _, NOW).unwrap();
    assert_eq!(*told.lock(), [Knowledge::default()]);
    assert!(
        matches!(&old.faults.lock()[..], [fault] if fault.to_string().contains("nonsense: it hands over 2097")),
        "{:?}",
        old.faults
    );
    (100..110).for_each(|number| _ = memory.insert(key(number), number, facts(1), NOW));
    let kept: Vec<u64> = [0].into_iter().chain(11..110).collect();
    assert_eq!(keys_of(&memory, 200), kept, "the one that was read stays");
    assert_eq!(memory.stats().faults, 1);
}

#[test]
fn one_that_fails_to_say_is_replaced_all_the_same() {
    let (old, (new, told)) = (students(Habit::FailsToSay).0, students(Habit::Honest));
    let memory = filled(&exact(100), &old);
    memory.swap_eviction(Arc::clone(&new) as _, NOW).unwrap();
    assert_eq!((told.lock().len(), old.faults.lock().len(), memory.stats().entries), (0, 1, 100));
    (100..110).for_each(|number| _ = memory.insert(key(number), number, facts(1), NOW));
    assert_eq!(keys_of(&memory, 200), (10..110).collect::<Vec<_>>(), "in the order of insertion");
    assert_consistent(&memory);
}

#[test]
fn one_that_fails_to_listen_does_not_take_over() {
    let (old, new) = (students(Habit::Honest).0, students(Habit::FailsToListen).0);
    let memory = filled(&exact(100), &old);
    let fault = memory.swap_eviction(Arc::clone(&new) as _, NOW).unwrap_err();
    assert_eq!(fault, Fault::trap("it fails to listen"));
    assert_eq!((new.faults.lock().len(), old.faults.lock().len()), (1, 0));
    assert_eq!((memory.stats().policy, memory.stats().shards_standing_in), ("student".to_owned(), 0));
    (100..110).for_each(|number| _ = memory.insert(key(number), number, facts(1), NOW));
    let kept: Vec<u64> = [0].into_iter().chain(11..110).collect();
    assert_eq!(keys_of(&memory, 200), kept);
    assert_consistent(&memory);
}
