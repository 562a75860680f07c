//! What the production's batches and shards cost: next to nothing.
//!
//! Batches make the miss ratio a little better, if anything: until the policy has been asked, a shard may be too large by
//! 1/64. So what is bounded here is how much worse it gets.

use sandbar::memory::{MemoryConfig, SHARD_BYTES_MIN, shards_of_at_least};
use sandbar_gateway::replay::{Capacity, Replay, Trace, Unit};
use sandbar_policies::eviction::NATIVE;
use sandbar_tests::{draws, traces};

use super::cases::{SEEDS, choice};

/// A shard holds at least this many entries in production: it has 24 MiB, and a usual entry 16 KiB.
const SHARD_ENTRIES_MIN: u64 = 1536;
/// Smaller caches say little of production.
const ENTRIES_MIN: u64 = 512;

fn production_shards(unit: Unit, capacity: u64) -> usize {
    let least = if unit == Unit::Bytes { SHARD_BYTES_MIN } else { SHARD_ENTRIES_MIN };
    shards_of_at_least(least, capacity)
}

/// By how much a miss ratio may increase by batches, and by batches and shards.
const BOUNDS: [f64; 2] = [0.001, 0.003];

fn is_within(increases: [f64; 2]) -> bool {
    increases.iter().zip(BOUNDS).all(|(increase, bound)| *increase < bound)
}

/// One cell of the table.
#[derive(Debug)]
struct Cell<'a> {
    trace: &'a Trace,
    policy: &'a str,
    unit: Unit,
    capacity: u64,
    shards: usize,
}

impl Cell<'_> {
    fn ratio(&self, replay: &Replay) -> f64 {
        let capacity = Capacity::Absolute(self.capacity);
        replay.run(self.trace, &choice(self.policy), self.unit, capacity, &mut |_| ()).unwrap().object_miss_ratio
    }

    /// The miss ratio in one shard and in batches of one, and its increases.
    fn draw(&self, seed: u64) -> (f64, [f64; 2]) {
        let plain = Replay { seed, ..Replay::default() };
        let batched = Replay { seed, read_buffer_len: MemoryConfig::default().read_buffer_len, ..Replay::default() };
        let ratio = self.ratio(&plain);
        let by_batches = self.ratio(&batched) - ratio;
        let by_shards = self.ratio(&Replay { shards: self.shards, ..batched }) - ratio;
        (ratio, [by_batches, by_shards])
    }

    fn increases(&self, case: &str) -> [f64; 2] {
        let (ratio, one) = self.draw(1);
        println!("{case}: {ratio:.4} batches {:+.5} {} shards {:+.5}", one[0], self.shards, one[1]);
        if is_within(one) {
            return one;
        }
        let mean = draws::mean(SEEDS, |seed| self.draw(seed).1);
        println!("{case}: mean of {SEEDS} draws: batches {:+.5} shards {:+.5}", mean[0], mean[1]);
        mean
    }
}

/// Says which cells are beyond the bounds.
fn beyond(name: &str, trace: &Trace, fraction: f64) -> Vec<String> {
    assert!(MemoryConfig::default().read_buffer_len >= 64);
    let has_sizes = trace.working_set_bytes() > trace.unique_keys();
    let mut cases = vec![];
    for unit in [Unit::Entries, Unit::Bytes].into_iter().take(1 + usize::from(has_sizes)) {
        let capacity = Capacity::Fraction(fraction).resolve(trace, unit);
        if unit == Unit::Entries && capacity < ENTRIES_MIN {
            continue;
        }
        let shards = production_shards(unit, capacity);
        // `random` draws other victims whenever anything changes; that is no cost.
        for policy in NATIVE.iter().filter(|policy| policy.name != "random") {
            let case = format!("{name} {} % of {unit:?} {}", fraction * 100.0, policy.name);
            let increases = Cell { trace, policy: policy.name, unit, capacity, shards }.increases(&case);
            if !is_within(increases) {
                cases.push(format!("{case}: {increases:?}"));
            }
        }
    }
    cases
}

#[test]
fn batches_and_shards_hardly_change_the_miss_ratio() {
    let cases: Vec<String> =
        traces::EXCERPTS.iter().flat_map(|name| beyond(name, &traces::excerpt(name), 0.1)).collect();
    assert!(cases.is_empty(), "{cases:#?}");
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn batches_and_shards_hardly_change_the_miss_ratio_of_whole_traces() {
    let Some(root) = traces::whole() else { return };
    let of_trace = |name: &&str| {
        let trace = traces::open(&root.join(format!("{name}.csv.zst")));
        [0.01, 0.1].into_iter().flat_map(|fraction| beyond(name, &trace, fraction)).collect::<Vec<_>>()
    };
    let cases: Vec<String> = traces::WHOLE.iter().flat_map(of_trace).collect();
    assert!(cases.is_empty(), "{cases:#?}");
}
