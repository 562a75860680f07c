//! Prints the tables of results.

/// The times of a contender.
pub(crate) struct Row {
    name: String,
    /// Nanoseconds per operation of each round.
    pub(crate) rounds_ns: Vec<f64>,
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), rounds_ns: Vec::new() }
    }
}

/// The peer that the others are compared with.
const YARDSTICK: &str = "quick_cache";

/// Prints the table of one workload and number of threads.
pub(crate) fn print(workload: &str, threads: usize, rows: &[Row]) {
    println!("\n{workload}, {threads} thread{}", if threads == 1 { "" } else { "s" });
    println!("| | median | min | max | / {YARDSTICK} (min to max) |\n|---|---|---|---|---|");
    let yardstick = rows.iter().find(|row| row.name == YARDSTICK);
    for row in rows {
        let (min, median, max) = spread(&row.rounds_ns);
        let ratio = yardstick.map(|yardstick| {
            let ratios: Vec<f64> = row.rounds_ns.iter().zip(&yardstick.rounds_ns).map(|(own, its)| own / its).collect();
            let (min, median, max) = spread(&ratios);
            format!("{median:.2} ({min:.2} to {max:.2})")
        });
        println!("| {} | {median:.1} | {min:.1} | {max:.1} | {} |", row.name, ratio.unwrap_or_default());
    }
}

/// Least, median and greatest.
fn spread(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(sorted.len() / 2), at(sorted.len().wrapping_sub(1)))
}
