//! Loops and scans: a key that was just read is the last to be read again.

use super::Workload;
use super::draw::{Draw, Zipf};
use super::sizes::Sizes;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "loop",
        about: "10,000 keys in turn, 25 times",
        keys: |_| (0..250_000u64).map(|request| request % 10_000 + 1).collect(),
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "loop-small",
        about: "1,400 keys in turn, 6 times, with a few reads elsewhere",
        keys: loop_small,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "loops-little-too-large",
        about: "two loops, each a fifth larger than a cache of 1 % or 10 %, between keys that never come back",
        keys: loops_too_large,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "loop-and-zipf",
        about: "half of the requests go round 6,000 keys, the others are Zipf 1.0 over 20,000",
        keys: loop_and_zipf,
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "loops-nested",
        about: "passes over a file, of which parts are gone over again and again",
        keys: nested,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "loops-moving",
        about: "300 to 6,000 keys in turn, 2 to 6 times, then others",
        keys: moving,
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "scans-over-zipf",
        about: "Zipf 0.9, interrupted by scans of 4,000 keys that never come back",
        keys: |draw| scans(draw, false),
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "scans-that-return",
        about: "Zipf 0.9, interrupted by scans over 5 tables of 6,000 keys in turn",
        keys: |draw| scans(draw, true),
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "database",
        about: "Zipf over an index, each data page read twice in a row, table scans now and then",
        keys: database,
        sizes: Sizes::Blocks,
    },
];

fn loop_small(draw: &mut Draw) -> Vec<u64> {
    let request = |index: u64| if draw.chance(0.05) { draw.below(4_000) + 1 } else { index % 1_400 + 10_000 };
    (0..9_000).map(request).collect()
}

fn loops_too_large(draw: &mut Draw) -> Vec<u64> {
    let (mut small, mut large) = (0, 0);
    let request = |_| match draw.below(10) {
        0..2 => draw.fresh(),
        2..5 => {
            small += 1;
            small % 550 + 1
        }
        _ => {
            large += 1;
            large % 5_500 + 10_000
        }
    };
    (0..200_000).map(request).collect()
}

fn loop_and_zipf(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 1.0);
    let mut at = 0;
    let request = |_| {
        if draw.chance(0.5) {
            return zipf.draw(draw) as u64 + 1;
        }
        at += 1;
        at % 6_000 + 100_000
    };
    (0..250_000).map(request).collect()
}

fn nested(draw: &mut Draw) -> Vec<u64> {
    let mut keys = vec![];
    let mut at = 0;
    while keys.len() < 200_000 {
        let (len, times) = (50 + draw.pareto(0.8).min(60.0) as u64 * 30, 1 + draw.below(6));
        for _ in 0..times {
            keys.extend((at..at + len).map(|key| key % 20_000 + 1));
        }
        at += len;
    }
    keys
}

fn moving(draw: &mut Draw) -> Vec<u64> {
    let mut keys = vec![];
    while keys.len() < 250_000 {
        let (len, times) = (300 + draw.below(5_700), 2 + draw.below(5));
        let first = draw.fresh() * 10_000;
        (0..times).for_each(|_| keys.extend(first..first + len));
    }
    keys
}

fn scans(draw: &mut Draw, return_to_tables: bool) -> Vec<u64> {
    let zipf = Zipf::new(30_000, 0.9);
    let mut keys = vec![];
    for scan in 0..20u64 {
        let until = keys.len() + 6_000 + draw.below(8_000) as usize;
        while keys.len() < until {
            keys.push(zipf.draw(draw) as u64 + 1);
        }
        if return_to_tables {
            let first = 100_000 + scan % 5 * 10_000;
            keys.extend(first..first + 6_000);
        } else {
            keys.extend((0..4_000).map(|_| draw.fresh()));
        }
    }
    keys
}

fn database(draw: &mut Draw) -> Vec<u64> {
    let (index, data) = (Zipf::new(2_000, 0.8), Zipf::new(60_000, 0.7));
    let mut keys = vec![];
    while keys.len() < 250_000 {
        if draw.chance(0.0005) {
            let first = 1_000_000 + draw.below(4) * 100_000;
            keys.extend(first..first + 3_000);
        }
        keys.push(index.draw(draw) as u64 + 1);
        let page = data.draw(draw) as u64 + 10_000;
        keys.extend([page, page]);
    }
    keys
}
