//! The textbook definitions, written down plainly: vectors that are searched, nothing clever. Slow, and independent of the
//! policies that are checked against it.
//!
//! The loop is that of libCacheSim: a request that is not found is a miss; one that is too large is left out; otherwise
//! entries are evicted until it fits, and then it is taken in.

use std::collections::HashMap;

/// Key and size.
pub(crate) type Request = (u64, u64);

/// A policy's rules.
trait Rules {
    /// Whether the key is resident; notes the read.
    fn find(&mut self, key: u64) -> bool;
    /// Evicts something for the sake of a request.
    fn evict(&mut self, request: Request);
    /// Takes it in.
    fn insert(&mut self, request: Request);
    /// What is resident, in bytes.
    fn used(&self) -> u64;
    /// Whether it may come in at all.
    fn admits(&self, _size: u64) -> bool {
        true
    }
}

/// How many requests miss under a policy; none where the policy isn't written down here.
pub(crate) fn misses(policy: &str, requests: &[Request], capacity: u64) -> Option<u64> {
    let mut rules: Box<dyn Rules> = match policy {
        "fifo" => Box::new(Queue { entries: vec![], by_recency: false }),
        "lru" => Box::new(Queue { entries: vec![], by_recency: true }),
        "lfu" => Box::new(Lfu { entries: vec![], clock: 0 }),
        "clock" => Box::new(Clock { entries: vec![] }),
        "sieve" => Box::new(Sieve { entries: vec![], hand: None }),
        "s3-fifo" => Box::new(S3Fifo::new(capacity)),
        "2q" => Box::new(TwoQ::new(capacity)),
        "arc" => Box::new(Arc::new(capacity)),
        "gdsf" => Box::new(Gdsf { entries: HashMap::new(), last_victim: 0.0, clock: 0 }),
        _ => return None,
    };
    let mut misses = 0;
    for request in requests {
        if rules.find(request.0) {
            continue;
        }
        misses += 1;
        if request.1 > capacity || !rules.admits(request.1) {
            continue;
        }
        while rules.used() + request.1 > capacity {
            rules.evict(*request);
        }
        rules.insert(*request);
    }
    Some(misses)
}

fn bytes(entries: &[Request]) -> u64 {
    entries.iter().map(|entry| entry.1).sum()
}

fn take(entries: &mut Vec<Request>, key: u64) -> Option<Request> {
    let at = entries.iter().position(|entry| entry.0 == key)?;
    Some(entries.remove(at))
}

/// Oldest first.
struct Queue {
    entries: Vec<Request>,
    by_recency: bool,
}

impl Rules for Queue {
    fn find(&mut self, key: u64) -> bool {
        let Some(at) = self.entries.iter().position(|entry| entry.0 == key) else { return false };
        if self.by_recency {
            let entry = self.entries.remove(at);
            self.entries.push(entry);
        }
        true
    }

    fn evict(&mut self, _request: Request) {
        self.entries.remove(0);
    }

    fn insert(&mut self, request: Request) {
        self.entries.push(request);
    }

    fn used(&self) -> u64 {
        bytes(&self.entries)
    }
}

/// Entry, count, and when it came to that count.
struct Lfu {
    entries: Vec<(Request, u64, u64)>,
    clock: u64,
}

impl Rules for Lfu {
    fn find(&mut self, key: u64) -> bool {
        self.clock += 1;
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.0.0 == key) else { return false };
        (entry.1, entry.2) = (entry.1 + 1, self.clock);
        true
    }

    fn evict(&mut self, _request: Request) {
        let least = self.entries.iter().map(|entry| (entry.1, entry.2)).min().expect("there is one");
        self.entries.retain(|entry| (entry.1, entry.2) != least);
    }

    fn insert(&mut self, request: Request) {
        self.entries.push((request, 1, self.clock));
    }

    fn used(&self) -> u64 {
        self.entries.iter().map(|entry| entry.0.1).sum()
    }
}

/// Oldest first, with a bit.
struct Clock {
    entries: Vec<(Request, bool)>,
}

impl Rules for Clock {
    fn find(&mut self, key: u64) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.0.0 == key) else { return false };
        entry.1 = true;
        true
    }

    fn evict(&mut self, _request: Request) {
        loop {
            let (entry, was_read) = self.entries.remove(0);
            if !was_read {
                return;
            }
            self.entries.push((entry, false));
        }
    }

    fn insert(&mut self, request: Request) {
        self.entries.push((request, false));
    }

    fn used(&self) -> u64 {
        self.entries.iter().map(|entry| entry.0.1).sum()
    }
}

/// Oldest (the tail) first; the hand is a key.
struct Sieve {
    entries: Vec<(Request, bool)>,
    hand: Option<u64>,
}

impl Rules for Sieve {
    fn find(&mut self, key: u64) -> bool {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.0.0 == key) else { return false };
        entry.1 = true;
        true
    }

    fn evict(&mut self, _request: Request) {
        let start = self.hand.and_then(|key| self.entries.iter().position(|entry| entry.0.0 == key));
        let mut at = start.unwrap_or(0);
        while self.entries[at].1 {
            self.entries[at].1 = false;
            at = (at + 1) % self.entries.len();
        }
        self.hand = self.entries.get(at + 1).map(|entry| entry.0.0);
        self.entries.remove(at);
    }

    fn insert(&mut self, request: Request) {
        self.entries.push((request, false));
    }

    fn used(&self) -> u64 {
        self.entries.iter().map(|entry| entry.0.1).sum()
    }
}

/// Oldest first, with reads.
struct S3Fifo {
    small: Vec<(Request, u32)>,
    main: Vec<(Request, u32)>,
    ghosts: Vec<Request>,
    small_size: u64,
    main_size: u64,
    ghosts_size: u64,
    was_ghost: bool,
}

impl S3Fifo {
    fn new(capacity: u64) -> Self {
        let small_size = (capacity as f64 * 0.10) as u64;
        Self {
            small: vec![],
            main: vec![],
            ghosts: vec![],
            small_size,
            main_size: capacity - small_size,
            ghosts_size: (capacity as f64 * 0.90) as u64,
            was_ghost: false,
        }
    }

    fn evict_small(&mut self) {
        while !self.small.is_empty() {
            let (entry, reads) = self.small.remove(0);
            if reads >= 2 {
                self.main.push((entry, 0));
                continue;
            }
            if entry.1 <= self.ghosts_size {
                while bytes(&self.ghosts) + entry.1 > self.ghosts_size {
                    self.ghosts.remove(0);
                }
                self.ghosts.push(entry);
            }
            return;
        }
    }

    fn evict_main(&mut self) {
        while !self.main.is_empty() {
            let (entry, reads) = self.main.remove(0);
            if reads == 0 {
                return;
            }
            self.main.push((entry, reads.min(3) - 1));
        }
    }
}

impl Rules for S3Fifo {
    fn find(&mut self, key: u64) -> bool {
        self.was_ghost = false;
        for queue in [&mut self.small, &mut self.main] {
            if let Some(entry) = queue.iter_mut().find(|entry| entry.0.0 == key) {
                entry.1 += 1;
                return true;
            }
        }
        self.was_ghost = take(&mut self.ghosts, key).is_some();
        false
    }

    fn evict(&mut self, _request: Request) {
        let main: u64 = self.main.iter().map(|entry| entry.0.1).sum();
        if main > self.main_size || self.small.is_empty() { self.evict_main() } else { self.evict_small() }
    }

    fn insert(&mut self, request: Request) {
        if self.was_ghost {
            self.main.push((request, 0));
        } else if request.1 < self.small_size {
            self.small.push((request, 0));
        }
    }

    fn used(&self) -> u64 {
        self.small.iter().chain(&self.main).map(|entry| entry.0.1).sum()
    }

    fn admits(&self, size: u64) -> bool {
        size <= self.small_size
    }
}

/// Oldest first.
struct TwoQ {
    recent: Vec<Request>,
    ghosts: Vec<Request>,
    frequent: Vec<Request>,
    recent_size: u64,
    ghosts_size: u64,
    frequent_size: u64,
    was_ghost: bool,
}

impl TwoQ {
    fn new(capacity: u64) -> Self {
        let recent_size = (capacity as f64 * 0.25) as u64;
        Self {
            recent: vec![],
            ghosts: vec![],
            frequent: vec![],
            recent_size,
            ghosts_size: (capacity as f64 * 0.5) as u64,
            frequent_size: capacity - recent_size,
            was_ghost: false,
        }
    }
}

impl Rules for TwoQ {
    fn find(&mut self, key: u64) -> bool {
        self.was_ghost = false;
        if self.recent.iter().any(|entry| entry.0 == key) {
            return true;
        }
        self.was_ghost = take(&mut self.ghosts, key).is_some();
        let Some(entry) = take(&mut self.frequent, key) else { return false };
        self.frequent.push(entry);
        true
    }

    fn evict(&mut self, _request: Request) {
        if bytes(&self.recent) <= self.recent_size {
            self.frequent.remove(0);
            return;
        }
        let entry = self.recent.remove(0);
        if entry.1 <= self.ghosts_size {
            while bytes(&self.ghosts) + entry.1 > self.ghosts_size {
                self.ghosts.remove(0);
            }
            self.ghosts.push(entry);
        }
    }

    fn insert(&mut self, request: Request) {
        if !self.was_ghost {
            return self.recent.push(request);
        }
        while bytes(&self.frequent) + request.1 > self.frequent_size {
            self.frequent.remove(0);
        }
        self.frequent.push(request);
    }

    fn used(&self) -> u64 {
        bytes(&self.recent) + bytes(&self.frequent)
    }

    fn admits(&self, size: u64) -> bool {
        size <= self.recent_size
    }
}

/// The paper's lists, least recent first.
struct Arc {
    t1: Vec<Request>,
    t2: Vec<Request>,
    b1: Vec<Request>,
    b2: Vec<Request>,
    p: f64,
    c: u64,
    /// The ghost list that the last request was found in.
    found_in: Option<u8>,
}

impl Arc {
    fn new(c: u64) -> Self {
        Self { t1: vec![], t2: vec![], b1: vec![], b2: vec![], p: 0.0, c, found_in: None }
    }

    fn replace(&mut self) {
        let t1 = bytes(&self.t1) as f64;
        let t1_is_over = t1 > 0.0 && (t1 > self.p || t1 == self.p && self.found_in == Some(2));
        if t1_is_over || self.t2.is_empty() {
            self.b1.push(self.t1.remove(0));
        } else {
            self.b2.push(self.t2.remove(0));
        }
    }
}

impl Rules for Arc {
    fn find(&mut self, key: u64) -> bool {
        self.found_in = None;
        if let Some(entry) = take(&mut self.t1, key).or_else(|| take(&mut self.t2, key)) {
            self.t2.push(entry);
            return true;
        }
        let [b1, b2] = [bytes(&self.b1) as f64, bytes(&self.b2) as f64];
        if take(&mut self.b1, key).is_some() {
            self.found_in = Some(1);
            self.p = (self.p + (b2 / b1).max(1.0)).min(self.c as f64);
        } else if take(&mut self.b2, key).is_some() {
            self.found_in = Some(2);
            self.p = (self.p - (b1 / b2).max(1.0)).max(0.0);
        }
        false
    }

    fn evict(&mut self, request: Request) {
        if self.found_in.is_some() {
            return self.replace();
        }
        let l1 = bytes(&self.t1) + bytes(&self.b1);
        if l1 + request.1 > self.c {
            if self.b1.is_empty() {
                self.t1.remove(0);
                return;
            }
            self.b1.remove(0);
        } else if l1 + bytes(&self.t2) + bytes(&self.b2) >= 2 * self.c && !self.b2.is_empty() {
            self.b2.remove(0);
        }
        self.replace();
    }

    fn insert(&mut self, request: Request) {
        if self.found_in.is_some() { self.t2.push(request) } else { self.t1.push(request) }
    }

    fn used(&self) -> u64 {
        bytes(&self.t1) + bytes(&self.t2)
    }
}

/// By key: size, reads, priority, and when it was read last.
struct Gdsf {
    entries: HashMap<u64, (u64, f64, f64, u64)>,
    last_victim: f64,
    clock: u64,
}

impl Rules for Gdsf {
    fn find(&mut self, key: u64) -> bool {
        self.clock += 1;
        let Some((size, reads, priority, read_at)) = self.entries.get_mut(&key) else { return false };
        *reads += 1.0;
        *priority = self.last_victim + *reads * 1e6 / *size as f64;
        *read_at = self.clock;
        true
    }

    fn evict(&mut self, _request: Request) {
        let by_priority = |a: &(u64, (f64, u64)), b: &(u64, (f64, u64))| a.1.partial_cmp(&b.1).expect("no NaN");
        let entries = self.entries.iter().map(|(key, entry)| (*key, (entry.2, entry.3)));
        let (key, (priority, _)) = entries.min_by(by_priority).expect("there is one");
        self.last_victim = priority;
        self.entries.remove(&key);
    }

    fn insert(&mut self, (key, size): Request) {
        self.entries.insert(key, (size, 1.0, self.last_victim + 1e6 / size as f64, self.clock));
    }

    fn used(&self) -> u64 {
        self.entries.values().map(|entry| entry.0).sum()
    }
}
