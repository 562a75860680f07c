//! `sandbar replay`: what would each of these policies have done with recorded traffic?

use std::path::{Path, PathBuf};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use sandbar_memory::ENTRY_OVERHEAD_BYTES;

use super::{Failure, Output};
use crate::replay::{self, Capacity, PolicyChoice, Replay, ReplayError, Row, Trace, Unit};
use crate::stdout::say;

/// Arguments of `sandbar replay`.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// Trace: csv `time,key,size[,cost]` or an access log in the common format, zstd-compressed or not.
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,

    /// Policies: stock names or paths of components, with settings behind colons (lfu:ageing=off).
    #[arg(long, value_delimiter = ',', required = true, value_name = "A,B,C.wasm")]
    policy: Vec<PolicyChoice>,

    /// Capacities: 1% of the trace's keys or working set, 500 entries, 64MiB.
    #[arg(long, value_delimiter = ',', default_value = "1%,10%", value_name = "1%,64MiB")]
    capacity: Vec<Capacity>,

    /// What the capacity is counted in.
    #[arg(long, value_enum, default_value = "bytes")]
    unit: Unit,

    /// Run stock policies compiled in rather than as guests.
    #[arg(long)]
    native: bool,

    /// Reads that reach the policy together; in production 1024. A small cache takes fewer, but not fewer than 64.
    #[arg(long, default_value_t = 1, value_name = "READS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,

    /// Shards of the cache.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    shards: u32,

    /// Seed of what is random in the policies.
    #[arg(long, default_value_t = 1)]
    seed: u64,

    #[arg(long, default_value_t = 0, value_name = "BYTES",
        help = format!("What an entry is charged beside its size, in bytes; production has {ENTRY_OVERHEAD_BYTES}"))]
    entry_overhead: u64,

    /// Replay only this part of the keys, by their hash, and estimate the ratios of all from it; more where the cache would
    /// hold too few entries for that.
    #[arg(long, default_value_t = 1.0, value_name = "RATE", value_parser = rate)]
    sample: f64,

    /// Draw the miss-ratio curves into this file.
    #[arg(long, value_name = "OUT.svg")]
    plot: Option<PathBuf>,
}

/// A rate, as it is written on the command line: `0.01`.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| *rate > 0.0 && *rate <= 1.0);
    rate.ok_or_else(|| format!("`{text}` is no rate: say 0.01 for one key in a hundred, at most 1"))
}

/// Runs the subcommand: each policy at each capacity, and the plot where one is wanted.
///
/// # Errors
/// When the trace can't be read, or a policy can't be bound or fails.
pub(super) fn run(args: &ReplayArgs, output: Output) -> Result<(), Failure> {
    let plot = args.plot.as_deref().map(Plot::begin).transpose().map_err(Failure::Usage)?;
    let trace = read(args).map_err(Failure::Usage)?;
    let replay = Replay {
        shards: args.shards as usize,
        read_buffer_len: args.batch as usize,
        seed: args.seed,
        entry_overhead_bytes: args.entry_overhead,
        sample_rate: args.sample,
        ..Replay::default()
    };
    let policies = policies(args, &replay).map_err(failure)?;
    let runs = policies.len() * args.capacity.len();
    let bar = bar("{msg:24!} {wide_bar} {percent}% {speed} {eta}", (runs * trace.requests().len()) as u64);
    let mut rows = Vec::with_capacity(runs);
    if output == Output::Text {
        say(heading(&trace, args.unit))?;
    }
    for policy in &policies {
        for capacity in &args.capacity {
            bar.set_message(policy.name().to_owned());
            let row = replay.run(&trace, policy, args.unit, *capacity, &mut |requests| bar.inc(requests))?;
            bar.suspend(|| output.part(&row, || line(&row)))?;
            rows.push(row);
        }
    }
    bar.finish_and_clear();
    if let Some(plot) = plot {
        let title = args.trace.file_name().unwrap_or_default().to_string_lossy();
        plot.draw(&title, &rows)?;
    }
    Ok(())
}

/// A policy that can't be bound is named wrongly; all else happens in the replay.
fn failure(error: ReplayError) -> Failure {
    if matches!(error, ReplayError::Bind { .. }) { Failure::usage(error) } else { Failure::Runtime(error.into()) }
}

/// The file of the plot, opened before the replay so that a path that can't be written is told before hours of
/// replaying. An old file stays until the plot is drawn; a new, empty one is removed where none is.
struct Plot<'a> {
    path: &'a Path,
    is_new: bool,
}

impl<'a> Plot<'a> {
    fn begin(path: &'a Path) -> anyhow::Result<Self> {
        let is_new = !path.exists();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.with_context(|| format!("can't plot to {}", path.display()))?;
        Ok(Self { path, is_new })
    }

    fn draw(mut self, title: &str, rows: &[Row]) -> anyhow::Result<()> {
        replay::plot(self.path, title, rows).with_context(|| format!("can't plot to {}", self.path.display()))?;
        self.is_new = false;
        Ok(())
    }
}

impl Drop for Plot<'_> {
    fn drop(&mut self) {
        if self.is_new {
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// The policies to replay, all of them checked: a wrong one is told before the first has run.
fn policies(args: &ReplayArgs, replay: &Replay) -> Result<Vec<PolicyChoice>, ReplayError> {
    let wanted = args.policy.iter().map(|policy| if args.native { policy.native() } else { policy.clone() });
    wanted.map(|policy| replay.check(&policy).map(|()| policy)).collect()
}

fn read(args: &ReplayArgs) -> anyhow::Result<Trace> {
    let bytes = std::fs::metadata(&args.trace).map_or(0, |file| file.len());
    let bar = bar("reading {wide_bar} {bytes} of {total_bytes}", bytes);
    let trace = Trace::open(&args.trace, &mut |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    Ok(trace)
}

/// A progress bar on standard error, if that is a terminal.
fn bar(template: &str, len: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("the template is a valid one");
    // The library's own `per_sec` has four decimals.
    let speed = |state: &ProgressState, text: &mut dyn std::fmt::Write| {
        _ = write!(text, "{:.1} M/s", state.per_sec() / 1e6);
    };
    ProgressBar::new(len).with_style(style.with_key("speed", speed))
}

fn heading(trace: &Trace, unit: Unit) -> String {
    let (requests, keys, bytes) = (trace.requests().len(), trace.unique_keys(), trace.working_set_bytes());
    let unit = if unit == Unit::Bytes { "bytes" } else { "entries" };
    format!(
        "{requests} requests for {keys} keys, working set {bytes} bytes\n\
         {:<28}{:>14}{:>12}{:>10}{:>10}{:>12}{:>8}",
        "policy", unit, "misses", "of reqs", "of bytes", "evictions", "ns/req"
    )
}

fn line(row: &Row) -> String {
    let sample = if row.sample_rate < 1.0 {
        format!("  of {:.1} % of the keys", 100.0 * row.sample_rate)
    } else {
        String::new()
    };
    format!(
        "{:<28}{:>14}{:>12}{:>10.4}{:>10.4}{:>12}{:>8.0}{sample}",
        row.policy,
        row.capacity,
        row.misses,
        row.object_miss_ratio,
        row.byte_miss_ratio,
        row.evictions,
        row.ns_per_request
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_that_is_never_drawn_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old.svg"), dir.path().join("new.svg"));
        std::fs::write(&old, "a curve").unwrap();
        for path in [&old, &new] {
            drop(Plot::begin(path).unwrap());
        }
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "a curve");
        assert!(!new.exists());
        assert!(Plot::begin(dir.path()).is_err(), "a folder is none");
    }
}
