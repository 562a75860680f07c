//! `tide` against every fixed policy: on traffic made by code, in which one of them is often far better than all others,
//! and on the whole traces where those are at hand. Regret is its object miss ratio minus that of the best of the others.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod judge;
mod table;

use sandbar_tests::{traces, workloads};

use judge::{Case, Regret, judge};
use table::Table;

/// Small ones, and those that drove earlier versions to despair.
const QUICK: [&str; 6] =
    ["loop-small", "small-programs", "two-pools", "files-small", "loop-and-bursts", "phases-short"];

#[test]
fn no_fixed_policy_is_much_better_on_any_pattern() {
    for workload in workloads::all().iter().filter(|workload| QUICK.contains(&workload.name)) {
        let trace = traces::made(workload);
        for case in Case::all(workload.name, &trace) {
            let regret = judge(&trace, &case, "tide");
            assert!(regret.relative() < 0.10, "{case}: {regret}");
        }
    }
}

#[test]
#[ignore = "takes minutes"]
fn regret_on_traffic_made_by_code() {
    let mut table = Table::default();
    for workload in workloads::all() {
        let trace = traces::made(&workload);
        Case::all(workload.name, &trace).into_iter().for_each(|case| table.note(&trace, case));
    }
    table.print("Traffic made by code");
    table.print_fixed();
    let worst = table.worst();
    assert!(worst < 0.12, "{worst}");
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn regret_on_whole_traces() {
    let Some(root) = traces::whole() else { return };
    let mut table = Table::default();
    for name in traces::WHOLE {
        let trace = traces::open(&root.join(format!("{name}.csv.zst")));
        Case::all(name, &trace).into_iter().for_each(|case| table.note(&trace, case));
    }
    table.print("Whole traces");
    table.print_fixed();
    let ([entries, bytes], worst) = (table.means(), table.worst());
    assert!(entries <= 0.001 && bytes <= 0.002, "mean regret {entries} in entries, {bytes} in bytes");
    assert!(worst <= 0.04, "{worst}");
}

#[test]
#[ignore = "takes minutes"]
fn what_each_part_of_tide_is_worth() {
    println!("\n| left out | entries, mean | worst | bytes, mean | worst |\n|---|--:|--:|--:|--:|");
    let parts = ["tide", "tide:ghosts=false", "tide:size=false", "tide:adapt=false"].map(str::to_owned);
    let views = (0..11).map(|view| format!("tide:view={view}"));
    for policy in parts.into_iter().chain(views) {
        let mut regrets: [Vec<Regret>; 2] = [vec![], vec![]];
        for workload in workloads::all() {
            let trace = traces::made(&workload);
            for case in Case::all(workload.name, &trace) {
                regrets[case.is_in_bytes() as usize].push(judge(&trace, &case, &policy));
            }
        }
        let [entries, bytes] = regrets.map(|regrets| table::summary(&regrets));
        println!("| {policy} | {entries} | {bytes} |");
    }
}
