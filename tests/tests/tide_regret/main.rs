//! `tide` against every fixed policy: on traffic made by code, in which one of them is often far better than all others,
//! and on the whole traces where those are at hand. Regret is its object miss ratio minus that of the best of the others.
//!
//! The tests that take minutes print the tables of `docs/eviction.md`: `--ignored --nocapture --test-threads=1`.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod judge;
mod table;
mod yardsticks;

use rayon::prelude::*;
use sandbar_gateway::replay::Trace;
use sandbar_tests::traces;
use sandbar_tests::truth::Truth;
use sandbar_tests::workloads::{self, Workload};

use judge::{Case, Ratios};
use table::{Row, Table};

/// Parts of the keys or of the working set, for the patterns and traces that were looked at while `tide` was made ...
const FRACTIONS: &[f64] = &[0.01, 0.1];
/// ... and others, for the patterns that were not.
const FRACTIONS_HELD_OUT: &[f64] = &[0.005, 0.02, 0.08, 0.25];

/// Small ones, and those that drove earlier versions to despair.
const QUICK: [&str; 6] =
    ["loop-small", "small-programs", "two-pools", "files-small", "loop-and-bursts", "phases-short"];

/// `tide` without one of its parts.
const PARTS: &[&str] = &[
    "tide",
    "tide:adapt=false",
    r#"tide:views=["quick-demotion"]"#,
    r#"tide:views=["greedy-dual-size","quick-demotion"]"#,
    r#"tide:views=["greedy-dual-size","quick-demotion","recency","loop"]"#,
    concat!(
        r#"tide:views=["greedy-dual-size","quick-demotion","patience","recency","rare-reads","drift","#,
        r#""patient-drift","correlated-reads","loop","bursty-loop","resident-reads"]"#
    ),
    concat!(
        r#"tide:views=["greedy-dual-size","quick-demotion","patience","recency","rare-reads","drift","#,
        r#""patient-drift","correlated-reads","resident-reads"]"#
    ),
    "tide:luck=false",
    "tide:ghosts=false",
    "tide:size=false",
];

/// What policies miss of a trace, and what the fixed ones do, each case on a core of its own.
fn rows(
    (name, trace): (&str, &Trace),
    fractions: &[f64],
    policies: &[&str],
    fixed: impl Fn(&Case) -> Ratios + Sync,
) -> Vec<Row> {
    let judged = |case: &Case| {
        let ratio = |policy: &&str| (policy.to_string(), case.mean_ratio(trace, policy));
        policies.iter().map(ratio).collect()
    };
    let row = |case: Case| Row { judged: judged(&case), fixed: fixed(&case), case };
    Case::all(name, trace, fractions).into_par_iter().map(row).collect()
}

/// What policies and all fixed ones miss on traffic made by code.
fn on_patterns(patterns: &[Workload], fractions: &[f64], policies: &[&str]) -> Table {
    let of_pattern = |pattern: &Workload| {
        let trace = traces::made(pattern);
        rows((pattern.name, &trace), fractions, policies, |case| case.fixed(&trace))
    };
    Table(patterns.par_iter().flat_map(of_pattern).collect())
}

/// What policies miss on the whole traces, and all fixed ones by the word of other simulators. None without the traces.
fn on_whole_traces(policies: &[&str]) -> Option<Table> {
    let root = traces::whole()?;
    let truth = Truth::read(&root);
    let of_trace = |name: &&str| {
        let trace = traces::open(&root.join(format!("{name}.csv.zst")));
        rows((name, &trace), FRACTIONS, policies, |case| case.fixed_by(&truth))
    };
    Some(Table(traces::WHOLE.par_iter().flat_map(of_trace).collect()))
}

fn assert_worst(table: &Table, worst: f64) {
    for in_bytes in [false, true] {
        let found = table.summary("tide", in_bytes).worst;
        assert!(found < worst, "{found} in bytes: {in_bytes}");
    }
}

#[test]
fn no_fixed_policy_is_much_better_on_any_pattern() {
    let patterns: Vec<Workload> =
        workloads::all().into_iter().filter(|pattern| QUICK.contains(&pattern.name)).collect();
    assert_eq!(patterns.len(), QUICK.len());
    let table = on_patterns(&patterns, FRACTIONS, &["tide"]);
    table.print_cases("tide");
    assert_worst(&table, 0.10);
}

#[test]
#[ignore = "takes minutes"]
fn regret_on_traffic_made_by_code() {
    let table = on_patterns(&workloads::all(), FRACTIONS, PARTS);
    table.print_cases("tide");
    table.print("Patterns made by code");
    assert_worst(&table, 0.12);
}

#[test]
#[ignore = "takes minutes"]
fn regret_on_patterns_that_were_held_out() {
    let table = on_patterns(&workloads::held_out(), FRACTIONS_HELD_OUT, PARTS);
    table.print_cases("tide");
    table.print("Patterns that were held out");
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn regret_on_whole_traces() {
    let Some(table) = on_whole_traces(PARTS) else { return };
    table.print_cases("tide");
    table.print("Whole traces");
    let [entries, bytes] = [false, true].map(|in_bytes| table.summary("tide", in_bytes).mean);
    assert!(entries <= 0.001 && bytes <= 0.002, "mean regret {entries} in entries, {bytes} in bytes");
    assert_worst(&table, 0.04);
}

/// What `tide` misses of what was held out, in the mean: what a constant of it is worth shows beside the same with another
/// value, which the environment says where `tide` was compiled with `tuning` (`policies/eviction/tide/src/constants.rs`).
/// Differences of it are differences of mean regret.
#[test]
#[ignore = "a measurement, which takes a minute"]
fn misses_of_tide_as_built() {
    let of_pattern = |pattern: &Workload| {
        let trace = traces::made(pattern);
        let miss = |case: Case| (case.is_in_bytes(), case.mean_ratio(&trace, "tide"));
        Case::all(pattern.name, &trace, FRACTIONS_HELD_OUT).into_par_iter().map(miss).collect::<Vec<_>>()
    };
    let misses: Vec<(bool, f64)> = workloads::held_out().par_iter().flat_map(of_pattern).collect();
    let [entries, bytes] = [false, true].map(|in_bytes| {
        let of_unit: Vec<f64> = misses.iter().filter(|miss| miss.0 == in_bytes).map(|miss| miss.1).collect();
        of_unit.iter().sum::<f64>() / of_unit.len() as f64
    });
    println!("tide as built misses {entries:.4} in entries, {bytes:.4} in bytes");
}

/// The yardsticks are what they are said to be: `slru` exactly, `lirs` nearly, as its sources differ in details.
#[test]
#[ignore = "needs the whole traces"]
fn yardsticks_miss_as_often_as_in_other_simulators() {
    let Some(root) = traces::whole() else { return };
    for row in Truth::read(&root).iter().filter(|row| ["slru", "lirs"].contains(&row.policy.as_str())) {
        let trace = traces::open(&root.join(format!("{}.csv.zst", row.trace)));
        let ratio = yardsticks::ratio(&row.policy, &trace, row.unit, row.capacity);
        let difference = ratio / row.miss_ratio - 1.0;
        println!("{} {:?} {} {}: {:+.3} %", row.trace, row.unit, row.fraction, row.policy, difference * 100.0);
        let within = if row.policy == "slru" { 1e-7 } else { 0.02 };
        assert!(difference.abs() < within, "{row:?}: {ratio}");
    }
}
