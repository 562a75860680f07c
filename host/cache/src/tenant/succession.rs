//! A tenant with other settings takes the place of the one before, and over what is kept for it.

use std::sync::Arc;

use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_memory::Memory;
use sandbar_policy::{BindError, TenantPolicies};

use super::config::TenantConfig;
use super::tunnels::Tunnels;
use super::{Settings, SettingsError, Tenant, key_scope, new_l1, shards_max, tallies};
use crate::origin::Origin;
use crate::origin::http::OriginConfig;
use crate::origin::shield::Shield;
use crate::tally::Tally;

/// Why a tenant could not take over from the one before it.
#[derive(Debug, thiserror::Error)]
#[error("tenant {tenant:?}: its policies could not be changed: {reason}")]
pub struct NotHandedOver {
    /// The tenant.
    pub tenant: Arc<str>,
    /// What went wrong.
    pub reason: BindError,
}

impl Tenant {
    /// The same tenant with other settings, to be put in the place of this one ([`Cache::change_tenants`]): it takes over
    /// L1, barriers, counters and pending purges. `policies` are its new ones ([`TenantPolicies::reopen`]), or the same;
    /// without an `origin` it keeps the one that it has.
    ///
    /// L1 is new, and empty, where its shards could not hold the largest body any more. A tenant of another incarnation takes over
    /// nothing.
    ///
    /// # Errors
    /// When a setting is wrong.
    ///
    /// [`Cache::change_tenants`]: crate::cache::Cache::change_tenants
    pub fn with(
        &self,
        config: &TenantConfig,
        policies: Arc<TenantPolicies>,
        origin: Option<Arc<dyn Origin>>,
    ) -> Result<Arc<Self>, SettingsError> {
        if config.name != *self.name || config.incarnation != self.config.incarnation {
            let origin = origin.unwrap_or_else(|| self.origin.origin());
            return Self::new(config, policies, origin, Arc::clone(&self.clock));
        }
        let settings = Settings::try_from(config)?;
        Ok(Arc::new(Self {
            name: Arc::clone(&self.name),
            key_scope: key_scope(config),
            memory: self.memory_for(config, &policies),
            barriers: Arc::clone(&self.barriers),
            policies,
            origin: self.shield_for(config, origin),
            loads: self.loads_for(config),
            counters: Arc::clone(&self.counters),
            class_answers: self.tallies_for(&settings),
            tunnels: if config.tunnels == self.config.tunnels {
                Arc::clone(&self.tunnels)
            } else {
                Tunnels::new(&config.tunnels)
            },
            recording_point: Arc::clone(&self.recording_point),
            events: Arc::clone(&self.events),
            sweeps_wanted: Arc::clone(&self.sweeps_wanted),
            plan_epoch: Arc::clone(&self.plan_epoch),
            outbox: Arc::clone(&self.outbox),
            unheard: Arc::clone(&self.unheard),
            unrecorded: Arc::clone(&self.unrecorded),
            versions: Arc::clone(&self.versions),
            barriers_read: Arc::clone(&self.barriers_read),
            clock: Arc::clone(&self.clock),
            edition: self.edition.next(config.key != self.config.key),
            config: Arc::new(config.clone()),
            settings,
        }))
    }

    /// The origin of these settings, as `make` makes it, where it is another one than the tenant has: in its settings, or in the
    /// files that they name.
    ///
    /// # Errors
    /// Those of `make`.
    #[doc(hidden)]
    pub fn other_origin<O: Origin + ?Sized, E>(
        &self,
        config: &TenantConfig,
        make: impl FnOnce() -> Result<Arc<O>, E>,
    ) -> Result<Option<Arc<O>>, E> {
        let has_same_settings = config.origin == self.config.origin;
        if has_same_settings && !config.origin.as_ref().is_some_and(OriginConfig::names_files) {
            return Ok(None);
        }
        let origin = make()?;
        Ok((!has_same_settings || origin.files() != self.origin.origin().files()).then_some(origin))
    }

    fn memory_for(&self, config: &TenantConfig, policies: &TenantPolicies) -> Arc<Memory<Arc<crate::cached::Cached>>> {
        if self.memory.shards() <= shards_max(config) {
            return Arc::clone(&self.memory);
        }
        new_l1(config, policies, &self.events)
    }

    /// What was counted of classes goes on where they are the same ones.
    fn tallies_for(&self, settings: &Settings) -> Arc<[Tally<Outcome>]> {
        let names = |settings: &Settings| settings.classes.all().map(|class| class.name.clone()).collect::<Vec<_>>();
        if names(settings) == names(&self.settings) { Arc::clone(&self.class_answers) } else { tallies(settings) }
    }

    fn shield_for(&self, config: &TenantConfig, origin: Option<Arc<dyn Origin>>) -> Arc<Shield> {
        let deadline = config.fetch_hard_deadline;
        let is_same = config.protect == self.config.protect && deadline == self.config.fetch_hard_deadline;
        if origin.is_none() && is_same {
            return Arc::clone(&self.origin);
        }
        if let Some(new) = &origin {
            new.start();
        }
        let (origin, clock) = (origin.unwrap_or_else(|| self.origin.origin()), Arc::clone(&self.clock));
        let counters = Arc::clone(&self.counters.origin);
        Arc::new(Shield::new(&config.name, origin, &config.protect, deadline.get(), clock, counters))
    }

    /// Whether the two are one tenant with different settings.
    pub(crate) fn is_succession_of(&self, old: &Self) -> bool {
        Arc::ptr_eq(&self.barriers, &old.barriers)
    }

    /// Takes over the policies of the tenant before it: from now on nothing can be bound there any more.
    ///
    /// # Errors
    /// When an eviction policy can't take over the entries; nothing has changed then.
    pub(crate) fn take_over(&self, old: &Self, now: Timestamp) -> Result<(), NotHandedOver> {
        if !self.is_succession_of(old) || Arc::ptr_eq(&self.policies, &old.policies) {
            return Ok(());
        }
        let hand_over = |eviction| {
            if Arc::ptr_eq(&self.memory, &old.memory) {
                self.memory.swap_eviction(eviction, now)?;
            }
            Ok(())
        };
        let failed = |reason| NotHandedOver { tenant: Arc::clone(&self.name), reason };
        self.policies.succeed(&old.policies, hand_over).map_err(failed)
    }

    /// Undoes what [`Self::take_over`] did for `new`, the tenant that was to come after this one.
    pub(crate) fn take_back(&self, new: &Self, now: Timestamp) {
        if let Err(error) = self.take_over(new, now) {
            tracing::error!(%error, "a change that failed could not be undone altogether");
        }
    }

    /// What follows once nothing new begins at `old`, the tenant before this one. `kept_percent` says how much of its share
    /// L1 may use at the moment.
    pub(crate) fn settle_after(&self, old: &Self, kept_percent: u64, now: Timestamp) {
        if Arc::ptr_eq(&self.memory, &old.memory) {
            if self.settings.l1_bytes != old.settings.l1_bytes {
                self.shrink_to(kept_percent, now);
            }
        } else {
            self.shrink_to(kept_percent, now);
            old.clear_memory();
        }
        // What is on its way under the settings of before is not stored; what is stored was planned under them.
        self.edition.begin(now);
        self.replan();
        if !self.settings.classes.promise_as(&old.settings.classes) {
            // What was stored under a weaker promise can't be served under a stronger one.
            self.barriers.distrust(true);
        }
    }

    /// Lets L1 have so much of its share. What a tenant without a share has is the commons' to say.
    pub(crate) fn shrink_to(&self, kept_percent: u64, now: Timestamp) {
        if self.settings.l1_bytes == 0 {
            return;
        }
        self.memory.set_capacity_bytes(part(self.settings.l1_bytes, kept_percent), now);
    }
}

/// So many per cent of a number of bytes.
pub(crate) fn part(bytes: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(percent) / 100).unwrap_or(bytes)
}
