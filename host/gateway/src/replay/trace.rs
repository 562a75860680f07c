//! A trace: recorded requests, in memory.

use hashbrown::HashMap;
use sandbar_http::key::KeyHash;

/// A request of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// When it was made, in milliseconds; only the order matters to most policies.
    pub time_ms: u64,
    /// Size of the response in bytes.
    pub size_bytes: u64,
    /// Number of the key, see [`Trace::key`].
    pub key: u32,
    /// What fetching the response costs, in microseconds; 0 where the trace doesn't say.
    pub cost_us: u32,
}

/// A trace in memory: 24 bytes a request and about 50 for each key.
#[derive(Debug, Default)]
pub struct Trace {
    requests: Vec<Request>,
    keys: Vec<KeyHash>,
    numbers: HashMap<KeyHash, u32>,
    working_set_bytes: u64,
}

impl Trace {
    /// Adds a request.
    ///
    /// # Errors
    /// When there are more than 2^32 - 1 keys.
    pub fn push(&mut self, time_ms: u64, key: KeyHash, size_bytes: u64, cost_us: u64) -> Result<(), String> {
        let next = u32::try_from(self.keys.len()).map_err(|_| "too many keys".to_owned())?;
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.keys.push(key);
            self.working_set_bytes = self.working_set_bytes.saturating_add(size_bytes);
        }
        let cost_us = u32::try_from(cost_us).unwrap_or(u32::MAX);
        self.requests.push(Request { time_ms, size_bytes, key: number, cost_us });
        Ok(())
    }

    /// Frees the memory that was reserved for more requests.
    pub(super) fn shrink_to_fit(&mut self) {
        self.requests.shrink_to_fit();
    }

    /// The requests, in the order in which they were recorded.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// The hash of the key with this number.
    pub fn key(&self, number: u32) -> KeyHash {
        self.keys[number as usize]
    }

    /// How many distinct keys the requests have.
    pub fn unique_keys(&self) -> u64 {
        self.keys.len() as u64
    }

    /// The sum of the sizes at each key's first request, in bytes.
    pub fn working_set_bytes(&self) -> u64 {
        self.working_set_bytes
    }
}
