//! One case: a trace, a unit and a capacity, and what each policy misses in it.

use std::fmt;

use sandbar_gateway::replay::{Capacity, PolicyChoice, Replay, Trace, Unit};
use sandbar_tests::draws;
use sandbar_tests::truth::Truth;

use super::yardsticks;

/// What `tide` is compared with: each policy as its reference defines it, and as it is shipped where that differs.
const FIXED: &[&str] = &[
    "fifo",
    "lru",
    "lfu",
    "lfu:ageing=off",
    "clock",
    "sieve",
    "s3-fifo",
    "s3-fifo:admit_large=false",
    "2q",
    "2q:admit_large=false",
    "arc",
    "gdsf:cost=off",
    "gdsf:cost=off:admission=all",
    "w-tinylfu",
    "w-tinylfu:climber=off",
    "random",
];

/// And some that are not among the stock policies.
const YARDSTICKS: &[&str] = &["slru", "lirs"];

/// The mean of so many draws is judged: on some traffic single keys of the sample decide which view `tide` follows.
const DRAWS: u64 = 4;

/// A trace's name, a unit, and a part of the keys or of the working set.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    unit: Unit,
    fraction: f64,
}

/// Policies and their object miss ratios.
pub(crate) type Ratios = Vec<(String, f64)>;

impl Case {
    /// Each of the capacities in entries, and in bytes where there are sizes.
    pub(crate) fn all(name: &str, trace: &Trace, fractions: &[f64]) -> Vec<Self> {
        let has_sizes = trace.working_set_bytes() > trace.unique_keys();
        let units = [Unit::Entries, Unit::Bytes].into_iter().take(1 + usize::from(has_sizes));
        let case = |unit, fraction| Self { name: name.to_owned(), unit, fraction };
        units.flat_map(|unit| fractions.iter().map(move |fraction| case(unit, *fraction))).collect()
    }

    pub(crate) fn is_in_bytes(&self) -> bool {
        self.unit == Unit::Bytes
    }

    /// What a policy misses that is judged, in the mean of several draws.
    pub(crate) fn mean_ratio(&self, trace: &Trace, policy: &str) -> f64 {
        let [mean] = draws::mean(DRAWS, |seed| [self.ratio(trace, policy, seed)]);
        mean
    }

    /// What a policy misses, compiled in, with one shard and batches of one.
    fn ratio(&self, trace: &Trace, policy: &str, seed: u64) -> f64 {
        let policy = policy.parse::<PolicyChoice>().unwrap().native();
        let capacity = Capacity::Fraction(self.fraction);
        let replay = Replay { seed, ..Replay::default() };
        replay.run(trace, &policy, self.unit, capacity, &mut |_| ()).unwrap().object_miss_ratio
    }

    /// What each fixed policy misses.
    pub(crate) fn fixed(&self, trace: &Trace) -> Ratios {
        let capacity = Capacity::Fraction(self.fraction).resolve(trace, self.unit);
        let yardstick = |name: &&str| (name.to_string(), yardsticks::ratio(name, trace, self.unit, capacity));
        let stock = |policy: &&str| (policy.to_string(), self.ratio(trace, policy, 1));
        FIXED.iter().map(stock).chain(YARDSTICKS.iter().map(yardstick)).collect()
    }

    /// The same as other simulators say. Belady's is left out: it knows what comes.
    pub(crate) fn fixed_by(&self, truth: &[Truth]) -> Ratios {
        let is_it =
            |row: &&Truth| row.trace == self.name && row.unit == self.unit && row.fraction.parse() == Ok(self.fraction);
        let rows = truth.iter().filter(is_it).filter(|row| row.policy != "belady");
        rows.map(|row| (row.policy.clone(), row.miss_ratio)).collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.is_in_bytes() { "bytes" } else { "entries" };
        write!(f, "{} | {} % of {unit}", self.name, self.fraction * 100.0)
    }
}
