//! Several patterns at once, in turns or side by side.

use super::Workload;
use super::draw::{Draw, Zipf};
use super::sizes::Sizes;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "phases-long",
        about: "Zipf, a loop and bursts in turns of 50,000 requests",
        keys: |draw| phases(draw, 50_000, 6),
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "phases-short",
        about: "Zipf, a loop and bursts in turns of 12,000 requests",
        keys: |draw| phases(draw, 12_000, 24),
        sizes: Sizes::PopularSmall,
    },
    Workload {
        name: "floods",
        about: "Zipf 0.9; every 40,000 requests come 15,000 keys that never come back",
        keys: floods,
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "zipf-and-bursts",
        about: "Zipf 0.8 and keys that are read a few times in a row, half and half",
        keys: |draw| blend(draw, 0.5),
        sizes: Sizes::PopularSmall,
    },
    Workload {
        name: "bursts-and-some-zipf",
        about: "keys that are read a few times within 600 requests, and a little Zipf",
        keys: |draw| blend(draw, 0.15),
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "loop-and-bursts",
        about: "a loop over 4,000 keys among keys that are read a few times within 600 requests",
        keys: loop_and_bursts,
        sizes: Sizes::TwoKinds,
    },
    Workload {
        name: "day-and-night",
        about: "Zipf over two sets of keys; their shares rise and fall",
        keys: day_and_night,
        sizes: Sizes::PopularLarge,
    },
    Workload {
        name: "small-programs",
        about: "three programs in one small cache: a loop, Zipf and bursts in uneven turns",
        keys: small_programs,
        sizes: Sizes::Blocks,
    },
];

fn phases(draw: &mut Draw, len: usize, phases: usize) -> Vec<u64> {
    let zipf = Zipf::new(30_000, 0.9);
    let mut keys = vec![];
    for phase in 0..phases {
        match phase % 3 {
            0 => keys.extend((0..len).map(|_| zipf.draw(draw) as u64 + 1)),
            1 => keys.extend((0..len as u64).map(|at| at % 4_500 + 100_000)),
            _ => keys.extend(Bursts::default().take(draw, len)),
        }
    }
    keys
}

fn floods(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(30_000, 0.9);
    let request = |at: u64| if at % 40_000 >= 25_000 { draw.fresh() } else { zipf.draw(draw) as u64 + 1 };
    (0..300_000).map(request).collect()
}

fn blend(draw: &mut Draw, popular: f64) -> Vec<u64> {
    let zipf = Zipf::new(30_000, 0.8);
    let mut bursts = Bursts::default();
    let request = |_| if draw.chance(popular) { zipf.draw(draw) as u64 + 1 } else { bursts.next(draw) };
    (0..300_000).map(request).collect()
}

fn loop_and_bursts(draw: &mut Draw) -> Vec<u64> {
    let mut bursts = Bursts::default();
    let mut at = 0;
    let request = |_| {
        if draw.chance(0.5) {
            return bursts.next(draw);
        }
        at += 1;
        at % 4_000 + 1
    };
    (0..250_000).map(request).collect()
}

fn day_and_night(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 0.9);
    let request = |at: u32| {
        let by_day = 0.5 + 0.5 * (f64::from(at) / 60_000.0 * std::f64::consts::TAU).sin();
        let first = if draw.chance(by_day) { 1 } else { 100_000 };
        zipf.draw(draw) as u64 + first
    };
    (0..300_000).map(request).collect()
}

fn small_programs(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(2_500, 0.9);
    let mut bursts = Bursts::default();
    let mut keys = vec![];
    while keys.len() < 40_000 {
        let len = 300 + draw.below(3_000) as usize;
        match draw.below(3) {
            0 => keys.extend((0..len as u64).map(|at| at % 1_200 + 10_000)),
            1 => keys.extend((0..len).map(|_| zipf.draw(draw) as u64 + 1)),
            _ => keys.extend(bursts.take(draw, len)),
        }
    }
    keys
}

/// Keys that are read a few times within some hundreds of requests, and never again.
#[derive(Debug, Default)]
struct Bursts {
    live: Vec<(u64, u64)>,
}

impl Bursts {
    fn next(&mut self, draw: &mut Draw) -> u64 {
        if self.live.len() < 150 {
            self.live.push((draw.fresh(), 1 + draw.below(7)));
        }
        let index = draw.below(self.live.len() as u64) as usize;
        let (key, left) = &mut self.live[index];
        let key = *key;
        *left -= 1;
        if *left == 0 {
            self.live.swap_remove(index);
        }
        key
    }

    fn take(&mut self, draw: &mut Draw, len: usize) -> Vec<u64> {
        (0..len).map(|_| self.next(draw)).collect()
    }
}
