//! Requests that are followed by related ones.

use std::collections::{BTreeMap, VecDeque};

use crate::workloads::Workload;
use crate::workloads::draw::{Draw, Zipf};
use crate::workloads::sizes::Sizes;

const REQUESTS: usize = 200_000;

pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "pages-with-parts",
        about: "pages by Zipf 0.8, each followed by 4 to 20 parts, a third of them shared by many pages",
        keys: pages,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "sessions",
        about: "visitors read 3 to 30 keys of their own again and again, then leave; Zipf 1.0 between them",
        keys: sessions,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "twins",
        about: "Zipf 0.75, each request repeated once or twice within the next five",
        keys: twins,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "films",
        about: "films by Zipf 0.9 are played chunk by chunk, 30 at a time; after each chunk one viewer in 25 leaves",
        keys: films,
        sizes: Sizes::Blocks,
    },
    Workload {
        name: "walk-on-a-graph",
        about: "400 walkers on a graph of 40,000 nodes with six edges each, most of them to neighbours",
        keys: walk,
        sizes: Sizes::LogNormal,
    },
    Workload {
        name: "builds",
        about: "builds one after the other read the same 2,500 keys in about the same order; each replaces 4 % of them",
        keys: builds,
        sizes: Sizes::Delivered,
    },
    Workload {
        name: "ledger",
        about: "each key is read a second time some 2,000 requests after the first and never again; a little Zipf",
        keys: ledger,
        sizes: Sizes::TwoKinds,
    },
    Workload {
        name: "two-hit-wonders",
        about: "7 of 10 requests are for keys that come twice, 4,000 requests apart on average; Zipf 0.8 else",
        keys: two_hits,
        sizes: Sizes::Delivered,
    },
];

fn pages(draw: &mut Draw) -> Vec<u64> {
    let (pages, shared) = (Zipf::new(4_000, 0.8), Zipf::new(800, 0.9));
    let mut keys = vec![];
    while keys.len() < REQUESTS {
        let page = pages.draw(draw) as u64 + 1;
        keys.push(page * 100);
        let parts = 4 + page * 7 % 17;
        for part in 0..parts {
            let is_shared = part % 3 == 0;
            keys.push(if is_shared { shared.draw(draw) as u64 + 1_000_000 } else { page * 100 + part + 1 });
        }
    }
    keys
}

fn sessions(draw: &mut Draw) -> Vec<u64> {
    let shared = Zipf::new(15_000, 1.0);
    // Of each session: its first key, how many keys it has, how many requests it has left.
    let mut live: Vec<(u64, u64, u64)> = vec![];
    let request = |_| {
        if draw.chance(0.35) {
            return shared.draw(draw) as u64 + 1;
        }
        while live.len() < 120 {
            let own = 3 + draw.below(28);
            live.push((draw.fresh() * 100, own, own * (1 + draw.below(6))));
        }
        let at = draw.below(live.len() as u64) as usize;
        let (first, own, left) = &mut live[at];
        let key = *first + draw.below(*own);
        *left -= 1;
        if *left == 0 {
            live.swap_remove(at);
        }
        key
    };
    (0..REQUESTS).map(request).collect()
}

fn twins(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(40_000, 0.75);
    due(draw, |draw, now, due| {
        let key = zipf.draw(draw) as u64 + 1;
        (0..1 + draw.below(2)).for_each(|_| _ = due.insert(now + 1 + draw.below(5), key));
        key
    })
}

fn films(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(3_000, 0.9);
    let mut viewers: Vec<u64> = vec![];
    let request = |_| {
        while viewers.len() < 30 {
            viewers.push((zipf.draw(draw) as u64 + 1) * 1_000);
        }
        let at = draw.below(viewers.len() as u64) as usize;
        let chunk = viewers[at];
        viewers[at] += 1;
        // A film has 60 chunks.
        if draw.chance(0.04) || viewers[at] % 1_000 == 60 {
            viewers.swap_remove(at);
        }
        chunk
    };
    (0..REQUESTS).map(request).collect()
}

fn walk(draw: &mut Draw) -> Vec<u64> {
    const NODES: u64 = 40_000;
    let edge = |node: u64, edge: u64| {
        let mut draw = Draw::new(node * 8 + edge);
        let target = if edge < 5 { node + 1 + draw.below(80) } else { draw.below(NODES) };
        target % NODES
    };
    let mut walkers: Vec<u64> = (0..400).map(|_| draw.below(NODES)).collect();
    let request = |_| {
        let at = draw.below(400) as usize;
        walkers[at] = if draw.chance(0.02) { draw.below(500) } else { edge(walkers[at], draw.below(6)) };
        walkers[at] + 1
    };
    (0..REQUESTS).map(request).collect()
}

fn builds(draw: &mut Draw) -> Vec<u64> {
    let mut inputs: Vec<u64> = (1..=2_500).collect();
    let mut keys = vec![];
    while keys.len() < REQUESTS {
        for _ in 0..100 {
            let at = draw.below(2_500) as usize;
            inputs[at] = draw.fresh();
        }
        let mut order = inputs.clone();
        for _ in 0..300 {
            let at = draw.below(2_490) as usize;
            order.swap(at, at + draw.below(10) as usize);
        }
        keys.extend(order);
        // Between builds, somebody looks at a few results.
        keys.extend((0..draw.below(400)).map(|_| inputs[draw.below(200) as usize]));
    }
    keys
}

fn ledger(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(5_000, 0.9);
    let mut waiting: VecDeque<u64> = VecDeque::new();
    let request = |_| {
        if draw.chance(0.15) {
            return zipf.draw(draw) as u64 + 1;
        }
        if waiting.len() > 1_000 && draw.chance(0.5) {
            return waiting.remove(draw.below(50) as usize).expect("there are more");
        }
        let key = draw.fresh();
        waiting.push_back(key);
        key
    };
    (0..REQUESTS).map(request).collect()
}

fn two_hits(draw: &mut Draw) -> Vec<u64> {
    let zipf = Zipf::new(30_000, 0.8);
    due(draw, |draw, now, due| {
        if draw.chance(0.46) {
            return zipf.draw(draw) as u64 + 1;
        }
        let key = draw.fresh();
        due.insert(now + 1 + draw.exponential(4_000.0) as u64, key);
        key
    })
}

/// Requests, of which some are due at a time that was settled earlier.
fn due(draw: &mut Draw, mut other: impl FnMut(&mut Draw, u64, &mut BTreeMap<u64, u64>) -> u64) -> Vec<u64> {
    let mut due: BTreeMap<u64, u64> = BTreeMap::new();
    let request = |now: u64| match due.first_entry().filter(|first| *first.key() <= now) {
        Some(first) => first.remove(),
        None => other(draw, now, &mut due),
    };
    (0..REQUESTS as u64).map(request).collect()
}
