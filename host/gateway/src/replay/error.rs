//! The errors with which a replay has no result.

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
        /// Why it can't be bound.
        error: BindError,
    },
    /// The engine for guests can't be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A policy could not take over from its predecessor.
    #[error("{policy} can't take over: {fault}")]
    Swap {
        /// The policy as it was written.
        policy: String,
        /// The fault that kept it from that.
        fault: Fault,
    },
    /// The policy failed. The replay ended there, as the rest would have measured its replacement.
    #[error("{policy} failed at request {request} of {of}: {fault}")]
    Faulted {
        /// The policy as it was written.
        policy: String,
        /// The number of the request, from 1.
        request: u64,
        /// How many requests the trace has.
        of: u64,
        /// How the policy failed.
        fault: Fault,
    },
}

impl ReplayError {
    /// The error of a simulation of `of` requests that ended early.
    pub(super) fn of(error: SimulatorError, of: u64) -> Self {
        match error {
            SimulatorError::Swap { policy, fault } => Self::Swap { policy, fault },
            SimulatorError::Faulted { policy, request, fault } => Self::Faulted { policy, request, of, fault },
        }
    }
}
