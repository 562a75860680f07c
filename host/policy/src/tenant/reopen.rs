//! The policies of a tenant under other settings: what was configured anew is opened, all else stays as it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sandbar_memory::eviction::EvictionFactory;

use super::TenantPolicies;
use super::bound::Bound;
use crate::freshness::Grant;
use crate::{BindError, Binding, BoundBy, OpenError, Role, Source};

impl TenantPolicies {
    /// The policies of the same tenant with other configured bindings and grants. Nothing has changed yet: the answer takes
    /// over with [`Self::succeed`].
    ///
    /// What was bound over the API stays bound, and so does what is configured as before, with all that is counted of it;
    /// a configured file is read again. Takes tens of milliseconds for each guest: call this where blocking is allowed.
    ///
    /// # Errors
    /// When a configured policy can't be bound.
    pub fn reopen(&self, configured: &[Binding], grants: BTreeSet<Grant>) -> Result<Self, OpenError> {
        let configured = configured.iter().map(|binding| (binding.role, binding.clone())).collect();
        let next = Self {
            tenant: Arc::clone(&self.tenant),
            engine: self.engine.clone(),
            share: Arc::clone(&self.share),
            grants,
            clock: Arc::clone(&self.clock),
            configured,
            kept: self.kept.clone(),
            bound: Role::ALL.map(|role| ArcSwap::new(self.bound[role as usize].load_full())),
            changing: Mutex::new(()),
            is_succeeded: AtomicBool::new(false),
        };
        for role in Role::ALL {
            let present = next.bound[role as usize].load_full();
            if present.by == BoundBy::Api {
                continue;
            }
            let configured = next.configured.get(&role);
            let by = if configured.is_some() { BoundBy::Config } else { BoundBy::Default };
            let is_same = configured == self.configured.get(&role) && present.by == by;
            // A file may hold another component than before.
            if is_same && !configured.is_some_and(|binding| matches!(binding.source, Source::File(_))) {
                continue;
            }
            let prepared = next.prepare_configured(role)?;
            let wanted = prepared.unwrap_or_else(|| next.native_default(role)).into_bound(None);
            if !(is_same && wanted.is_like(&present)) {
                next.bound[role as usize].store(wanted);
            }
        }
        Ok(next)
    }

    /// Whether the same policies answer each role as in `other`.
    pub fn answer_as(&self, other: &Self) -> bool {
        let bound = |policies: &Self, role: Role| policies.bound[role as usize].load_full();
        Role::ALL.into_iter().all(|role| Arc::ptr_eq(&bound(self, role), &bound(other, role)))
    }

    /// The tenant is gone: nothing can be bound any more, and nothing is kept of what was bound.
    pub fn forget(&self) {
        let _turn = self.changing.lock();
        self.is_succeeded.store(true, Ordering::Release);
        if let Some(kept) = &self.kept {
            kept.forget();
        }
    }

    /// Takes the place of `old`, where nothing can be bound from now on. `hand_over` is called, which may fail, where another
    /// eviction policy answers now: the memory tier hands its entries over to that.
    ///
    /// # Errors
    /// When a policy was bound or unbound since [`Self::reopen`], or `hand_over` fails; nothing has changed then.
    pub fn succeed(
        &self,
        old: &Self,
        hand_over: impl FnOnce(Arc<dyn EvictionFactory>) -> Result<(), BindError>,
    ) -> Result<(), BindError> {
        let _turn = old.changing.lock();
        for role in Role::ALL {
            let (was, is) = (old.bound[role as usize].load_full(), self.bound[role as usize].load_full());
            if was.by == BoundBy::Api && !Arc::ptr_eq(&was, &is) || was.by != BoundBy::Api && is.by == BoundBy::Api {
                return Err(BindError::Changing);
            }
        }
        let eviction = |policies: &Self| policies.bound[Role::Eviction as usize].load_full();
        if !Arc::ptr_eq(&eviction(old), &eviction(self)) {
            hand_over(self.eviction())?;
        }
        self.is_succeeded.store(false, Ordering::Release);
        old.is_succeeded.store(true, Ordering::Release);
        Ok(())
    }
}

impl Bound {
    /// Whether the two are the same policy with the same settings, bound by the same one.
    fn is_like(&self, other: &Self) -> bool {
        let named = |bound: &Self| (bound.digest, bound.by, bound.settings.clone(), Arc::clone(bound.ledger.policy()));
        named(self) == named(other)
    }
}
