//! A factory that watches a simulated policy for its first fault: from then on another policy answers in its place, and
//! the counts say nothing about it.

use std::sync::{Arc, OnceLock};

use sandbar_base::{Digest, Fault};

use crate::eviction::{EvictionFactory, EvictionPolicy};

/// The first fault in a simulation, of whichever policy.
#[derive(Debug, Default)]
pub(super) struct FirstFault(OnceLock<(String, Fault)>);

impl FirstFault {
    /// The name of the policy that failed, and its fault.
    pub(super) fn get(&self) -> Option<&(String, Fault)> {
        self.0.get()
    }
}

/// A factory that makes the policies of another one, and notes the first fault.
pub(super) struct Watched {
    inner: Arc<dyn EvictionFactory>,
    /// The name that the policy has in this simulation.
    name: String,
    first: Arc<FirstFault>,
}

impl Watched {
    pub(super) fn new(inner: Arc<dyn EvictionFactory>, name: String, first: &Arc<FirstFault>) -> Arc<Self> {
        Arc::new(Self { inner, name, first: Arc::clone(first) })
    }

    fn note(&self, fault: &Fault) {
        self.first.0.get_or_init(|| (self.name.clone(), fault.clone()));
    }
}

impl EvictionFactory for Watched {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn digest(&self) -> Option<Digest> {
        self.inner.digest()
    }

    fn is_stock(&self) -> bool {
        self.inner.is_stock()
    }

    fn make(&self, capacity_bytes: u64, seed: u64) -> Result<Box<dyn EvictionPolicy>, Fault> {
        self.inner.make(capacity_bytes, seed).inspect_err(|fault| self.note(fault))
    }

    fn faulted(&self, fault: &Fault) {
        self.note(fault);
        self.inner.faulted(fault);
    }

    fn is_trusted(&self) -> bool {
        self.inner.is_trusted()
    }

    fn fallback(&self) -> Arc<dyn EvictionFactory> {
        self.inner.fallback()
    }
}
