//! A replay of a sample of the keys says about what a replay of all of them says.

use std::path::Path;

use sandbar_base::KeyHash;
use sandbar_gateway::replay::{Capacity, PolicyChoice, Replay, Row, Trace, Unit};

/// Requests whose popularity falls with the rank (Zipf's law, with an exponent near 1), and between them scans of keys that are never
/// asked for again. The most popular key has some 6 % of the former, so that what a sample has of the requests depends on it.
fn trace() -> Trace {
    const KEYS: f64 = 200_000.0;
    let (mut trace, mut state, mut scanned) = (Trace::default(), 1_u64, 0_u64);
    for number in 0..500_000_u64 {
        // Knuth's MMIX generator; the high bits are the good ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = (state >> 11) as f64 / (1_u64 << 53) as f64;
        let key = if number % 20_000 < 6_000 {
            scanned += 1;
            format!("scan{scanned}")
        } else {
            format!("key{}", KEYS.powf(drawn) as u64)
        };
        let key = KeyHash::of(&key);
        trace.push(number, key, 1000 + (key.0 >> 64) as u64 % 1000, 0).expect("a trace takes so many requests");
    }
    trace
}

fn run(trace: &Trace, policy: &str, unit: Unit, sample_rate: f64) -> Row {
    let policy = policy.parse::<PolicyChoice>().expect("a stock policy").native();
    let replay = Replay { sample_rate, ..Replay::default() };
    replay.run(trace, &policy, unit, Capacity::Fraction(0.1), &mut |_| ()).expect("it replays")
}

#[test]
fn a_sample_tells_the_miss_ratio_and_which_policy_is_better() {
    let trace = trace();
    for unit in [Unit::Entries, Unit::Bytes] {
        let rows = ["lru", "s3-fifo"].map(|policy| {
            let (all, sampled) = (run(&trace, policy, unit, 1.0), run(&trace, policy, unit, 0.25));
            println!("{policy} {unit:?}: {all:?}\n  {sampled:?}");
            assert!((0.25..0.26).contains(&sampled.sample_rate), "{sampled:?}");
            assert!(sampled.requests < all.requests / 2, "{sampled:?}");
            // What is asked of the adjusted miss ratio: 2 percentage points.
            assert!((sampled.object_miss_ratio - all.object_miss_ratio).abs() < 0.02, "{all:?}\n{sampled:?}");
            assert!((sampled.byte_miss_ratio - all.byte_miss_ratio).abs() < 0.02, "{all:?}\n{sampled:?}");
            (all, sampled)
        });
        let [(lru, sampled_lru), (s3, sampled_s3)] = rows;
        let gain = lru.object_miss_ratio - s3.object_miss_ratio;
        let sampled_gain = sampled_lru.object_miss_ratio - sampled_s3.object_miss_ratio;
        assert!(gain > 0.02, "the workload tells the two apart: {gain}");
        // What is asked of the difference of two policies on the same sample: half a point.
        assert!((gain - sampled_gain).abs() < 0.005, "{gain} {sampled_gain}");
    }
}

#[test]
fn the_rate_rises_where_the_sample_would_be_too_small() {
    let trace = trace();
    let policy = "lru".parse::<PolicyChoice>().expect("a stock policy").native();
    let replay = Replay { sample_rate: 0.001, ..Replay::default() };
    let rate = |capacity| {
        let row = replay.run(&trace, &policy, Unit::Entries, Capacity::Absolute(capacity), &mut |_| ());
        row.expect("it replays").sample_rate
    };
    assert_eq!((rate(1000), rate(4096)), (1.0, 0.5));
}

#[test]
fn on_recorded_traces_a_sample_of_half_the_keys_is_close() {
    for name in ["orm_busy", "scarab_recs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("traces/{name}.csv.zst"));
        let trace = Trace::open(&path, &mut |_| ()).expect("a trace of the tree");
        let ratio = |policy: &str, sample_rate| {
            let policy = policy.parse::<PolicyChoice>().expect("a stock policy").native();
            let replay = Replay { sample_rate, ..Replay::default() };
            let row = replay.run(&trace, &policy, Unit::Entries, Capacity::Fraction(0.5), &mut |_| ());
            let row = row.expect("it replays");
            // These traces have some 10,000 keys: the rate has risen until 2,048 entries are sampled.
            assert!(sample_rate == 1.0 || (0.3..0.5).contains(&row.sample_rate), "{row:?}");
            row.object_miss_ratio
        };
        let [lru, sampled_lru] = [1.0, 0.1].map(|rate| ratio("lru", rate));
        for policy in ["s3-fifo", "tide"] {
            let [all, sampled] = [1.0, 0.1].map(|rate| ratio(policy, rate));
            assert!((all - sampled).abs() < 0.02, "{name} {policy}: {all} {sampled}");
            let (gain, sampled_gain) = (lru - all, sampled_lru - sampled);
            assert!((gain - sampled_gain).abs() < 0.005, "{name} {policy}: {gain} {sampled_gain}");
        }
    }
}
