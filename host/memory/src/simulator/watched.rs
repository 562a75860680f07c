//! A policy that is simulated is watched: with its first fault something else answers in its place, and what is counted from
//! then on says nothing of it.

use std::sync::{Arc, OnceLock};

use sandbar_base::{Digest, Fault};

use crate::eviction::{EvictionFactory, EvictionPolicy};

/// The first fault of a simulation, whichever of its policies has it.
#[derive(Debug, Default)]
pub(super) struct FirstFault(OnceLock<(String, Fault)>);

impl FirstFault {
    /// What the policy was called, and what it did.
    pub(super) fn get(&self) -> Option<&(String, Fault)> {
        self.0.get()
    }
}

/// Makes the policies of another factory, and notes the first fault.
pub(super) struct Watched {
    inner: Arc<dyn EvictionFactory>,
    /// What the policy is called.
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
