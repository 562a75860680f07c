//! A simulator of eviction policies: it drives requests without bodies through a [`Memory`] and counts misses.
//!
//! The simulated tier is the same code that serves requests: each request is a read, and an insert where it missed.
//! With one shard and batches of one event the results are those of a textbook simulator, to the last miss.
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

mod sample;
mod watched;

use std::iter::Peekable;
use std::sync::Arc;
use std::vec;

use sandbar_base::{Fault, KeyHash, Timestamp};

pub use self::sample::{SAMPLED_RESIDENTS_MIN, Sample};
use self::watched::{FirstFault, Watched};
use crate::eviction::EvictionFactory;
use crate::{Facts, Memory, MemoryConfig, MemoryStats};

/// A request of the simulated traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Hash of the requested cache key.
    pub key: KeyHash,
    /// Time of the request.
    pub now: Timestamp,
    /// Size of the response in bytes, which its weight may differ from.
    pub size_bytes: u64,
    /// What the policy is told of the response where the request misses.
    pub facts: Facts,
}

/// A policy to simulate, and its name for error messages.
pub struct Policy {
    name: String,
    eviction: Arc<dyn EvictionFactory>,
}

/// A swap of the policy during the simulation. The entries stay, as they do in production.
#[derive(Debug)]
pub struct Swap {
    /// Number of the request before which the swap is made, counted from 0.
    pub before: u64,
    /// The policy that is bound then.
    pub to: Policy,
}

/// The counts of a simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Requests that were served.
    pub requests: u64,
    /// Requests that missed.
    pub misses: u64,
    /// Size of the responses that were missed, in bytes.
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
        /// Why it could not take over.
        fault: Fault,
    },
    /// A policy failed. From then on the policy that stands in for it would have been simulated.
    #[error("{policy} failed at request {request}: {fault}")]
    Faulted {
        /// The name that the policy has in this simulation.
        policy: String,
        /// Number of the request, counted from 1.
        request: u64,
        /// How the policy failed.
        fault: Fault,
    },
}

/// A tier under simulation, with the swaps to come and the counts so far.
#[derive(Debug)]
pub struct Simulator {
    memory: Memory<()>,
    /// The swaps to come, in the order of their requests.
    swaps: Peekable<vec::IntoIter<Swap>>,
    first_fault: Arc<FirstFault>,
    served: Served,
}

impl Policy {
    /// A policy made by `eviction`, under this name.
    pub fn named(name: impl Into<String>, eviction: impl EvictionFactory + 'static) -> Self {
        Self::shared(name, Arc::new(eviction))
    }

    /// A policy made by a factory that others use too, under this name.
    pub fn shared(name: impl Into<String>, eviction: Arc<dyn EvictionFactory>) -> Self {
        Self { name: name.into(), eviction }
    }

    fn watched(self, first_fault: &Arc<FirstFault>) -> Arc<Watched> {
        Watched::new(self.eviction, self.name, first_fault)
    }
}

impl Simulator {
    /// An empty tier under a policy, and the swaps to come; of several swaps before the same request the last one
    /// counts.
    pub fn new(config: &MemoryConfig, policy: Policy, mut swaps: Vec<Swap>) -> Self {
        let first_fault = Arc::new(FirstFault::default());
        let memory = Memory::new(config, policy.watched(&first_fault));
        swaps.sort_by_key(|swap| swap.before);
        Self { memory, swaps: swaps.into_iter().peekable(), first_fault, served: Served::default() }
    }

    /// Serves requests in their order, after those of earlier calls.
    ///
    /// # Errors
    /// With the first fault of a policy, right after it happened: later results would say nothing about that policy.
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

    /// The counts so far.
    pub const fn served(&self) -> Served {
        self.served
    }

    /// Statistics of the simulated tier.
    pub fn stats(&self) -> MemoryStats {
        self.memory.stats()
    }

    /// Serves a request: a read, and an insert where it missed.
    #[inline]
    fn serve(&mut self, request: &Request) {
        self.served.requests += 1;
        if self.memory.get(request.key, request.now).is_none() {
            self.served.misses += 1;
            self.served.missed_bytes += request.size_bytes;
            self.memory.insert(request.key, (), request.facts, request.now);
        }
    }

    /// Number of the request before which the next swap is made; `u64::MAX` where there is none.
    fn next_swap(&mut self) -> u64 {
        self.swaps.peek().map_or(u64::MAX, |swap| swap.before)
    }

    /// Makes the swaps that are due.
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
