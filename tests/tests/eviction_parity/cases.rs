//! Which policy is compared with which definition.

use sandbar_gateway::replay::{Capacity, PolicyChoice, Replay, Trace, Unit};

/// How near a count has to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Agreement {
    Exact,
    /// Relative.
    Within(f64),
}

impl Agreement {
    pub(crate) fn holds(self, misses: u64, expected: f64) -> bool {
        match self {
            Self::Exact => misses as f64 == expected,
            Self::Within(share) => (misses as f64 - expected).abs() <= share * expected,
        }
    }
}

/// Policies with the settings under which they are the reference's: name there, choice here, agreement.
///
/// What differs from the shipped defaults: the reference refuses entries larger than a queue, ages nothing, learns in
/// steps of a byte, knows no fetch cost, makes room for every arrival and does not climb.
pub(crate) const AS_DEFINED: &[(&str, &str, Agreement)] = &[
    ("fifo", "fifo", Agreement::Exact),
    ("lru", "lru", Agreement::Exact),
    ("lfu", "lfu:ageing=off", Agreement::Exact),
    ("clock", "clock", Agreement::Exact),
    ("sieve", "sieve", Agreement::Exact),
    ("s3-fifo", "s3-fifo:admit_large=false", Agreement::Exact),
    ("2q", "2q:admit_large=false", Agreement::Exact),
    ("arc", "arc:step_by_weight=false", Agreement::Exact),
    ("gdsf", "gdsf:cost=off:admission=all", Agreement::Exact),
    ("w-tinylfu", "w-tinylfu:climber=off", Agreement::Within(0.02)),
];

/// Traffic on which a hair decides what a policy learns says little in one draw: where that is beyond a bound, the mean of so
/// many seeds is judged. A policy that makes no use of its seed does the same in all.
pub(crate) const SEEDS: u64 = 64;

/// A policy compiled in, by what would be written on the command line.
pub(crate) fn choice(text: &str) -> PolicyChoice {
    text.parse::<PolicyChoice>().unwrap().native()
}

/// Misses under a policy, compiled in, with one shard and batches of one.
pub(crate) fn misses(trace: &Trace, policy: &str, unit: Unit, capacity: u64) -> u64 {
    let capacity = Capacity::Absolute(capacity);
    Replay::default().run(trace, &choice(policy), unit, capacity, &mut |_| ()).unwrap().misses
}
