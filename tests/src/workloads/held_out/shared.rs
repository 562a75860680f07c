//! Several users of one cache, whose traffic differs.

use crate::workloads::Workload;
use crate::workloads::draw::{Draw, Zipf};
use crate::workloads::sizes::Sizes;

const REQUESTS: usize = 200_000;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "eight-sites",
        about: "eight sites of 200 to 20,000 keys, Zipf 0.6 to 1.3; the larger ones are asked more",
        keys: sites,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "unlike-users",
        about: "Zipf 0.95, a loop over 3,000 keys, keys that never come back, and one hot set of 300 keys",
        keys: unlike,
        sizes: Sizes::TwoKinds,
    },
    Workload {
        name: "users-come-and-go",
        about: "12 users with Zipf 0.9 over 3,000 keys each; three are there at a time, for 8,000 requests or so",
        keys: come_and_go,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "noisy-neighbour",
        about: "Zipf 1.0; a tenth of the time, 7 of 10 requests are a neighbour's, uniform over 100,000 keys",
        keys: noisy,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "work-and-weekend",
        about: "five turns of a Zipf 1.0 over one set, then two of a flat one over another",
        keys: weekend,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "batch-at-night",
        about: "Zipf 0.9 by day; by night a job goes five times over 5,000 keys, each night others",
        keys: batch_at_night,
        sizes: Sizes::Delivered,
    },
];

fn sites(draw: &mut Draw) -> Vec<u64> {
    let sites: Vec<Zipf> = (0..8)
        .map(|site| Zipf::new((200.0 * 100f64.powf(f64::from(site) / 7.0)) as usize, 1.3 - 0.1 * f64::from(site)))
        .collect();
    let choice = Zipf::of(&[1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
    let request = |_| {
        let site = choice.draw(draw);
        site as u64 * 100_000 + sites[site].draw(draw) as u64 + 1
    };
    (0..REQUESTS).map(request).collect()
}

fn unlike(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 0.95);
    let mut at = 0;
    let request = |_| match draw.below(20) {
        0..8 => zipf.draw(draw) as u64 + 1,
        8..13 => {
            at += 1;
            at % 3_000 + 100_000
        }
        13..17 => draw.fresh(),
        _ => draw.below(300) + 200_000,
    };
    (0..REQUESTS).map(request).collect()
}

fn come_and_go(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(3_000, 0.9);
    let mut present = [0, 1, 2];
    let request = |_| {
        if draw.chance(3.0 / 8_000.0) {
            present[draw.below(3) as usize] = draw.below(12);
        }
        present[draw.below(3) as usize] * 10_000 + zipf.draw(draw) as u64 + 1
    };
    (0..REQUESTS).map(request).collect()
}

fn noisy(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(15_000, 1.0);
    let request = |now: usize| {
        let is_noisy = now % 30_000 >= 27_000 && draw.chance(0.7);
        if is_noisy { draw.below(100_000) + 1_000_000 } else { zipf.draw(draw) as u64 + 1 }
    };
    (0..REQUESTS).map(request).collect()
}

fn weekend(draw: &mut Draw) -> Vec<u64> {
    let (work, home) = (Zipf::new(10_000, 1.0), Zipf::new(15_000, 0.6));
    let request = |now: usize| match now / 6_000 % 7 {
        0..5 => work.draw(draw) as u64 + 1,
        _ => home.draw(draw) as u64 + 100_000,
    };
    (0..REQUESTS).map(request).collect()
}

fn batch_at_night(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(20_000, 0.9);
    let mut keys = vec![];
    while keys.len() < REQUESTS {
        keys.extend((0..30_000).map(|_| zipf.draw(draw) as u64 + 1));
        let first = draw.fresh() * 10_000;
        (0..5).for_each(|_| keys.extend(first..first + 5_000));
    }
    keys
}
