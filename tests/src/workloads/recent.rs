//! Patterns in which only recency counts: a key that was just read will be read again, however often it was read
//! before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Workload;
use super::draw::Draw;
use super::sizes::Sizes;

const REQUESTS: usize = 300_000;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "stack-pareto",
        about: "stack distances by Pareto 0.5; one request in 12 is for a new key",
        keys: |draw| stack(draw, 1.0 / 12.0, |draw| draw.pareto(0.5)),
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "stack-short",
        about: "stack distances by Pareto 0.9; one request in 20 is for a new key",
        keys: |draw| stack(draw, 1.0 / 20.0, |draw| draw.pareto(0.9)),
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "stack-level",
        about: "stack distances about equally likely up to 2,000; one request in 15 is for a new key",
        keys: |draw| stack(draw, 1.0 / 15.0, |draw| draw.exponential(1_200.0)),
        sizes: Sizes::TwoKinds,
    },
    Workload {
        name: "bursts-short",
        about: "each key is read 1 to 12 times within a short time, and never again",
        keys: |draw| bursts(draw, 6.0, 400.0),
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "bursts-long",
        about: "each key is read a few times over 8,000 requests, and never again",
        keys: |draw| bursts(draw, 4.0, 2_500.0),
        sizes: Sizes::PopularSmall,
    },
    Workload {
        name: "news",
        about: "keys are born with a popularity by Pareto and lose it exponentially",
        keys: news,
        sizes: Sizes::Tailed,
    },
    Workload {
        name: "files-small",
        about: "a file server: 7,000 keys, short stack distances, a few long ones",
        keys: |draw| stack_of(draw, 130_000, 0.05, |draw| draw.pareto(0.6)),
        sizes: Sizes::Blocks,
    },
];

fn stack(draw: &mut Draw, new: f64, distance: impl Fn(&mut Draw) -> f64) -> Vec<u64> {
    stack_of(draw, REQUESTS, new, distance)
}

/// Requests by stack distance: the next key is the one at a random distance from the top of the stack, and goes to the
/// top.
fn stack_of(draw: &mut Draw, requests: usize, new: f64, distance: impl Fn(&mut Draw) -> f64) -> Vec<u64> {
    let mut stack: Vec<u64> = vec![];
    let request = |_| {
        let distance = distance(draw) as usize;
        let is_new = draw.chance(new) || distance > stack.len() || distance == 0;
        let key = if is_new { draw.fresh() } else { stack.remove(stack.len() - distance) };
        stack.push(key);
        key
    };
    (0..requests).map(request).collect()
}

/// Each key is requested `reads` times on average, `gap` requests apart on average.
fn bursts(draw: &mut Draw, reads: f64, gap: f64) -> Vec<u64> {
    let mut due: BinaryHeap<Reverse<(u64, u64, u64)>> = BinaryHeap::new();
    let request = |now: u64| {
        let (key, left) = match due.peek() {
            Some(Reverse((at, ..))) if *at <= now => {
                let Reverse((_, key, left)) = due.pop().expect("it was there");
                (key, left)
            }
            _ => (draw.fresh(), draw.below(reads as u64 * 2)),
        };
        if left > 0 {
            due.push(Reverse((now + 1 + draw.exponential(gap) as u64, key, left - 1)));
        }
        key
    };
    (0..REQUESTS as u64).map(request).collect()
}

/// At any time 4,000 keys live; a key's chance is its popularity, halved every 15,000 requests.
fn news(draw: &mut Draw) -> Vec<u64> {
    let mut due: BinaryHeap<Reverse<(u64, u64, u64, u64)>> = BinaryHeap::new();
    let request = |now: u64| {
        let (key, born, mean_gap) = match due.peek() {
            Some(Reverse((at, ..))) if *at <= now => {
                let Reverse((_, key, born, mean_gap)) = due.pop().expect("it was there");
                (key, born, mean_gap)
            }
            _ => (draw.fresh(), now, (40_000.0 / draw.pareto(0.9)) as u64 + 20),
        };
        let age = (now - born) as f64;
        let gap = draw.exponential(mean_gap as f64 * (age / 15_000.0).exp2());
        if gap < 150_000.0 {
            due.push(Reverse((now + 1 + gap as u64, key, born, mean_gap)));
        }
        key
    };
    (0..REQUESTS as u64).map(request).collect()
}
