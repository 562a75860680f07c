//! The policies of one tenant: which policy answers each role at present.

mod bound;
#[cfg(feature = "wasm")]
mod guest;
mod open;
mod reopen;
mod rollback;

pub use bound::Prepared;
pub use open::KeptBelow;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sandbar_base::clock::Clock;
use sandbar_http::purge::Purge;
use sandbar_memory::eviction::EvictionFactory;

use self::bound::{Answer, Bound};
use super::clamp::{clamp, may_store};
use super::cpu_share::CpuShare;
use super::freshness::{Fill, Grant, Planned, Standard};
use super::invalidation::{Event, NoAnswer, Written};
use super::saved::SavedBindings;
use super::{BindError, Binding, BoundBy, BoundInfo, Digest, Disinherited, Engine, Role};

/// The policies that are bound for one tenant. Asking one takes no lock, and calls that are under way while a policy is
/// replaced end on the old policy.
///
/// Nothing here fails a request: where a policy has no answer, or none that is allowed, the native default is the answer.
pub struct TenantPolicies {
    tenant: Arc<str>,
    engine: Option<Arc<Engine>>,
    share: Arc<CpuShare>,
    grants: BTreeSet<Grant>,
    clock: Arc<dyn Clock>,
    configured: BTreeMap<Role, Binding>,
    kept: Option<Arc<SavedBindings>>,
    bound: [ArcSwap<Bound>; Role::ALL.len()],
    /// Held while a binding changes.
    changing: Mutex<()>,
    /// Whether other policies have taken the place of these, so that nothing is bound here any more.
    is_succeeded: AtomicBool,
}

impl TenantPolicies {
    /// Bindings made over the API that the disk refused to keep; none where bindings are not kept on disk.
    pub fn disk_report(&self) -> Option<sandbar_base::disk_trouble::DiskReport> {
        self.kept.as_ref().map(|kept| kept.disk_report())
    }

    /// The tenant's name.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The plan for a response. Never fails: where the policy has no answer, the standard plan is the answer.
    pub fn plan(&self, fill: &Fill<'_>, standard: &Standard) -> Planned {
        let native = || Planned { plan: standard.plan.clone(), policy: None };
        let bound = self.bound(Role::Freshness);
        let Answer::Freshness(policy) = &bound.answer else { return native() };
        if !may_store(standard, &self.grants) || !bound.ledger.may_ask() {
            return native();
        }
        let Ok(asked) = policy.plan(self.clock.now(), fill, &standard.plan) else { return native() };
        let (plan, clamped) = clamp(standard, asked, &self.grants);
        bound.ledger.clamped(clamped);
        Planned { plan, policy: bound.digest }
    }

    /// What to purge because of a write, beyond RFC 9111 section 4.4. Never fails: without an answer, it is nothing.
    pub fn purges(&self, written: &Written<'_>) -> Vec<Purge> {
        let bound = self.bound(Role::Invalidation);
        let Answer::Invalidation(guest) = &bound.answer else { return Vec::new() };
        if !bound.ledger.may_ask() {
            return Vec::new();
        }
        let (purges, dropped) = guest.purges(self.clock.now(), written).unwrap_or_default();
        bound.ledger.clamped(dropped);
        purges
    }

    /// What to purge because of an event of another system.
    ///
    /// # Errors
    /// Where no policy answers: then it is not known what the event makes invalid, and whoever sends it must try again.
    pub fn event_purges(&self, event: &Event<'_>) -> Result<Vec<Purge>, NoAnswer> {
        let bound = self.bound(Role::Invalidation);
        let Answer::Invalidation(guest) = &bound.answer else { return Err(NoAnswer::NoPolicy) };
        if !bound.ledger.may_ask() {
            return Err(NoAnswer::NotAsked);
        }
        let (purges, dropped) = guest.event_purges(self.clock.now(), event).map_err(|_| NoAnswer::Failed)?;
        bound.ledger.clamped(dropped);
        Ok(purges)
    }

    /// The factory that makes the eviction policies of the tenant's shards.
    pub fn eviction(&self) -> Arc<dyn EvictionFactory> {
        self.bound(Role::Eviction).eviction()
    }

    /// A report on each role's policy, in the order of [`Role::ALL`].
    pub fn list(&self) -> Vec<BoundInfo> {
        Role::ALL.into_iter().map(|role| self.bound(role).info()).collect()
    }

    /// The digest of the policy that answers a role; none where it is native.
    pub fn digest(&self, role: Role) -> Option<Digest> {
        self.bound(role).digest
    }

    /// Compiles a policy, validates it and has it take its settings. Changes nothing. Takes tens of milliseconds:
    /// call this where blocking is allowed.
    ///
    /// # Errors
    /// When the policy can't be bound.
    pub fn prepare(&self, binding: Binding) -> Result<Prepared, BindError> {
        self.prepare_as(binding, BoundBy::Api, None)
    }

    /// Prepares the policy that takes the role once the present one is unbound: the configured policy or, where none is
    /// configured or the configured one is the present one, the native default.
    ///
    /// # Errors
    /// When the configured policy can't be bound.
    pub fn prepare_unbind(&self, role: Role) -> Result<Prepared, BindError> {
        let rules = self.bound(role).by;
        match self.configured.get(&role) {
            Some(binding) if rules != BoundBy::Config => self.prepare_as(binding.clone(), BoundBy::Config, None),
            _ => Ok(self.native_default(role)),
        }
    }

    /// Binds a prepared policy. Calls that are under way end on the old policy. A binding made over the API is kept and
    /// survives a restart. Blocks on the disk.
    ///
    /// After the binding was kept and before it takes effect, `hand_over` is called, which may fail. It is given the
    /// new eviction policy (none for another role) and has the memory tier hand its entries over to that policy. It
    /// answers why the policy took over nothing but the entries, where that is so. Changes of one tenant's bindings
    /// happen one after the other, and each altogether or not at all.
    ///
    /// # Errors
    /// When the binding can't be kept or `hand_over` fails, or the tenant's settings have changed meanwhile; nothing was
    /// changed then.
    pub fn commit(
        &self,
        prepared: Prepared,
        hand_over: impl FnOnce(Option<Arc<dyn EvictionFactory>>) -> Result<Option<Disinherited>, BindError>,
    ) -> Result<BoundInfo, BindError> {
        let _turn = self.changing.lock();
        if self.is_succeeded.load(Ordering::Acquire) {
            return Err(BindError::Changing);
        }
        let role = prepared.role();
        let undo = match &self.kept {
            None => None,
            Some(kept) => Some(match prepared.to_keep() {
                Some(keep) => kept.put(&keep)?,
                None => kept.remove(role)?,
            }),
        };
        let disinherited = match hand_over(prepared.eviction()) {
            Ok(disinherited) => disinherited,
            Err(error) => {
                if let Some(undo) = undo {
                    undo.undo();
                }
                return Err(error);
            }
        };
        let replaced = self.bound(role).past();
        self.bound[role as usize].store(prepared.into_bound(disinherited));
        if let Some(kept) = &self.kept {
            kept.remember(role, replaced, self.bound(role).past());
            kept.tidy();
        }
        let info = self.bound(role).info();
        tracing::info!(tenant = &*self.tenant, %role, policy = &*info.name, by = ?info.by, "bound a policy");
        Ok(info)
    }

    fn native_default(&self, role: Role) -> Prepared {
        Prepared::native_default(&self.tenant, role, Arc::clone(&self.clock))
    }

    fn bound(&self, role: Role) -> arc_swap::Guard<Arc<Bound>> {
        self.bound[role as usize].load()
    }
}

impl fmt::Debug for TenantPolicies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantPolicies")
            .field("tenant", &self.tenant)
            .field("bound", &self.list())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "wasm")]
mod tests;

/// Binding without an L1 whose entries would have to be handed over.
#[cfg(test)]
impl TenantPolicies {
    pub(crate) fn bind(&self, binding: Binding) -> Result<BoundInfo, BindError> {
        self.commit(self.prepare(binding)?, |_| Ok(None))
    }

    pub(crate) fn unbind(&self, role: Role) -> Result<BoundInfo, BindError> {
        self.commit(self.prepare_unbind(role)?, |_| Ok(None))
    }
}
