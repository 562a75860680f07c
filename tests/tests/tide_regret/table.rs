//! Tables of regret: a policy's object miss ratio minus that of the best fixed one in the same case.

use std::fmt;

use super::judge::{Case, Ratios};

/// Cases, with what the policies that are judged and the fixed ones miss in each.
pub(crate) struct Table(pub(crate) Vec<Row>);

/// One case.
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) judged: Ratios,
    pub(crate) fixed: Ratios,
}

/// Mean regret and the worst relative one.
#[derive(Clone, Copy)]
pub(crate) struct Summary {
    pub(crate) mean: f64,
    pub(crate) worst: f64,
}

impl Row {
    fn best(&self) -> (&str, f64) {
        let best = self.fixed.iter().min_by(|a, b| a.1.total_cmp(&b.1));
        best.map(|(name, ratio)| (name.as_str(), *ratio)).expect("there are fixed policies")
    }

    /// None where the policy was not measured in this case.
    fn ratio(&self, policy: &str) -> Option<f64> {
        self.judged.iter().chain(&self.fixed).find(|row| row.0 == policy).map(|row| row.1)
    }
}

impl Table {
    /// A policy's regret in entries, or in bytes.
    pub(crate) fn summary(&self, policy: &str, in_bytes: bool) -> Summary {
        let rows = self.0.iter().filter(|row| row.case.is_in_bytes() == in_bytes);
        let regrets: Vec<(f64, f64)> = rows
            .filter_map(|row| Some((row.ratio(policy)?, row.best().1)))
            .map(|(ratio, best)| (ratio - best, ratio / best - 1.0))
            .collect();
        Summary {
            mean: regrets.iter().map(|regret| regret.0).sum::<f64>() / regrets.len().max(1) as f64,
            worst: regrets.iter().map(|regret| regret.1).fold(f64::MIN, f64::max),
        }
    }

    /// Each case under one of the judged policies.
    pub(crate) fn print_cases(&self, policy: &str) {
        println!("\n| trace | capacity | {policy} | best fixed | | regret | relative |\n|---|---|--:|---|--:|--:|--:|");
        for row in &self.0 {
            let (Some(ratio), (best, least)) = (row.ratio(policy), row.best()) else { continue };
            let (regret, relative) = (ratio - least, (ratio / least - 1.0) * 100.0);
            println!("| {} | {ratio:.4} | {best} | {least:.4} | {regret:+.4} | {relative:+.1} % |", row.case);
        }
    }

    /// The judged policies, and the fixed ones in the order of their mean regret in entries.
    pub(crate) fn print(&self, title: &str) {
        println!(
            "\n{title}, {} cases\n| policy | entries, mean | entries, worst | bytes, mean | bytes, worst |\n\
             |---|--:|--:|--:|--:|",
            self.0.len()
        );
        let Some(first) = self.0.first() else { return };
        let row = |policy: &String| (policy.clone(), [false, true].map(|in_bytes| self.summary(policy, in_bytes)));
        let mut fixed: Vec<(String, [Summary; 2])> = first.fixed.iter().map(|fixed| row(&fixed.0)).collect();
        fixed.sort_by(|a, b| a.1[0].mean.total_cmp(&b.1[0].mean));
        let judged = first.judged.iter().map(|judged| row(&judged.0));
        for (policy, [entries, bytes]) in judged.chain(fixed) {
            println!("| `{policy}` | {entries} | {bytes} |");
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.4} | {:+.1} %", self.mean, self.worst * 100.0)
    }
}
