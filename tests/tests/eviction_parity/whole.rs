//! Over whole traces: the counts of `truth.csv`, which other simulators gave.

use std::collections::BTreeMap;

use sandbar_gateway::replay::Unit;
use sandbar_tests::traces;
use sandbar_tests::truth::Truth;

use super::cases::{AS_DEFINED, misses};

/// The policies as they are shipped, under the reference's names.
const AS_SHIPPED: &[(&str, &str)] = &[
    ("fifo", "fifo"),
    ("lru", "lru"),
    ("lfu", "lfu"),
    ("clock", "clock"),
    ("sieve", "sieve"),
    ("s3-fifo", "s3-fifo"),
    ("2q", "2q"),
    ("arc", "arc"),
    ("gdsf", "gdsf"),
    ("w-tinylfu", "w-tinylfu"),
];

/// For each policy: cells, those that are equal, and the largest relative difference.
#[derive(Default)]
struct Tally(BTreeMap<(String, &'static str), (u64, u64, f64)>);

impl Tally {
    fn note(&mut self, row: &Truth, found: u64) -> f64 {
        let difference = found as f64 / row.misses() - 1.0;
        let unit = if row.unit == Unit::Bytes { "bytes" } else { "entries" };
        let (cells, equal, most) = self.0.entry((row.policy.clone(), unit)).or_default();
        *cells += 1;
        *equal += u64::from(difference == 0.0);
        if difference.abs() > most.abs() {
            *most = difference;
        }
        difference
    }

    fn print(&self, title: &str) {
        println!("\n{title}\n| policy | unit | cells | exact | largest difference |\n|---|---|--:|--:|--:|");
        for ((policy, unit), (cells, equal, most)) in &self.0 {
            println!("| {policy} | {unit} | {cells} | {equal} | {:+.2} % |", most * 100.0);
        }
    }
}

#[test]
#[ignore = "takes minutes, and needs the whole traces"]
fn each_policy_misses_as_often_as_in_other_simulators() {
    let Some(root) = traces::whole() else { return };
    let rows = Truth::read(&root);
    let names: std::collections::BTreeSet<&str> = rows.iter().map(|row| row.trace.as_str()).collect();
    let (mut defined, mut shipped, mut wrong) = (Tally::default(), Tally::default(), vec![]);
    for name in names {
        let trace = traces::open(&root.join(format!("{name}.csv.zst")));
        for row in rows.iter().filter(|row| row.trace == name) {
            for (_, choice, agreement) in AS_DEFINED.iter().filter(|case| case.0 == row.policy) {
                let found = misses(&trace, choice, row.unit, row.capacity);
                let difference = defined.note(row, found);
                // How `w-tinylfu` treats sizes, each simulator decides for itself.
                let is_defined = row.policy != "w-tinylfu" || row.unit == Unit::Entries;
                if is_defined && !agreement.holds(found, row.misses()) {
                    let (unit, fraction) = (row.unit, &row.fraction);
                    wrong.push(format!("{name} {unit:?} {fraction} {choice}: {found}, {:+.3} %", difference * 100.0));
                }
            }
            for (_, choice) in AS_SHIPPED.iter().filter(|case| case.0 == row.policy) {
                shipped.note(row, misses(&trace, choice, row.unit, row.capacity));
            }
        }
    }
    defined.print("With the reference's settings");
    shipped.print("As shipped");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
