//! W-TinyLFU as the reference defines it, but with exact counts in place of a sketch: a window of 1 % (at least 1), a main
//! part of 20 % probation and 80 % protected, counts up to 15 that are raised on every request and halved after ten times
//! as many as there are entries; the window's candidate gets in if it was asked for strictly more often than the victim.

use std::collections::HashMap;

use super::naive::Request;

/// How many requests miss.
pub(crate) fn misses(requests: &[Request], capacity: u64) -> u64 {
    let mut cache = WTinyLfu::new(capacity);
    requests.iter().filter(|request| !cache.request(**request)).count() as u64
}

/// Least recent first.
struct WTinyLfu {
    window: Vec<Request>,
    probation: Vec<Request>,
    protected: Vec<Request>,
    counts: HashMap<u64, u32>,
    counted: u64,
    capacity: u64,
    window_size: u64,
    protected_size: u64,
}

impl WTinyLfu {
    fn new(capacity: u64) -> Self {
        let window_size = ((capacity as f64 * 0.01) as u64).max(1);
        let protected_size = ((capacity - window_size) as f64 * 0.8) as u64;
        let (window, probation, protected) = (vec![], vec![], vec![]);
        Self { window, probation, protected, counts: HashMap::new(), counted: 0, capacity, window_size, protected_size }
    }

    /// Whether it hits.
    fn request(&mut self, request: Request) -> bool {
        self.count(request.0);
        if let Some(entry) = take(&mut self.window, request.0) {
            self.window.push(entry);
            return true;
        }
        let main = take(&mut self.probation, request.0).or_else(|| take(&mut self.protected, request.0));
        if let Some(entry) = main {
            self.protected.push(entry);
            while bytes(&self.protected) > self.protected_size {
                self.probation.push(self.protected.remove(0));
            }
            return true;
        }
        if request.1 <= self.capacity {
            self.window.push(request);
            self.pass_on();
        }
        false
    }

    /// What is too much for the window competes with the main part's least recent.
    fn pass_on(&mut self) {
        while bytes(&self.window) > self.window_size {
            let candidate = self.window.remove(0);
            self.probation.push(candidate);
            while bytes(&self.window) + bytes(&self.probation) + bytes(&self.protected) > self.capacity {
                let rival = self.probation.iter().chain(&self.protected).find(|entry| **entry != candidate);
                let is_in = self.probation.last() == Some(&candidate);
                let loser = match rival {
                    Some(rival) if !is_in || self.counts_of(candidate) > self.counts_of(*rival) => *rival,
                    _ => candidate,
                };
                let _ = take(&mut self.probation, loser.0).or_else(|| take(&mut self.protected, loser.0));
            }
        }
    }

    fn counts_of(&self, entry: Request) -> u32 {
        self.counts.get(&entry.0).copied().unwrap_or(0)
    }

    fn count(&mut self, key: u64) {
        let count = self.counts.entry(key).or_default();
        if *count == 15 {
            return;
        }
        *count += 1;
        self.counted += 1;
        let entries = (self.window.len() + self.probation.len() + self.protected.len()) as f64;
        let used = (bytes(&self.window) + bytes(&self.probation) + bytes(&self.protected)) as f64;
        let sample = 10.0 * entries * self.capacity as f64 / used.max(1.0);
        if entries > 0.0 && self.counted as f64 >= sample {
            self.counts.values_mut().for_each(|count| *count /= 2);
            self.counted /= 2;
        }
    }
}

fn bytes(entries: &[Request]) -> u64 {
    entries.iter().map(|entry| entry.1).sum()
}

fn take(entries: &mut Vec<Request>, key: u64) -> Option<Request> {
    let at = entries.iter().position(|entry| entry.0 == key)?;
    Some(entries.remove(at))
}
