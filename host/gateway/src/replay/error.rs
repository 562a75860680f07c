//! Why a replay has no result.

use sandbar_memory::simulator::SimulatorError;
use sandbar_policy::{BindError, EngineError, Fault};

/// Why a replay has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The policy can't be bound.
    #[error("{policy}: {error}")]
    Bind {
        /// The policy as it was written.
        policy: String,
        /// Why not.
        error: BindError,
    },
    /// There is no engine for guests.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A policy could not take over from the one before it.
    #[error("{policy} can't take over: {fault}")]
    Swap {
        /// The policy as it was written.
        policy: String,
        /// Why not.
        fault: Fault,
    },
    /// The policy failed. The replay ended there: what took its place would have been measured.
    #[error("{policy} failed at request {request} of {of}: {fault}")]
    Faulted {
        /// The policy as it was written.
        policy: String,
        /// The request, from 1.
        request: u64,
        /// How many there are.
        of: u64,
        /// What it did.
        fault: Fault,
    },
}

impl ReplayError {
    /// Why a simulation of so many requests ended early.
    pub(super) fn of(error: SimulatorError, of: u64) -> Self {
        match error {
            SimulatorError::Swap { policy, fault } => Self::Swap { policy, fault },
            SimulatorError::Faulted { policy, request, fault } => Self::Faulted { policy, request, of, fault },
        }
    }
}
