//! Tables of regret.

use std::fmt;

use sandbar::replay::Trace;

use super::judge::{Case, FIXED, Regret, fixed, judge};

/// `tide` in all cases, and each fixed policy's own regret.
#[derive(Default)]
pub(crate) struct Table(Vec<(Case, Regret, Vec<f64>)>);

/// Mean regret and the worst relative one.
pub(crate) struct Summary {
    mean: f64,
    worst: f64,
}

pub(crate) fn summary(regrets: &[Regret]) -> Summary {
    let mean = regrets.iter().map(Regret::absolute).sum::<f64>() / regrets.len().max(1) as f64;
    Summary { mean, worst: regrets.iter().map(Regret::relative).fold(f64::MIN, f64::max) }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.4} | {:+.1} %", self.mean, self.worst * 100.0)
    }
}

impl Table {
    pub(crate) fn note(&mut self, trace: &Trace, case: Case) {
        let regret = judge(trace, &case, "tide");
        let fixed = fixed(trace, &case);
        self.0.push((case, regret, fixed));
    }

    fn regrets(&self, in_bytes: bool) -> Vec<Regret> {
        self.0.iter().filter(|row| row.0.is_in_bytes() == in_bytes).map(|row| row.1).collect()
    }

    /// Mean regret in entries and in bytes.
    pub(crate) fn means(&self) -> [f64; 2] {
        [false, true].map(|in_bytes| summary(&self.regrets(in_bytes)).mean)
    }

    /// The worst relative regret.
    pub(crate) fn worst(&self) -> f64 {
        self.0.iter().map(|row| row.1.relative()).fold(f64::MIN, f64::max)
    }

    pub(crate) fn print(&self, title: &str) {
        println!(
            "\n{title}\n| trace | capacity | tide | best fixed | | regret | relative |\n|---|---|--:|---|--:|--:|--:|"
        );
        self.0.iter().for_each(|(case, regret, _)| println!("| {case} | {regret} |"));
        for (in_bytes, unit) in [(false, "entries"), (true, "bytes")] {
            println!("tide in {unit}: {}", summary(&self.regrets(in_bytes)));
        }
    }

    /// Each fixed policy against the best of them.
    pub(crate) fn print_fixed(&self) {
        println!("\n| policy | entries, mean | worst | bytes, mean | worst |\n|---|--:|--:|--:|--:|");
        for (index, policy) in FIXED.iter().enumerate() {
            let of = |in_bytes| {
                let rows = self.0.iter().filter(|row| row.0.is_in_bytes() == in_bytes);
                let regrets: Vec<Regret> = rows.map(|row| Regret { ratio: row.2[index], ..row.1 }).collect();
                summary(&regrets)
            };
            println!("| {policy} | {} | {} |", of(false), of(true));
        }
    }
}
