//! What a swap of the policy costs: none of the entries, and hardly a hit.

use std::sync::Arc;

use sandbar::clock::Timestamp;
use sandbar::memory::{Facts, Memory, MemoryConfig};
use sandbar_gateway::replay::{Capacity, Replay, Trace, Unit};
use sandbar_tests::{draws, traces};

use super::cases::{SEEDS, choice};

/// One of each kind: recency, queues, a hand, ghosts, a sketch, a heap, trials.
const KINDS: [&str; 7] = ["lru", "s3-fifo", "sieve", "arc", "w-tinylfu", "gdsf", "tide"];

fn first_half(trace: &Trace) -> Trace {
    let mut half = Trace::default();
    for request in &trace.requests()[..trace.requests().len() / 2] {
        half.push(request.time_ms, trace.key(request.key), request.size_bytes, u64::from(request.cost_us)).unwrap();
    }
    half
}

fn misses(trace: &Trace, replay: &Replay, policy: &str, capacity: u64) -> u64 {
    let capacity = Capacity::Absolute(capacity);
    replay.run(trace, &choice(policy), Unit::Entries, capacity, &mut |_| ()).unwrap().misses
}

/// A trace of which the second half is counted.
struct Halves<'a> {
    trace: &'a Trace,
    first: Trace,
    capacity: u64,
}

impl<'a> Halves<'a> {
    fn new(trace: &'a Trace) -> Self {
        Self { trace, first: first_half(trace), capacity: Capacity::Fraction(0.1).resolve(trace, Unit::Entries) }
    }

    /// The hit ratio of the second half.
    fn hits(&self, replay: &Replay, policy: &str, misses_of_first: u64) -> f64 {
        let requests = (self.trace.requests().len() - self.first.requests().len()) as f64;
        1.0 - (misses(self.trace, replay, policy, self.capacity) - misses_of_first) as f64 / requests
    }

    /// The misses of the first half, and the hit ratio of the second.
    fn without_swap(&self, policy: &str, seed: u64) -> (u64, f64) {
        let before = misses(&self.first, &in_batches(seed), policy, self.capacity);
        (before, self.hits(&in_batches(seed), policy, before))
    }

    fn with_swap(&self, from: &str, to: &str, misses_of_first: u64, seed: u64) -> f64 {
        let swaps = vec![(self.first.requests().len() as u64, choice(to))];
        self.hits(&Replay { swaps, ..in_batches(seed) }, from, misses_of_first)
    }

    /// What a swap gains over the worse of the two policies without one.
    fn gain(&self, from: &str, to: &str, seed: u64) -> f64 {
        let (before, hits_from) = self.without_swap(from, seed);
        let (_, hits_to) = self.without_swap(to, seed);
        self.with_swap(from, to, before, seed) - hits_from.min(hits_to)
    }
}

fn in_batches(seed: u64) -> Replay {
    Replay { seed, read_buffer_len: MemoryConfig::default().read_buffer_len, ..Replay::default() }
}

/// The least of what swaps gain or lose in hit ratio.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    /// Between policies of different kinds.
    others: f64,
    /// Between two of the same kind, and which: a new version, or one with other settings.
    same: (f64, &'static str),
}

/// The hit ratio of the second half with each swap half way, less that of the worse of the two policies without one. The
/// least of them, where one that loses more than `judged_by_mean` is the mean of many draws; prints all.
fn worst(name: &str, trace: &Trace, judged_by_mean: f64) -> Worst {
    let halves = Halves::new(trace);
    let alone = KINDS.map(|policy| halves.without_swap(policy, 1));
    let mut worst = Worst::default();
    for (from, (before, hits_from)) in KINDS.iter().zip(alone) {
        for (to, (_, hits_to)) in KINDS.iter().zip(alone) {
            let hits = halves.with_swap(from, to, before, 1);
            println!("{name} {from} to {to}: {hits:.4}, without a swap {hits_from:.4} and {hits_to:.4}");
            let mut gain = hits - hits_from.min(hits_to);
            if gain < -judged_by_mean {
                [gain] = draws::mean(SEEDS, |seed| [halves.gain(from, to, seed)]);
                println!("{name} {from} to {to}: gains {gain:+.5} in the mean of {SEEDS} draws");
            }
            if from != to {
                worst.others = worst.others.min(gain);
            } else if gain < worst.same.0 {
                worst.same = (gain, to);
            }
        }
    }
    worst
}

/// A policy of another kind has to learn what it can't be told, which shows where only some thousand requests are left.
#[test]
fn a_swap_costs_some_hits_over_an_excerpt_and_fewer_between_policies_of_a_kind() {
    for name in traces::EXCERPTS {
        let worst = worst(name, &traces::excerpt(name), 0.03);
        println!("{name}: {worst:?}");
        assert!(worst.others > -0.03 && worst.same.0 > -0.005, "{name}: {worst:?}");
    }
}

/// What a swap in production does to the batches is left out here.
#[test]
fn a_swap_to_another_policy_of_the_same_kind_costs_nothing() {
    for name in traces::EXCERPTS {
        let trace = traces::excerpt(name);
        let capacity = Capacity::Fraction(0.1).resolve(&trace, Unit::Entries);
        for kind in KINDS {
            let swaps = (1..4).map(|quarter| (trace.requests().len() as u64 * quarter / 4, choice(kind))).collect();
            let swapped = Replay { swaps, ..Replay::default() };
            let (with, without) =
                (misses(&trace, &swapped, kind, capacity), misses(&trace, &Replay::default(), kind, capacity));
            assert_eq!(with, without, "{name} {kind}");
        }
    }
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn a_swap_costs_hardly_a_hit_over_a_whole_trace() {
    let Some(root) = traces::whole() else { return };
    let worst =
        traces::WHOLE.map(|name| (worst(name, &traces::open(&root.join(format!("{name}.csv.zst"))), 0.01), name));
    println!("{worst:?}");
    assert!(worst.iter().all(|(worst, _)| worst.others > -0.01 && worst.same.0 > -0.002), "{worst:?}");
}

/// The capacity is changed half way, and changed back at once: each time a policy of the new capacity takes over.
#[test]
fn a_change_of_the_capacity_loses_nothing_that_was_learnt() {
    let replay = Replay::default();
    for name in traces::EXCERPTS {
        let trace = traces::excerpt(name);
        let capacity_bytes = Capacity::Fraction(0.1).resolve(&trace, Unit::Entries);
        for kind in KINDS {
            let misses = |changes: bool| {
                let config = MemoryConfig {
                    capacity_bytes,
                    shards: Some(1),
                    read_buffer_len: 1,
                    entry_overhead_bytes: 0,
                    ..MemoryConfig::default()
                };
                let memory: Memory<()> = Memory::new(&config, replay.eviction(&choice(kind)).unwrap());
                let (now, half) = (Timestamp::from_millis(0), trace.requests().len() / 2);
                let mut misses = 0;
                for (at, request) in trace.requests().iter().enumerate() {
                    if changes && at == half {
                        memory.set_capacity_bytes(capacity_bytes * 2, now);
                        memory.set_capacity_bytes(capacity_bytes, now);
                    }
                    let key = trace.key(request.key);
                    if memory.get(key, now).is_none() {
                        misses += u32::from(at >= half);
                        memory.insert(key, (), Facts { weight_bytes: 1, ..Facts::default() }, now);
                    }
                }
                f64::from(misses) / half as f64
            };
            let (without, with) = (misses(false), misses(true));
            println!("{name} {kind}: {without:.4} missed, with changes {with:.4}");
            assert!(with - without < 0.002, "{name} {kind}: {without} and {with}");
        }
    }
}

#[test]
fn a_swap_loses_no_entry() {
    let trace = traces::excerpt("scarab_recs");
    let replay = Replay::default();
    for (from, to) in KINDS.iter().flat_map(|from| KINDS.map(|to| (from, to))) {
        let config = MemoryConfig {
            capacity_bytes: 1_000,
            shards: Some(1),
            read_buffer_len: 1,
            entry_overhead_bytes: 0,
            ..Default::default()
        };
        let memory: Memory<()> = Memory::new(&config, replay.eviction(&choice(from)).unwrap());
        let now = Timestamp::from_millis(0);
        for request in &trace.requests()[..5_000] {
            let key = trace.key(request.key);
            if memory.get(key, now).is_none() {
                memory.insert(key, (), Facts { weight_bytes: 1, ..Facts::default() }, now);
            }
        }
        let before = memory.stats();
        let swapped = memory.swap_eviction(Arc::clone(&replay.eviction(&choice(to)).unwrap()), now).unwrap();
        let after = memory.stats();
        assert!(before.entries >= 900, "{from}: {}", before.entries);
        assert_eq!((swapped.entries, after.entries), (before.entries, before.entries), "{from} to {to}");
    }
}
