//! What does a request cost in L1, and what in the fastest caches for Rust?
//!
//! Side by side in one process on the same operations: a hit, nine reads to one write, and nothing but new entries;
//! with one thread and with two. Rounds are interleaved, so that a disturbance of the machine hits every cache; the
//! table shows the median of eleven rounds and their spread, and the ratio to quick_cache as the median of the rounds'
//! ratios.
//!
//! ```sh
//! cargo bench -p sandbar-benches --bench l1 -- [--quick] [--rounds N] [--only hit|90/10|churn] [--threads N] [--contender NAME]
//! ```
//! One thread is measured in processor time, which other processes do not disturb much; several in elapsed time.
//!
//! Where the spread straddles a bound, instructions decide. `--contender NAME --count` runs one round on one thread and
//! reads no clock; the instructions that 200,000 operations more add under `valgrind --tool=callgrind` are their cost:
//! `--only hit --contender quick_cache --count --operations 200000`, and again with 400000. (Not for the guest: its
//! engine reads a clock that valgrind takes away.)

mod contenders;
mod guest;
mod report;
mod timing;
mod workload;

use std::hint::black_box;

use contenders::{Contender, Field};
use report::Row;
use workload::{Operation, Workload};

/// What was asked for on the command line.
struct Arguments {
    rounds: usize,
    operations: usize,
    only: Option<String>,
    threads: Option<usize>,
    contender: Option<String>,
    count: bool,
}

impl Arguments {
    fn read() -> Self {
        let mut arguments =
            Self { rounds: 11, operations: 1_000_000, only: None, threads: None, contender: None, count: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} takes a value"));
            match word.as_str() {
                "--quick" => (arguments.rounds, arguments.operations) = (3, 200_000),
                "--rounds" => arguments.rounds = value().parse().expect("a number of rounds"),
                "--operations" => arguments.operations = value().parse().expect("a number of operations"),
                "--only" => arguments.only = Some(value()),
                "--threads" => arguments.threads = Some(value().parse().expect("a number of threads")),
                "--count" => arguments.count = true,
                "--contender" => arguments.contender = Some(value()),
                // Cargo passes this to every bench.
                "--bench" => {}
                other => panic!("{other} is not known"),
            }
        }
        arguments
    }
}

fn main() {
    let arguments = Arguments::read();
    println!("{} entries, Zipf {}, ns per operation", workload::ENTRIES, workload::EXPONENT);
    for workload in [Workload::Hit, Workload::NineToOne, Workload::Churn] {
        if arguments.only.as_ref().is_some_and(|only| only != workload.name()) {
            continue;
        }
        for threads in [1, 2] {
            if arguments.threads.is_none_or(|only| only == threads) {
                compare(&arguments, workload, threads);
            }
        }
    }
}

fn compare(arguments: &Arguments, workload: Workload, threads: usize) {
    let field: Vec<Box<dyn Field>> = contenders::all()
        .into_iter()
        .filter(|make| arguments.contender.as_ref().is_none_or(|only| only == make.0))
        .map(|make| make.1(workload))
        .collect();
    let mut rows: Vec<Row> = field.iter().map(|contender| Row::new(contender.name())).collect();
    if arguments.count {
        let operations = workload.operations(arguments.operations, 0, 0);
        field.iter().for_each(|contender| contender.work_off(&operations));
        return;
    }
    for round in 0..=arguments.rounds {
        let operations: Vec<Vec<Operation>> =
            (0..threads).map(|thread| workload.operations(arguments.operations, round, thread)).collect();
        for (contender, row) in field.iter().zip(&mut rows) {
            let ns = contender.race(&operations);
            // The first round warms up.
            if round > 0 {
                row.rounds_ns.push(ns);
            }
        }
    }
    report::print(workload.name(), threads, &rows);
    field.iter().filter_map(|contender| contender.remark()).for_each(|remark| println!("  {remark}"));
}

/// Runs the operations of one thread.
#[inline(never)]
fn run<C: Contender>(contender: &C, operations: &[Operation]) {
    for operation in operations {
        if operation.is_insert() {
            contender.insert(operation.key(), workload::value());
        } else {
            black_box(contender.get(operation.key()));
        }
    }
}
