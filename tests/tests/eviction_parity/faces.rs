//! A stock policy decides the same as a guest and compiled in: as many misses, and the same victims in the same order.

use std::sync::Arc;

use parking_lot::Mutex;
use sandbar::memory::MemoryConfig;
use sandbar::memory::eviction::{EvictionFactory, EvictionPolicy};
use sandbar::policy::{Digest, Fault};
use sandbar_gateway::replay::{Capacity, PolicyChoice, Replay, Trace, Unit};
use sandbar_guest::eviction::Knowledge;
use sandbar_policies::eviction::NATIVE;
use sandbar_tests::traces;

/// A factory whose policies leave a record of their victims.
struct Recorded {
    inner: Arc<dyn EvictionFactory>,
    victims: Arc<Mutex<Vec<u32>>>,
}

struct RecordedShard {
    inner: Box<dyn EvictionPolicy>,
    victims: Arc<Mutex<Vec<u32>>>,
}

impl EvictionFactory for Recorded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn digest(&self) -> Option<Digest> {
        self.inner.digest()
    }

    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        let inner = self.inner.make(capacity_bytes, seed)?;
        Ok(Box::new(RecordedShard { inner, victims: Arc::clone(&self.victims) }))
    }

    fn faulted(&self, fault: &Fault) {
        self.inner.faulted(fault);
    }

    fn is_trusted(&self) -> bool {
        self.inner.is_trusted()
    }

    fn fallback(&self) -> Arc<dyn EvictionFactory> {
        self.inner.fallback()
    }
}

impl EvictionPolicy for RecordedShard {
    fn advance(&mut self, now: u64, events: &[u64], reclaim: u64, victims: &mut Vec<u32>) -> Result<(), Fault> {
        let before = victims.len();
        self.inner.advance(now, events, reclaim, victims)?;
        self.victims.lock().extend(&victims[before..]);
        Ok(())
    }

    fn order(&mut self, after: Option<u32>, limit: u32, slots: &mut Vec<u32>) -> Result<(), Fault> {
        self.inner.order(after, limit, slots)
    }

    fn hand_over(&mut self) -> Result<Knowledge, Fault> {
        self.inner.hand_over()
    }

    fn take_over(&mut self, predecessor: &Knowledge) -> Result<(), Fault> {
        self.inner.take_over(predecessor)
    }
}

/// Misses and victims.
fn decisions(replay: &Replay, trace: &Trace, policy: &PolicyChoice, unit: Unit) -> (u64, Vec<u32>) {
    let victims = Arc::default();
    let recorded = Recorded { inner: replay.eviction(policy).unwrap(), victims: Arc::clone(&victims) };
    let named = (policy.name(), Arc::new(recorded) as Arc<dyn EvictionFactory>);
    let row = replay.run_with(trace, named, unit, Capacity::Fraction(0.05), &mut |_| ()).unwrap();
    let victims = std::mem::take(&mut *victims.lock());
    (row.misses, victims)
}

fn both_faces_decide_alike(replay: &Replay, name: &str, trace: &Trace) {
    let has_sizes = trace.working_set_bytes() > trace.unique_keys();
    let unit = if has_sizes { Unit::Bytes } else { Unit::Entries };
    for policy in NATIVE {
        let guest: PolicyChoice = policy.name.parse().unwrap();
        let by_guest = decisions(replay, trace, &guest, unit);
        let by_native = decisions(replay, trace, &guest.native(), unit);
        assert!(by_native.1.len() > 100, "{name} {}: {} victims say little", policy.name, by_native.1.len());
        assert_eq!(by_guest.0, by_native.0, "{name} {}: misses", policy.name);
        assert!(by_guest.1 == by_native.1, "{name} {}: victims", policy.name);
        println!("{name} {}: {} misses and {} victims alike", policy.name, by_guest.0, by_guest.1.len());
    }
}

fn production() -> Replay {
    Replay { read_buffer_len: MemoryConfig::default().read_buffer_len, ..Replay::default() }
}

#[test]
fn guests_decide_as_if_they_were_compiled_in() {
    let replays = [Replay::default(), production()];
    for name in traces::EXCERPTS {
        let trace = traces::excerpt(name);
        replays.iter().for_each(|replay| both_faces_decide_alike(replay, name, &trace));
    }
}

/// A guest hands over what its native face would, and goes on like that one where it takes over.
#[test]
fn guests_swap_as_if_they_were_compiled_in() {
    for name in traces::EXCERPTS {
        let trace = traces::excerpt(name);
        let swap_at = trace.requests().len() as u64 / 2;
        for policy in NATIVE {
            let guest: PolicyChoice = policy.name.parse().unwrap();
            let run = |choice: &PolicyChoice| {
                let replay = Replay { swaps: vec![(swap_at, choice.clone())], ..Replay::default() };
                decisions(&replay, &trace, choice, Unit::Entries).0
            };
            assert_eq!(run(&guest), run(&guest.native()), "{name} {}", policy.name);
        }
    }
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn guests_decide_over_whole_traces_as_if_they_were_compiled_in() {
    let Some(root) = traces::whole() else { return };
    let replay = production();
    for name in traces::WHOLE {
        both_faces_decide_alike(&replay, name, &traces::open(&root.join(format!("{name}.csv.zst"))));
    }
}
