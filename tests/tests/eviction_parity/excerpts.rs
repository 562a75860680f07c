//! Over the shipped excerpts: the independent simulator, and the counts that it gave when `expected.csv` was written.

use std::collections::BTreeMap;

use sandbar_gateway::replay::{Capacity, Trace, Unit};
use sandbar_tests::traces;

use super::cases::{AS_DEFINED, Agreement, misses};
use super::{naive, naive_w_tinylfu};

/// `w-tinylfu` counts with a sketch, its definition here exactly; so small a cache feels the difference.
const BY_EXACT_COUNTS: Agreement = Agreement::Within(0.03);

/// Excerpt, unit, capacity.
type Cell = (&'static str, Unit, u64);

fn cells(name: &'static str, trace: &Trace) -> Vec<Cell> {
    let has_sizes = trace.working_set_bytes() > trace.unique_keys();
    let units = if has_sizes { [Unit::Entries, Unit::Bytes].as_slice() } else { &[Unit::Entries] };
    let cell = |unit: Unit, fraction| (name, unit, Capacity::Fraction(fraction).resolve(trace, unit));
    units.iter().flat_map(|unit| [0.01, 0.1].map(|fraction| cell(*unit, fraction))).collect()
}

/// What the definition says.
fn by_definition(policy: &str, trace: &Trace, unit: Unit, capacity: u64) -> u64 {
    let weight = |size_bytes| if unit == Unit::Bytes { size_bytes } else { 1 };
    let requests = trace.requests().iter().map(|request| (u64::from(request.key), weight(request.size_bytes)));
    let requests: Vec<naive::Request> = requests.collect();
    if policy == "w-tinylfu" {
        return naive_w_tinylfu::misses(&requests, capacity);
    }
    naive::misses(policy, &requests, capacity).unwrap()
}

/// How `w-tinylfu` treats sizes, each simulator decides for itself.
fn is_defined(policy: &str, unit: Unit) -> bool {
    policy != "w-tinylfu" || unit == Unit::Entries
}

fn line((name, unit, capacity): Cell, policy: &str) -> String {
    let unit = if unit == Unit::Bytes { "bytes" } else { "entries" };
    format!("{name},{unit},{policy},{capacity}")
}

/// The recorded counts. With `SANDBAR_RECORD_EXPECTED` set they are what is found now, and are written down.
struct Expected(BTreeMap<String, u64>);

impl Expected {
    fn read() -> Self {
        let text = std::fs::read_to_string(traces::excerpts().join("expected.csv")).unwrap_or_default();
        let count = |line: &str| line.rsplit_once(',').map(|(cell, misses)| (cell.to_owned(), misses.parse().unwrap()));
        Self(text.lines().skip(1).filter_map(count).collect())
    }

    fn write(&self) {
        let lines: String = self.0.iter().map(|(cell, misses)| format!("{cell},{misses}\n")).collect();
        let text = format!("trace,unit,policy,capacity,misses\n{lines}");
        std::fs::write(traces::excerpts().join("expected.csv"), text).unwrap();
    }
}

#[test]
fn each_policy_misses_as_often_as_its_definition_says() {
    let is_recording = std::env::var_os("SANDBAR_RECORD_EXPECTED").is_some();
    let mut expected = Expected::read();
    for name in traces::EXCERPTS {
        let trace = traces::excerpt(name);
        for cell in cells(name, &trace) {
            for (policy, choice, agreement) in AS_DEFINED.iter().filter(|case| is_defined(case.0, cell.1)) {
                let defined = by_definition(policy, &trace, cell.1, cell.2);
                if is_recording {
                    expected.0.insert(line(cell, policy), defined);
                }
                assert_eq!(expected.0.get(&line(cell, policy)), Some(&defined), "{}", line(cell, policy));
                let agreement = if *policy == "w-tinylfu" { BY_EXACT_COUNTS } else { *agreement };
                let found = misses(&trace, choice, cell.1, cell.2);
                assert!(
                    agreement.holds(found, defined as f64),
                    "{}: {found} misses, {defined} by definition",
                    line(cell, policy)
                );
            }
        }
    }
    if is_recording {
        expected.write();
    }
}

#[test]
fn every_policy_that_is_said_to_be_exact_is_written_down_twice() {
    let exact = AS_DEFINED.iter().filter(|case| case.2 == Agreement::Exact);
    for (policy, ..) in exact {
        assert!(naive::misses(policy, &[(1, 1), (2, 1), (1, 1)], 100).is_some_and(|misses| misses == 2), "{policy}");
    }
}
