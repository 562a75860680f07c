//! Popularity that is not distributed as by Zipf, or that changes with time.

use std::f64::consts::TAU;

use crate::workloads::Workload;
use crate::workloads::draw::{Draw, Zipf};
use crate::workloads::sizes::Sizes;

const REQUESTS: usize = 200_000;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "plateau",
        about: "Zipf-Mandelbrot: the first 300 of 30,000 keys are about equally popular",
        keys: |draw| by_weight(draw, 30_000, |rank, _| (rank + 300.0).powf(-1.4)),
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "stretched",
        about: "popularity by a stretched exponential over 50,000 keys",
        keys: |draw| by_weight(draw, 50_000, |rank, _| (-(rank / 40.0).powf(0.35)).exp()),
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "lognormal-popularity",
        about: "each key's popularity is drawn from a log-normal distribution",
        keys: |draw| by_weight(draw, 40_000, |_, draw| (2.0 * draw.normal()).exp()),
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "wandering-ranks",
        about: "Zipf 1.1; with each request four keys change places with others that are a quarter more popular",
        keys: wandering,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "breaking-news",
        about: "Zipf 0.85; every 4,000 requests a new key takes a fifth of them and fades within 20,000",
        keys: breaking_news,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "releases",
        about: "a new set of 600 keys every 10,000 requests; each set is half as popular as the one after it",
        keys: releases,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "time-zones",
        about: "24 groups of keys, Zipf 0.9 each, whose hour of the day comes one after the other",
        keys: time_zones,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "skew-that-changes",
        about: "Zipf whose exponent goes up and down between 0.5 and 1.2",
        keys: changing_skew,
        sizes: Sizes::TwoKinds,
    },
];

/// Keys by their weight; ranks count from 1.
fn by_weight(draw: &mut Draw, keys: usize, weight: impl Fn(f64, &mut Draw) -> f64) -> Vec<u64> {
    let weights: Vec<f64> = (1..=keys).map(|rank| weight(rank as f64, draw)).collect();
    let ranks = Zipf::of(&weights);
    (0..REQUESTS).map(|_| ranks.draw(draw) as u64 + 1).collect()
}

fn wandering(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(25_000, 1.1);
    let mut keys: Vec<u64> = (1..=25_000).collect();
    let request = |_| {
        for _ in 0..4 {
            let at = draw.below(keys.len() as u64 - 1) as usize;
            keys.swap(at, at * 4 / 5);
        }
        keys[zipf.draw(draw)]
    };
    (0..REQUESTS).map(request).collect()
}

fn breaking_news(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(30_000, 0.85);
    let mut news: Vec<(u64, usize)> = vec![];
    let request = |now: usize| {
        if now.is_multiple_of(4_000) {
            news.push((draw.fresh(), now));
            news.retain(|(_, born)| now - born < 20_000);
        }
        for (key, born) in news.iter().rev() {
            if draw.chance(0.2 * (1.0 - (now - born) as f64 / 20_000.0)) {
                return *key;
            }
        }
        zipf.draw(draw) as u64 + 1
    };
    (0..REQUESTS).map(request).collect()
}

fn releases(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(600, 0.7);
    let request = |now: u64| {
        let mut set = now / 10_000 + 10;
        while set > 0 && draw.chance(0.5) {
            set -= 1;
        }
        set * 1_000 + zipf.draw(draw) as u64 + 1
    };
    (0..REQUESTS as u64).map(request).collect()
}

fn time_zones(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(3_000, 0.9);
    let request = |now: usize| loop {
        let zone = draw.below(24);
        // A day is 50,000 requests long.
        let hour = (now as f64 / 50_000.0 + zone as f64 / 24.0) * TAU;
        if draw.chance((0.5 + 0.5 * hour.cos()).powi(3)) {
            break zone * 10_000 + zipf.draw(draw) as u64 + 1;
        }
    };
    (0..REQUESTS).map(request).collect()
}

fn changing_skew(draw: &mut Draw) -> Vec<u64> {
    let skews: Vec<Zipf> = (0..8).map(|step| Zipf::new(30_000, 0.5 + 0.1 * f64::from(step))).collect();
    let request = |now: usize| {
        let step = 3.5 - 3.5 * (now as f64 / 80_000.0 * TAU).cos();
        skews[step.round() as usize].draw(draw) as u64 + 1
    };
    (0..REQUESTS).map(request).collect()
}
