//! Patterns in which keys differ by popularity: a key that was read often will be read often.

use super::Workload;
use super::draw::{Draw, Zipf};
use super::sizes::Sizes;

const REQUESTS: usize = 300_000;
const KEYS: usize = 40_000;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload { name: "zipf-0.6", about: "Zipf, flat", keys: |draw| zipf(draw, 0.6), sizes: Sizes::Tailed },
    Workload { name: "zipf-0.8", about: "Zipf", keys: |draw| zipf(draw, 0.8), sizes: Sizes::PopularSmall },
    Workload { name: "zipf-1.0", about: "Zipf, skewed", keys: |draw| zipf(draw, 1.0), sizes: Sizes::PopularLarge },
    Workload { name: "zipf-1.3", about: "Zipf, very skewed", keys: |draw| zipf(draw, 1.3), sizes: Sizes::Tailed },
    Workload {
        name: "zipf-drifting",
        about: "Zipf 0.9; every 40 requests a new key takes the place of another",
        keys: |draw| drifting(draw, 40),
        sizes: Sizes::PopularSmall,
    },
    Workload {
        name: "zipf-rushing",
        about: "Zipf 0.9; every 5 requests a new key takes the place of another",
        keys: |draw| drifting(draw, 5),
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "zipf-reshuffled",
        about: "Zipf 1.0 whose ranks are dealt anew every 50,000 requests",
        keys: reshuffled,
        sizes: Sizes::TwoKinds,
    },
    Workload { name: "uniform", about: "each key as likely as another", keys: uniform, sizes: Sizes::Tailed },
    Workload {
        name: "two-pools",
        about: "index and data pages: 400 keys and 20,000 keys in turns",
        keys: two_pools,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "one-hits-half",
        about: "Zipf 0.9, and every other request is for a key that never comes back",
        keys: |draw| one_hits(draw, 0.5),
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "one-hits-most",
        about: "Zipf 0.7, and 4 of 5 requests are for keys that never come back",
        keys: |draw| one_hits(draw, 0.8),
        sizes: Sizes::TwoKinds,
    },
];

fn zipf(draw: &mut Draw, skew: f64) -> Vec<u64> {
    let zipf = Zipf::new(KEYS, skew);
    (0..REQUESTS).map(|_| zipf.draw(draw) as u64 + 1).collect()
}

fn drifting(draw: &mut Draw, every: usize) -> Vec<u64> {
    let zipf = Zipf::new(KEYS / 2, 0.9);
    let mut keys: Vec<u64> = (1..=KEYS as u64 / 2).collect();
    let request = |index: usize| {
        if index.is_multiple_of(every) {
            let place = draw.below(keys.len() as u64) as usize;
            // The square favours popular places, which are the first.
            let place = place * place / keys.len();
            keys[place] = draw.fresh();
        }
        keys[zipf.draw(draw)]
    };
    (0..REQUESTS).map(request).collect()
}

fn reshuffled(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(KEYS, 1.0);
    let mut keys: Vec<u64> = (1..=KEYS as u64).collect();
    let request = |index: usize| {
        if index.is_multiple_of(50_000) {
            draw.shuffle(&mut keys);
        }
        keys[zipf.draw(draw)]
    };
    (0..REQUESTS).map(request).collect()
}

fn uniform(draw: &mut Draw) -> Vec<u64> {
    (0..REQUESTS).map(|_| draw.below(KEYS as u64) + 1).collect()
}

fn two_pools(draw: &mut Draw) -> Vec<u64> {
    let request = |index: usize| match index % 2 {
        0 => draw.below(400) + 1,
        _ => draw.below(20_000) + 1_001,
    };
    (0..100_000).map(request).collect()
}

fn one_hits(draw: &mut Draw, share: f64) -> Vec<u64> {
    let zipf = Zipf::new(KEYS, 1.4 - share);
    let request = |_| if draw.chance(share) { draw.fresh() } else { zipf.draw(draw) as u64 + 1 };
    (0..REQUESTS).map(request).collect()
}
