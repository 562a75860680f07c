//! A policy that is bound, or could be.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sandbar_base::clock::{Clock, Timestamp};
use sandbar_memory::eviction::EvictionFactory;
use sandbar_memory::native::{DEFAULT_EVICTION, NativeEviction};

use crate::cpu_share::CpuShare;
use crate::freshness::FreshnessPolicy;
use crate::invalidation::InvalidationPolicy;
use crate::ledger::{Ledger, Names};
use crate::quarantine::Rules;
use crate::saved::ToSave;
use crate::{Binding, BoundBy, BoundInfo, Digest, Disinherited, EngineConfig, PastBinding, PolicyOrigin, Role, Source};

/// The policy that answers a role.
pub(super) struct Bound {
    pub(super) role: Role,
    pub(super) answer: Answer,
    pub(super) digest: Option<Digest>,
    pub(super) by: BoundBy,
    pub(super) origin: PolicyOrigin,
    pub(super) since: Timestamp,
    pub(super) settings: serde_json::Value,
    pub(super) ledger: Arc<Ledger>,
    /// Set when the policy is bound.
    pub(super) disinherited: OnceLock<Disinherited>,
}

/// The source of a role's answers.
pub(super) enum Answer {
    /// The native default of the role.
    Native,
    /// An eviction policy, guest or native.
    Eviction(Arc<dyn EvictionFactory>),
    /// A guest, whose digest the plan names, or a native policy of the embedding program.
    Freshness(Box<dyn FreshnessPolicy>),
    /// A guest, or a native policy of the embedding program.
    Invalidation(Box<dyn InvalidationPolicy>),
}

impl Bound {
    /// The native default, which no one has bound.
    pub(super) fn native_default(tenant: &Arc<str>, role: Role, clock: Arc<dyn Clock>) -> Self {
        let name = if role == Role::Eviction { DEFAULT_EVICTION } else { "native" };
        let since = clock.now();
        let rules = rules(&EngineConfig::default());
        let names = Names { tenant: Arc::clone(tenant), policy: name.into(), role };
        let ledger = Arc::new(Ledger::new(names, rules, Arc::new(CpuShare::new(0)), clock));
        let settings = serde_json::Value::Null;
        Self {
            role,
            answer: Answer::Native,
            digest: None,
            by: BoundBy::Default,
            origin: PolicyOrigin::Configured,
            since,
            settings,
            ledger,
            disinherited: OnceLock::new(),
        }
    }

    pub(super) fn eviction(&self) -> Arc<dyn EvictionFactory> {
        match &self.answer {
            Answer::Eviction(factory) => Arc::clone(factory),
            _ => NativeEviction::default_policy(),
        }
    }

    /// The binding as it is remembered, without its number in the history.
    pub(super) fn past(&self) -> PastBinding {
        PastBinding {
            number: 0,
            name: self.ledger.policy().to_string(),
            digest: self.digest,
            by: self.by,
            since: self.since,
            settings: self.settings.clone(),
            origin: self.origin,
        }
    }

    pub(super) fn info(&self) -> BoundInfo {
        let counts = self.ledger.counts();
        BoundInfo {
            role: self.role,
            name: Arc::clone(self.ledger.policy()),
            digest: self.digest,
            by: self.by,
            since: self.since,
            settings: self.settings.clone(),
            calls: counts.calls,
            faults: counts.faults,
            clamped: counts.clamped,
            no_instance: counts.no_instance,
            over_share: counts.over_share,
            log_dropped: counts.log_dropped,
            last_faults: self.ledger.last_faults(),
            disinherited: self.disinherited.get().cloned(),
            state: self.ledger.state(),
        }
    }
}

/// The configured rules of quarantine.
pub(super) fn rules(config: &EngineConfig) -> Rules {
    Rules {
        faults_max: config.faults_max,
        window: config.fault_window,
        first: config.quarantine,
        longest: config.quarantine_max,
    }
}

/// A policy that is ready to be bound: compiled and validated, its settings taken. Nothing has changed yet.
pub struct Prepared {
    pub(super) bound: Arc<Bound>,
    /// The binding that it was prepared from; none for the native default.
    pub(super) binding: Option<Binding>,
    /// The bytes of the component; none for a stock policy.
    pub(super) component: Option<Bytes>,
}

impl Prepared {
    pub(super) fn native_default(tenant: &Arc<str>, role: Role, clock: Arc<dyn Clock>) -> Self {
        Self { bound: Arc::new(Bound::native_default(tenant, role, clock)), binding: None, component: None }
    }

    /// The role that the policy would answer.
    pub fn role(&self) -> Role {
        self.bound.role
    }

    /// The eviction policy that would be bound; none for the other roles.
    pub fn eviction(&self) -> Option<Arc<dyn EvictionFactory>> {
        (self.role() == Role::Eviction).then(|| self.bound.eviction())
    }

    /// The binding as it is to be kept on disk; none unless it is made over the API, of a policy that is not the embedding
    /// program's own: no other one outlives the process.
    pub(super) fn to_keep(&self) -> Option<ToSave<'_>> {
        let binding = self.binding.as_ref().filter(|_| self.bound.by == BoundBy::Api)?;
        if matches!(binding.source, Source::Own(_)) {
            return None;
        }
        let name = self.bound.ledger.policy();
        Some(ToSave { binding, component: self.component.as_deref(), name, since: self.bound.since })
    }

    /// Turns it into the bound policy, whose processor time, past and future, is charged to the tenant's share.
    pub(super) fn into_bound(self, disinherited: Option<Disinherited>) -> Arc<Bound> {
        self.bound.ledger.bound();
        if let Some(disinherited) = disinherited {
            self.bound.disinherited.get_or_init(|| disinherited);
        }
        self.bound
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("info", &self.bound.info()).finish_non_exhaustive()
    }
}
