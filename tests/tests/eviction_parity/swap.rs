//! What a swap of the policy costs: none of the entries, and hardly a hit.

use std::sync::Arc;

use sandbar::clock::Timestamp;
use sandbar::replay::{Capacity, Replay, Trace, Unit};
use sandbar::tier::memory::{Facts, Memory, MemoryConfig};
use sandbar_tests::traces;

use super::cases::choice;

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

/// The hit ratio of the second half under each policy without a swap, and the misses of the first half.
fn without_swap(trace: &Trace, half: &Trace, replay: &Replay, capacity: u64) -> Vec<(u64, f64)> {
    let requests = (trace.requests().len() - half.requests().len()) as f64;
    let run = |policy: &&str| {
        let before = misses(half, replay, policy, capacity);
        (before, 1.0 - (misses(trace, replay, policy, capacity) - before) as f64 / requests)
    };
    KINDS.iter().map(run).collect()
}

/// The hit ratio of the second half with each swap half way, less that of the worse of the two policies without one. The
/// least of them; prints all.
fn worst(name: &str, trace: &Trace) -> f64 {
    let replay = Replay { read_buffer_len: MemoryConfig::default().read_buffer_len, ..Replay::default() };
    let half = first_half(trace);
    let swap_at = half.requests().len() as u64;
    let capacity = Capacity::Fraction(0.1).resolve(trace, Unit::Entries);
    let alone = without_swap(trace, &half, &replay, capacity);
    let requests = (trace.requests().len() - half.requests().len()) as f64;
    let mut worst = 0.0_f64;
    for (from, &(before, hits_from)) in KINDS.iter().zip(&alone) {
        for (to, &(_, hits_to)) in KINDS.iter().zip(&alone) {
            let swapped = Replay { swaps: vec![(swap_at, choice(to))], ..replay.clone() };
            let hits = 1.0 - (misses(trace, &swapped, from, capacity) - before) as f64 / requests;
            println!("{name} {from} to {to}: {hits:.4}, without a swap {hits_from:.4} and {hits_to:.4}");
            worst = worst.min(hits - hits_from.min(hits_to));
        }
    }
    worst
}

/// What a policy had learned of keys that are not resident is lost with it, which shows where only some thousand requests
/// are left.
#[test]
fn a_swap_costs_some_hits_over_an_excerpt() {
    for name in traces::EXCERPTS {
        let worst = worst(name, &traces::excerpt(name));
        assert!(worst > -0.05, "{name}: {worst}");
    }
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn a_swap_costs_hardly_a_hit_over_a_whole_trace() {
    let Some(root) = traces::whole() else { return };
    let worst = traces::WHOLE.map(|name| (worst(name, &traces::open(&root.join(format!("{name}.csv.zst")))), name));
    println!("{worst:?}");
    assert!(worst.iter().all(|(worst, _)| *worst > -0.01), "{worst:?}");
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
