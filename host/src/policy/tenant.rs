//! The policies of one tenant: who answers which role, now.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::eviction::EvictionFactory;
use super::freshness::{Fill, Grant, Planned, Standard};
use super::invalidation::Written;
use super::native::NativeEviction;
use super::warming::{Used, Wanted};
use super::{BindError, Binding, BoundInfo, Digest, Engine, Role};
use crate::barrier::Purge;
use crate::clock::{Clock, Timestamp};

/// Everything that is bound for one tenant. Reading takes no lock.
#[derive(Debug)]
pub struct TenantPolicies {
    tenant: Arc<str>,
}

/// A policy that could be bound: compiled, validated, its settings taken. Nothing has changed yet.
#[derive(Debug)]
pub struct Prepared {
    role: Role,
}

impl Prepared {
    /// The role it would take.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The eviction policy that would be bound; none for the other roles.
    pub fn eviction(&self) -> Option<Arc<dyn EvictionFactory>> {
        (self.role == Role::Eviction).then(|| Arc::new(NativeEviction) as Arc<dyn EvictionFactory>)
    }
}

impl TenantPolicies {
    /// Native policies only, and no engine: nothing can be bound but native policies.
    pub fn native(tenant: &str) -> Self {
        Self { tenant: tenant.into() }
    }

    /// The policies that `configured` names, or those that were bound over the API before and kept under `kept`.
    ///
    /// # Errors
    /// When a configured policy can't be bound.
    pub fn open(
        engine: Arc<Engine>,
        tenant: &str,
        configured: &[Binding],
        grants: BTreeSet<Grant>,
        kept: Option<&Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BindError> {
        let _ = (engine, configured, grants, kept, clock);
        Ok(Self::native(tenant))
    }

    /// The tenant's name.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// What becomes of a response. Never fails: the standard plan is the answer when a policy has none.
    pub fn plan(&self, _fill: &Fill<'_>, standard: &Standard) -> Planned {
        Planned { plan: standard.plan.clone(), policy: None }
    }

    /// What to purge because of a write, beyond what RFC 9111 section 4.4 says. Never fails.
    pub fn purges(&self, _written: &Written<'_>) -> Vec<Purge> {
        Vec::new()
    }

    /// What to fetch before anyone asks, most wanted first. Never fails.
    pub fn wanted(&self, _now: Timestamp, _usage: &[Used], _limit: u32) -> Vec<Wanted> {
        Vec::new()
    }

    /// Makes the eviction policies of the tenant's shards.
    pub fn eviction(&self) -> Arc<dyn EvictionFactory> {
        Arc::new(NativeEviction)
    }

    /// Compiles a policy, validates it and has it take its settings. Changes nothing. Takes tens of milliseconds:
    /// call it where blocking is allowed.
    ///
    /// # Errors
    /// When it can't be bound.
    pub fn prepare(&self, binding: Binding) -> Result<Prepared, BindError> {
        Ok(Prepared { role: binding.role })
    }

    /// The same for what would rule after [`TenantPolicies::unbind`]: the configured policy or, where none is
    /// configured or the configured one rules already, the native default.
    ///
    /// # Errors
    /// When that can't be bound.
    pub fn prepare_unbind(&self, role: Role) -> Result<Prepared, BindError> {
        Ok(Prepared { role })
    }

    /// Binds it. Calls that are under way end on the old policy. A binding made so is kept and survives a restart.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When it can't be kept; nothing was changed then.
    pub fn commit(&self, prepared: Prepared) -> Result<BoundInfo, BindError> {
        let _ = prepared;
        Err(BindError::NoEngine)
    }

    /// [`TenantPolicies::prepare`] and [`TenantPolicies::commit`] in one.
    ///
    /// # Errors
    /// As theirs.
    pub fn bind(&self, binding: Binding) -> Result<BoundInfo, BindError> {
        self.commit(self.prepare(binding)?)
    }

    /// Forgets the binding that was made over the API; where there is none, suspends the configured one until the next
    /// start.
    ///
    /// # Errors
    /// When the kept binding can't be removed.
    pub fn unbind(&self, role: Role) -> Result<BoundInfo, BindError> {
        self.commit(self.prepare_unbind(role)?)
    }

    /// What is bound to each role.
    pub fn list(&self) -> Vec<BoundInfo> {
        Vec::new()
    }

    /// The digest of the policy that answers a role; none where it is native.
    pub fn digest(&self, _role: Role) -> Option<Digest> {
        None
    }
}
