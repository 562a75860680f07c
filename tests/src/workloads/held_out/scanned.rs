//! Scans and loops, alone and over other traffic.

use crate::workloads::Workload;
use crate::workloads::draw::{Draw, Zipf};
use crate::workloads::sizes::Sizes;

const REQUESTS: usize = 200_000;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "loop-that-changes",
        about: "8,000 keys in turn; in each round one in 30 is another one",
        keys: loop_that_changes,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "three-loops",
        about: "loops over 200, 2,500 and 15,000 keys, a third of the requests each",
        keys: three_loops,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "backups",
        about: "Zipf 0.9 over 20,000 keys, and every 35,000 requests all of them in turn",
        keys: backups,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "to-and-fro",
        about: "12,000 keys forwards, then backwards, again and again",
        keys: |_| (0..REQUESTS as u64).map(|at| (at % 24_000).min(23_999 - at % 24_000) + 1).collect(),
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "columns",
        about: "a matrix of 100 x 120 blocks, by rows and by columns in turns, each a few times",
        keys: columns,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "zipf-then-loop",
        about: "Zipf 1.0 for the first half, then 9,000 keys in turn",
        keys: zipf_then_loop,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "joins",
        about: "blocks of 150 keys are read twice, 1,500 requests apart, between a Zipf 0.9",
        keys: joins,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "crawler-with-tides",
        about: "Zipf 1.0 among keys that never come back; their part goes up and down between 5 % and 90 %",
        keys: crawler_tides,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "flood-of-one-hits",
        about: "Zipf 1.1; 6 of 10 requests are for keys that never come back",
        keys: flood,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "scans-of-all-lengths",
        about: "Zipf 0.8 and scans of new keys, 20 to 20,000 long, a third of the requests",
        keys: scans,
        sizes: Sizes::LogNormal,
    },
];

fn loop_that_changes(draw: &mut Draw) -> Vec<u64> {
    let mut keys: Vec<u64> = (1..=8_000).collect();
    let request = |at: usize| {
        let key = &mut keys[at % 8_000];
        if draw.chance(1.0 / 30.0) {
            *key = draw.fresh();
        }
        *key
    };
    (0..REQUESTS).map(request).collect()
}

fn three_loops(draw: &mut Draw) -> Vec<u64> {
    let mut at = [0; 3];
    let request = |_| {
        let which = draw.below(3) as usize;
        at[which] += 1;
        at[which] % [200, 2_500, 15_000][which] + 100_000 * (which as u64 + 1)
    };
    (0..REQUESTS).map(request).collect()
}

fn backups(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 0.9);
    let mut keys = vec![];
    while keys.len() < REQUESTS {
        keys.extend((0..35_000).map(|_| zipf.draw(draw) as u64 + 1));
        keys.extend(1..=20_000);
    }
    keys
}

fn columns(draw: &mut Draw) -> Vec<u64> {
    const ROWS: u64 = 100;
    const COLUMNS: u64 = 120;
    let mut keys = vec![];
    while keys.len() < REQUESTS {
        let (row, column) = (draw.below(ROWS), draw.below(COLUMNS));
        for _ in 0..1 + draw.below(4) {
            // Ten rows, or ten columns, from there.
            keys.extend((0..10 * COLUMNS).map(|at| (row * COLUMNS + at) % (ROWS * COLUMNS) + 1));
        }
        for _ in 0..1 + draw.below(4) {
            keys.extend((0..10 * ROWS).map(|at| at % ROWS * COLUMNS + (column + at / ROWS) % COLUMNS + 1));
        }
    }
    keys
}

fn zipf_then_loop(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 1.0);
    let half = REQUESTS as u64 / 2;
    let first: Vec<u64> = (0..half).map(|_| zipf.draw(draw) as u64 + 1).collect();
    first.into_iter().chain((0..half).map(|at| at % 9_000 + 100_000)).collect()
}

fn joins(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 0.9);
    let mut blocks: Vec<Vec<u64>> = vec![];
    let mut keys = vec![];
    while keys.len() < REQUESTS {
        let block: Vec<u64> = (0..150).map(|_| draw.fresh()).collect();
        keys.extend(&block);
        blocks.push(block);
        keys.extend((0..100).map(|_| zipf.draw(draw) as u64 + 1));
        if blocks.len() >= 5 {
            keys.extend(blocks.remove(0));
        }
    }
    keys
}

fn crawler_tides(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 1.0);
    let request = |now: usize| {
        let part = 0.475 + 0.425 * (now as f64 / 45_000.0 * std::f64::consts::TAU).sin();
        if draw.chance(part) { draw.fresh() } else { zipf.draw(draw) as u64 + 1 }
    };
    (0..REQUESTS).map(request).collect()
}

fn flood(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(30_000, 1.1);
    (0..REQUESTS).map(|_| if draw.chance(0.6) { draw.fresh() } else { zipf.draw(draw) as u64 + 1 }).collect()
}

fn scans(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(25_000, 0.8);
    let mut keys = vec![];
    while keys.len() < REQUESTS {
        let len = (20.0 * draw.pareto(0.6)).min(20_000.0) as usize;
        keys.extend((0..len).map(|_| draw.fresh()));
        keys.extend((0..2 * len).map(|_| zipf.draw(draw) as u64 + 1));
    }
    keys
}
