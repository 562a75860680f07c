//! Policies that are not among the stock ones and yet are the best on some traffic: simulators, for comparison only.

use sandbar_gateway::replay::{Trace, Unit};
use sandbar_guest::eviction::list::Lists;

/// A policy's rules, as libCacheSim's loop asks for them.
trait Rules {
    /// Whether the key is resident; notes the read.
    fn find(&mut self, key: u32) -> bool;
    /// Takes a key in that was not found, and evicts what has to leave for it.
    fn insert(&mut self, key: u32, weight_bytes: u64);
}

/// The object miss ratio of the yardstick `name`.
pub(crate) fn ratio(name: &str, trace: &Trace, unit: Unit, capacity: u64) -> f64 {
    let mut rules: Box<dyn Rules> = match name {
        "slru" => Box::new(Slru::new(capacity)),
        "lirs" => Box::new(Lirs::new(capacity)),
        _ => panic!("no such yardstick: {name}"),
    };
    let mut misses = 0;
    for request in trace.requests() {
        if !rules.find(request.key) {
            misses += 1;
            rules.insert(request.key, if unit == Unit::Bytes { request.size_bytes } else { 1 });
        }
    }
    f64::from(misses) / trace.requests().len() as f64
}

/// Four segments; a read moves an entry one up, and what is pushed out of one falls one down. As in libCacheSim, a newcomer
/// goes to the lowest segment with room.
struct Slru {
    segments: Lists,
    segment_bytes: u64,
    capacity: u64,
}

const SEGMENTS: u8 = 4;

impl Slru {
    fn new(capacity: u64) -> Self {
        Self { segments: Lists::new(SEGMENTS), segment_bytes: capacity / u64::from(SEGMENTS), capacity }
    }

    fn has_room(&self, segment: u8, weight_bytes: u64) -> bool {
        self.segments.bytes(segment) + weight_bytes <= self.segment_bytes
    }

    /// Makes room in a segment.
    fn cool(&mut self, segment: u8, weight_bytes: u64) {
        while !self.has_room(segment, weight_bytes) {
            let Some(coldest) = self.segments.coldest(segment) else { return };
            let Some(below) = segment.checked_sub(1) else {
                self.segments.remove(coldest);
                continue;
            };
            self.cool(below, self.segments.weight(coldest));
            self.segments.move_to(below, coldest);
        }
    }
}

impl Rules for Slru {
    fn find(&mut self, key: u32) -> bool {
        let Some(segment) = self.segments.list(key) else { return false };
        if segment + 1 < SEGMENTS {
            let weight_bytes = self.segments.weight(key);
            self.segments.remove(key);
            self.cool(segment + 1, weight_bytes);
            self.segments.push(segment + 1, key, weight_bytes, ());
        } else {
            self.segments.move_to(segment, key);
        }
        true
    }

    fn insert(&mut self, key: u32, weight_bytes: u64) {
        if weight_bytes > self.segment_bytes {
            return;
        }
        while self.segments.total_bytes() + weight_bytes > self.capacity {
            let coldest = (0..SEGMENTS).find_map(|segment| self.segments.coldest(segment));
            self.segments.remove(coldest.expect("there are entries"));
        }
        let segment = (0..SEGMENTS).find(|segment| self.has_room(*segment, weight_bytes));
        self.segments.push(segment.unwrap_or(0), key, weight_bytes, ());
    }
}

/// S. Jiang, X. Zhang: LIRS, an efficient low inter-reference recency set replacement policy, SIGMETRICS 2002. 1 % of the
/// cache is for entries that have not proved themselves, and as much as two caches hold is remembered.
struct Lirs {
    /// By recency: entries that have proved themselves, others, and ghosts.
    stack: Lists,
    /// The proven entries, for their weight alone.
    proven: Lists,
    /// Resident entries that are not proven, the next victim first.
    queue: Lists,
    ghosts: Lists,
    capacity: u64,
    proven_max: u64,
}

impl Lirs {
    fn new(capacity: u64) -> Self {
        let [stack, proven, queue, ghosts] = [(); 4].map(|()| Lists::new(1));
        let proven_max = capacity - (capacity / 100).clamp(1, capacity);
        Self { stack, proven, queue, ghosts, capacity, proven_max }
    }

    /// The stack's last entry is always a proven one.
    fn prune(&mut self) {
        while let Some(last) = self.stack.coldest(0).filter(|last| !self.proven.contains(*last)) {
            self.stack.remove(last);
            self.ghosts.remove(last);
        }
    }

    /// Proven entries that are too many become others, those first whose last two reads lie furthest back.
    fn demote_down_to(&mut self, proven_max: u64) {
        while self.proven.total_bytes() > proven_max {
            let Some(last) = self.stack.coldest(0) else { return };
            let weight_bytes = self.stack.weight(last);
            self.stack.remove(last);
            self.proven.remove(last);
            self.queue.push(0, last, weight_bytes, ());
            self.prune();
        }
    }

    fn move_to_top(&mut self, key: u32, weight_bytes: u64) {
        self.stack.push(0, key, weight_bytes, ());
        self.prune();
    }

    fn prove(&mut self, key: u32, weight_bytes: u64) {
        self.queue.remove(key);
        self.proven.push(0, key, weight_bytes, ());
        self.move_to_top(key, weight_bytes);
        self.demote_down_to(self.proven_max);
    }

    fn make_room(&mut self, weight_bytes: u64) {
        while self.proven.total_bytes() + self.queue.total_bytes() + weight_bytes > self.capacity {
            let Some(victim) = self.queue.coldest(0) else {
                self.demote_down_to(self.proven.total_bytes() - 1);
                continue;
            };
            let gone = self.queue.remove(victim).expect("it was there");
            if self.stack.contains(victim) {
                self.ghosts.push(0, victim, gone.weight_bytes, ());
            }
        }
        while let Some(oldest) = self.ghosts.coldest(0).filter(|_| self.ghosts.total_bytes() > 2 * self.capacity) {
            self.ghosts.remove(oldest);
            self.stack.remove(oldest);
        }
    }
}

impl Rules for Lirs {
    fn find(&mut self, key: u32) -> bool {
        if self.proven.contains(key) {
            self.move_to_top(key, self.proven.weight(key));
        } else if self.queue.contains(key) {
            let weight_bytes = self.queue.weight(key);
            if self.stack.contains(key) {
                self.prove(key, weight_bytes);
            } else {
                self.queue.move_to(0, key);
                self.move_to_top(key, weight_bytes);
            }
        } else {
            return false;
        }
        true
    }

    fn insert(&mut self, key: u32, weight_bytes: u64) {
        if weight_bytes > self.capacity {
            return;
        }
        self.make_room(weight_bytes);
        let came_back = self.ghosts.remove(key).is_some();
        if came_back || self.proven.total_bytes() + weight_bytes <= self.proven_max {
            self.prove(key, weight_bytes);
        } else {
            self.queue.push(0, key, weight_bytes, ());
            self.move_to_top(key, weight_bytes);
        }
    }
}
