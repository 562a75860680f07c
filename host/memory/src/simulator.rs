//! Requests without bodies driven through a [`Memory`]: what a policy would have kept.
//!
//! It is the very tier that serves requests: each request is a read, and what it misses is inserted. With one shard and
//! batches of one event this gives what a textbook simulator gives, to the last miss.
//!
//! ```
//! use sandbar_base::{KeyHash, Timestamp};
//! # #[cfg(feature = "stock")] {
//! use sandbar_memory::native::NativeEviction;
//! use sandbar_memory::simulator::{Policy, Request, Simulator, Swap};
//! use sandbar_memory::{Facts, MemoryConfig};
//!
//! let native = |name: &str| Policy::named(name, NativeEviction::new(name, "").unwrap().unwrap());
//! let one_at_a_time = MemoryConfig { shards: Some(1), read_buffer_len: 1, entry_overhead_bytes: 0, ..Default::default() };
//! let config = MemoryConfig { capacity_bytes: 2, ..one_at_a_time };
//! let swaps = vec![Swap { before: 4, to: native("fifo") }];
//! let mut simulator = Simulator::new(&config, native("lru"), swaps);
//!
//! let requests = ["a", "b", "a", "c", "a", "d", "a"].map(|key| Request {
//!     key: KeyHash::of(key),
//!     now: Timestamp::from_millis(0),
//!     size_bytes: 100,
//!     facts: Facts { weight_bytes: 1, ..Facts::default() },
//! });
//! simulator.run(requests)?;
//! // `lru` evicts `b` for `c`. `fifo` takes over from it and evicts `a` for `d`, although it was just read.
//! assert_eq!((simulator.served().requests, simulator.served().misses), (7, 5));
//! # }
//! # Ok::<(), sandbar_memory::simulator::SimulatorError>(())
//! ```

mod watched;

use std::iter::Peekable;
use std::sync::Arc;
use std::vec;

use sandbar_base::{Fault, KeyHash, Timestamp};

use self::watched::{FirstFault, Watched};
use crate::eviction::EvictionFactory;
use crate::{Facts, Memory, MemoryConfig, MemoryStats};

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub key: KeyHash,
    /// When.
    pub now: Timestamp,
    /// Size of the response in bytes, whatever it weighs.
    pub size_bytes: u64,
    /// What the policy is told of the response where it was missed.
    pub facts: Facts,
}

/// A policy, and what it is called where it fails.
pub struct Policy {
    name: String,
    eviction: Arc<dyn EvictionFactory>,
}

/// A change of the policy on the way. The cache stays warm, as it does in production.
#[derive(Debug)]
pub struct Swap {
    /// The request before which it is made, from 0.
    pub before: u64,
    /// What is bound then.
    pub to: Policy,
}

/// What has been served so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests.
    pub requests: u64,
    /// Those that missed.
    pub misses: u64,
    /// The size of what those asked for, in bytes.
    pub missed_bytes: u64,
}

/// Why a simulation ended early.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulatorError {
    /// A policy could not take over from the one before it.
    #[error("{policy} can't take over: {fault}")]
    Swap {
        /// The policy's own name.
        policy: String,
        /// Why not.
        fault: Fault,
    },
    /// A policy failed. What took its place would have been simulated from then on.
    #[error("{policy} failed at request {request}: {fault}")]
    Faulted {
        /// What the policy was called.
        policy: String,
        /// The request, from 1.
        request: u64,
        /// What it did.
        fault: Fault,
    },
}

/// A tier, and what it is driven with.
#[derive(Debug)]
pub struct Simulator {
    memory: Memory<()>,
    /// In the order of their requests.
    swaps: Peekable<vec::IntoIter<Swap>>,
    first_fault: Arc<FirstFault>,
    served: Served,
}

impl Policy {
    /// What makes a policy, called so.
    pub fn named(name: impl Into<String>, eviction: impl EvictionFactory + 'static) -> Self {
        Self::shared(name, Arc::new(eviction))
    }

    /// The same of a factory that others have too.
    pub fn shared(name: impl Into<String>, eviction: Arc<dyn EvictionFactory>) -> Self {
        Self { name: name.into(), eviction }
    }

    fn watched(self, first_fault: &Arc<FirstFault>) -> Arc<Watched> {
        Watched::new(self.eviction, self.name, first_fault)
    }
}

impl Simulator {
    /// An empty tier under a policy, and the changes to come; the last of several before the same request is bound.
    pub fn new(config: &MemoryConfig, policy: Policy, mut swaps: Vec<Swap>) -> Self {
        let first_fault = Arc::new(FirstFault::default());
        let memory = Memory::new(config, policy.watched(&first_fault));
        swaps.sort_by_key(|swap| swap.before);
        Self { memory, swaps: swaps.into_iter().peekable(), first_fault, served: Served::default() }
    }

    /// Serves requests in their order, after those that it was given before.
    ///
    /// # Errors
    /// With the first fault of a policy, right after it. Nothing that is served later says anything of that policy.
    pub fn run(&mut self, requests: impl IntoIterator<Item = Request>) -> Result<(), SimulatorError> {
        let mut next_swap = self.next_swap();
        for request in requests {
            if self.served.requests >= next_swap {
                self.swap(request.now)?;
                next_swap = self.next_swap();
            }
            self.serve(&request);
            if let Some((policy, fault)) = self.first_fault.get() {
                let (policy, fault) = (policy.clone(), fault.clone());
                return Err(SimulatorError::Faulted { policy, request: self.served.requests, fault });
            }
        }
        Ok(())
    }

    /// What has been served so far.
    pub const fn served(&self) -> Served {
        self.served
    }

    /// What the tier holds and has done.
    pub fn stats(&self) -> MemoryStats {
        self.memory.stats()
    }

    /// A read, and an insert where it missed.
    #[inline]
    fn serve(&mut self, request: &Request) {
        self.served.requests += 1;
        if self.memory.get(request.key, request.now).is_none() {
            self.served.misses += 1;
            self.served.missed_bytes += request.size_bytes;
            self.memory.insert(request.key, (), request.facts, request.now);
        }
    }

    /// The request before which the next change is made; none has that number where there is no change to come.
    fn next_swap(&mut self) -> u64 {
        self.swaps.peek().map_or(u64::MAX, |swap| swap.before)
    }

    /// Makes the changes that are due.
    #[cold]
    fn swap(&mut self, now: Timestamp) -> Result<(), SimulatorError> {
        let due = |swap: &Swap| swap.before <= self.served.requests;
        while let Some(Swap { to, .. }) = self.swaps.next_if(due) {
            let to: Arc<dyn EvictionFactory> = to.watched(&self.first_fault);
            let swapped = self.memory.swap_eviction(Arc::clone(&to), now);
            swapped.map_err(|fault| SimulatorError::Swap { policy: to.name().to_owned(), fault })?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Policy").field(&self.name).finish()
    }
}
