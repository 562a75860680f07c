//! `truth.csv`: the miss ratios of other simulators over the whole traces.

use std::path::Path;

use sandbar_gateway::replay::Unit;

/// A row of `truth.csv`.
#[derive(Clone, Debug)]
pub struct Truth {
    /// The trace.
    pub trace: String,
    /// What the capacity is counted in.
    pub unit: Unit,
    /// The policy, by its name in that file.
    pub policy: String,
    /// The capacity as a part of the keys or of the working set.
    pub fraction: String,
    /// The capacity, in that unit.
    pub capacity: u64,
    /// Number of requests of the trace.
    pub requests: u64,
    /// The part of the requests that missed.
    pub miss_ratio: f64,
}

impl Truth {
    /// Reads the rows, without those whose ratio is 1: there the reference has given up.
    ///
    /// # Panics
    /// If the folder has no such file, or it is another one.
    pub fn read(root: &Path) -> Vec<Self> {
        let path = root.join("truth.csv");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let row = |line| Self::parse(line).unwrap_or_else(|| panic!("{}: `{line}` is no row", path.display()));
        text.lines().skip(1).map(row).filter(|row| row.miss_ratio < 0.9999995).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(',').collect();
        let field = |index: usize| fields.get(index).copied();
        Some(Self {
            trace: field(0)?.to_owned(),
            unit: if field(1)? == "byte" { Unit::Bytes } else { Unit::Entries },
            policy: field(2)?.to_owned(),
            fraction: field(3)?.to_owned(),
            capacity: field(4)?.parse().ok()?,
            requests: field(6)?.parse().ok()?,
            miss_ratio: field(10)?.parse().ok()?,
        })
    }

    /// Requests that missed: a whole number for policies that aren't random.
    pub fn misses(&self) -> f64 {
        (self.miss_ratio * self.requests as f64).round()
    }
}
