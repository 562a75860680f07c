//! The simple policies evict what their definitions say: each is held against a model that searches a plain vector, over
//! random events, those included that a host never sends.

mod models;

use sandbar_guest::eviction::{Arrival, Departure, Event, NEVER_MS, pack};
use sandbar_policies::eviction::native;

use models::{Clock, Fifo, Lfu, Lru, Model, RandomChoice, Sieve, Ttl, Vector};

const CAPACITY_BYTES: u64 = 300;
const SLOTS: u64 = 60;

struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Anything in any slot, whether that is resident or not. Few arrivals are heavier than the capacity.
    fn event(&mut self) -> Event {
        let slot = self.below(SLOTS) as u32;
        let weight_bytes = if self.below(50) == 0 { 290 + self.below(20) } else { self.below(30) };
        let expires_ms = if self.below(5) == 0 { NEVER_MS } else { self.below(100) };
        match self.below(20) {
            0..=9 => Event::Touched { slot },
            10..=16 => {
                let (rank, reads) =
                    if self.below(4) == 0 { (self.below(256) as u8, self.below(9) as u8) } else { (0, 0) };
                Event::Arrived(Arrival { slot, weight_bytes, expires_ms, rank, reads, ..Arrival::default() })
            }
            17..=18 => Event::Changed { slot, weight_bytes, expires_ms },
            _ => Event::Departed { slot, reason: Departure::Purged },
        }
    }
}

/// Answers with the number of victims.
fn decides_as(name: &str, settings: &str, model: impl Model, seed: u64) -> usize {
    let mut policy =
        native(name, settings, CAPACITY_BYTES, seed).expect("it is stock").expect("the settings are right");
    let mut model = Vector::new(model, CAPACITY_BYTES);
    let (mut draw, mut victims) = (Draw(seed), vec![]);
    for step in 0..20_000 {
        let event = draw.event();
        let reclaim_bytes = if draw.below(40) == 0 { draw.below(100) } else { 0 };
        let mut words = vec![];
        pack(event, &mut words);
        let before = victims.len();
        policy.advance(0, &words, reclaim_bytes, &mut victims);
        assert_eq!(victims[before..], model.advance(event, reclaim_bytes), "{name}{settings}, step {step}: {event:?}");
        if step % 50 == 0 {
            assert_eq!(policy.order(None, 1_000), model.order(), "{name}{settings}, step {step}");
        }
    }
    victims.len()
}

#[test]
fn each_policy_decides_as_its_definition_says() {
    for seed in 1..6 {
        let counts = [
            decides_as("fifo", "", Fifo, seed),
            decides_as("lru", "", Lru, seed),
            decides_as("ttl", "", Ttl::default(), seed),
            decides_as("random", "", RandomChoice::new(seed), seed),
            decides_as("clock", "", Clock { rounds_max: 1 }, seed),
            decides_as("clock", r#"{"rounds_max": 3}"#, Clock { rounds_max: 3 }, seed),
            decides_as("sieve", "", Sieve::default(), seed),
            decides_as("lfu", "", Lfu::new(true), seed),
            decides_as("lfu", r#"{"ageing": "off"}"#, Lfu::new(false), seed),
        ];
        assert!(counts.iter().all(|count| *count > 2_000), "few victims say little: {counts:?}");
    }
}
