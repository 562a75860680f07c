//! What every policy of a role keeps to, whatever it decides. The stock policies are held to it by tests, all others by
//! `sandbar policy test`.
//!
//! A policy that breaks a rule harms nobody: the host drops what makes no sense, evicts by itself and answers natively. But it decides
//! less than its author believes.

mod asked;
mod draws;
mod eviction;
mod inputs;
mod shard;

use sandbar_base::Fault;
use serde::Serialize;

use crate::{OpenError, Role, TenantPolicies};

/// What was found about one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, as a sentence about the policy.
    pub rule: &'static str,
    /// How the policy broke it; none where it kept to it.
    pub broken: Option<String>,
}

impl Finding {
    fn of(rule: &'static str, found: Result<(), Broken>) -> Self {
        Self { rule, broken: found.err().map(|broken| broken.0) }
    }
}

/// How a rule was broken, as a sentence.
#[derive(Debug)]
struct Broken(String);

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self(format!("it failed: {fault}"))
    }
}

impl From<OpenError> for Broken {
    fn from(error: OpenError) -> Self {
        Self(error.to_string())
    }
}

/// Examines the policy of a role. `open` binds it for a tenant whose guests have no share of the processor to keep to, anew each
/// time: a second instance must decide as the first one did.
pub fn examine(role: Role, open: &dyn Fn() -> Result<TenantPolicies, OpenError>) -> Vec<Finding> {
    match role {
        Role::Eviction => eviction::examine(open),
        Role::Freshness => asked::freshness(open),
        Role::Invalidation => asked::invalidation(open),
        Role::Warming => Vec::new(),
    }
}
