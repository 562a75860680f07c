//! One case: a trace, a unit and a capacity, under `tide` and under every fixed policy.

use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, Mutex};

use sandbar::replay::{Capacity, PolicyChoice, Replay, Trace, Unit};

/// What `tide` is compared with: each policy as its reference defines it, and as it is shipped where that differs.
pub(crate) const FIXED: &[&str] = &[
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

/// A trace's name, a unit, and a share of the keys or of the working set.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    unit: Unit,
    fraction: f64,
}

/// The miss ratio of the policy that is judged, and that of the best fixed one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regret {
    pub(crate) ratio: f64,
    pub(crate) best: &'static str,
    pub(crate) best_ratio: f64,
}

impl Case {
    /// 1 % and 10 %, in entries, and in bytes where there are sizes.
    pub(crate) fn all(name: &'static str, trace: &Trace) -> Vec<Self> {
        let has_sizes = trace.working_set_bytes() > trace.unique_keys();
        let units = [Unit::Entries, Unit::Bytes].into_iter().take(1 + usize::from(has_sizes));
        units.flat_map(|unit| [0.01, 0.1].map(|fraction| Self { name, unit, fraction })).collect()
    }

    pub(crate) fn is_in_bytes(&self) -> bool {
        self.unit == Unit::Bytes
    }

    fn ratio(&self, trace: &Trace, policy: &str) -> f64 {
        let policy = policy.parse::<PolicyChoice>().unwrap().native();
        let capacity = Capacity::Fraction(self.fraction);
        Replay::default().run(trace, &policy, self.unit, capacity, &mut |_| ()).unwrap().object_miss_ratio
    }
}

impl Regret {
    pub(crate) fn absolute(&self) -> f64 {
        self.ratio - self.best_ratio
    }

    pub(crate) fn relative(&self) -> f64 {
        self.ratio / self.best_ratio - 1.0
    }
}

/// Miss ratios of the fixed policies in a case, in the order of [`FIXED`]; found once.
pub(crate) fn fixed(trace: &Trace, case: &Case) -> Vec<f64> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Vec<f64>>>> = LazyLock::new(Mutex::default);
    if let Some(known) = KNOWN.lock().unwrap().get(&case.to_string()) {
        return known.clone();
    }
    let ratios: Vec<f64> = FIXED.iter().map(|policy| case.ratio(trace, policy)).collect();
    KNOWN.lock().unwrap().insert(case.to_string(), ratios.clone());
    ratios
}

/// Judges a policy in a case.
pub(crate) fn judge(trace: &Trace, case: &Case, policy: &str) -> Regret {
    let ratios = FIXED.iter().zip(fixed(trace, case));
    let (best, best_ratio) = ratios.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    Regret { ratio: case.ratio(trace, policy), best, best_ratio }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.is_in_bytes() { "bytes" } else { "entries" };
        write!(f, "{} | {} % of {unit}", self.name, self.fraction * 100.0)
    }
}

impl fmt::Display for Regret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ratio, best, best_ratio } = self;
        write!(f, "{ratio:.4} | {best} | {best_ratio:.4} | {:+.4} | {:+.1} %", self.absolute(), self.relative() * 100.0)
    }
}
