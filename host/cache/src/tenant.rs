//! A tenant: its name, its share of memory, its classes, its policies, its origin. Tenants have nothing in common but
//! the machine.

mod check;
#[doc(hidden)]
pub mod class;
pub mod config;
pub mod counters;
mod edition;
pub mod latency;
mod loads;
mod succession;
pub mod token;
pub mod tunnels;
#[doc(hidden)]
pub mod versions;
mod write_rules;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use check::SettingsError;
use class::Classes;
use config::TenantConfig;
use counters::{CounterValues, Counters, Source};
use edition::Edition;
use loads::Loads;
use sandbar_base::clock::Clock;
use sandbar_base::disk_trouble::DiskReport;
use sandbar_http::entry::StoredResponse;
use sandbar_http::key::{CacheKey, KeyHash, KeyRules};
use sandbar_http::origin_view::ForwardRules;
use sandbar_http::semantics::cache_status::Outcome;
pub use sandbar_memory::MemoryStats;
use sandbar_memory::{Memory, MemoryConfig, shards_of_at_least};
use sandbar_policy::{
    BIND_DEADLINE, BindError, Binding, BoundInfo, Consent, Disinherited, Prepared, Role, TenantPolicies,
};
use serde::Serialize;
pub use succession::NotHandedOver;
pub(crate) use succession::part;
use token::TokenConfig;
use tunnels::Tunnels;
use versions::Versions;

use crate::barrier::outbox::Outbox;
use crate::barrier::unheard::Unheard;
use crate::barrier::{Barriers, Unrecorded};
use crate::cached::Cached;
use crate::events::Teller;
use crate::origin::shield::{Shield, ShieldStats};
use crate::origin::{Origin, OriginReport};
use crate::recording::RecordingPoint;
use crate::tally::Tally;

/// A tenant, with all that is kept for it. Its settings never change: a change makes another `Tenant` that takes over what
/// is kept ([`Self::with`]), and requests under way end with the settings that they began with.
pub struct Tenant {
    /// The name.
    pub name: Arc<str>,
    /// The first part of every cache key: the name, which making of the tenant it is, and a hash of its key rules.
    pub(crate) key_scope: Box<str>,
    /// The settings as they were given.
    pub config: Arc<TenantConfig>,
    /// The settings that were checked.
    #[doc(hidden)]
    pub settings: Settings,
    /// Its L1. Entries are put there only within the memory budget and if no barrier hides them, so it is not public.
    pub(crate) memory: Arc<Memory<Arc<Cached>>>,
    /// The barriers that this node has heard of.
    #[doc(hidden)]
    pub barriers: Arc<Barriers>,
    /// The policies that are bound to its roles.
    #[doc(hidden)]
    pub policies: Arc<TenantPolicies>,
    /// Its origin, behind its protection.
    #[doc(hidden)]
    pub origin: Arc<Shield>,
    /// The protection of what its values are loaded from.
    loads: Arc<Loads>,
    /// Counters of its traffic.
    pub counters: Arc<Counters>,
    /// Of each class the answers that were no hits, by the place of the class.
    pub(crate) class_answers: Arc<[Tally<Outcome>]>,
    /// Its connections that have switched to another protocol.
    #[doc(hidden)]
    pub tunnels: Arc<Tunnels>,
    /// Where its traffic can be recorded.
    #[doc(hidden)]
    pub recording_point: Arc<RecordingPoint>,
    /// Tells the readers of events what happens to its entries.
    pub(crate) events: Arc<Teller>,
    pub(crate) sweeps_wanted: Arc<AtomicU64>,
    pub(crate) plan_epoch: Arc<AtomicU64>,
    pub(crate) outbox: Arc<Outbox>,
    /// Purges that are not recorded yet: entries of L2 in their scopes may be older than they are.
    pub(crate) unrecorded: Arc<Unrecorded>,
    /// Purges that are to be recorded, and told to nobody.
    pub(crate) unheard: Arc<Unheard>,
    /// The newest versions that this node has heard of.
    pub(crate) versions: Arc<Versions>,
    /// The highest sequence of a barrier that was read from the barrier store, plus one; 0 before the first read.
    pub(crate) barriers_read: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
    /// Tells it from the same tenant with other settings, before and after it.
    pub(crate) edition: Edition,
}

/// Settings of a tenant, checked.
#[derive(Clone, Debug)]
#[doc(hidden)]
pub struct Settings {
    /// The host names that it answers for.
    pub hosts: Vec<String>,
    /// What joins the cache key beside tenant, site and target.
    pub key: KeyRules,
    /// What the origin is told beside what clients say.
    pub forward: ForwardRules,
    /// The classes of targets.
    pub classes: Classes,
    /// What others than the operator may do.
    pub tokens: Vec<TokenConfig>,
    /// The largest body that is stored, in bytes.
    pub body_bytes_max: u64,
    /// Its share of L1 in bytes; 0 for none, it lives on the common rest.
    pub l1_bytes: u64,
    /// How long a request waits for another request's fetch.
    pub waiter_deadline: Duration,
    /// How long a request waits for a fetch before it is served stale, where the plan allows that.
    pub fetch_soft_deadline: Duration,
    /// How long a fetch may take until its response begins.
    pub fetch_hard_deadline: Duration,
    /// For how long after its freshness lifetime a response with a validator stays in L2.
    pub keep_for_validation: Duration,
    /// Whether surrogate keys are left in responses.
    pub show_surrogate_keys: bool,
    /// Whether `Cache-Status` names the key.
    pub show_key: bool,
}

impl TryFrom<&TenantConfig> for Settings {
    type Error = SettingsError;

    fn try_from(config: &TenantConfig) -> Result<Self, SettingsError> {
        let classes = check::check(config)?;
        Ok(Self {
            hosts: config.hosts.clone(),
            key: config.key.clone(),
            forward: config.forward.clone(),
            classes,
            tokens: config.tokens.clone(),
            body_bytes_max: check::body_bytes_max(config),
            l1_bytes: config.l1.bytes(),
            waiter_deadline: config.waiter_deadline.get(),
            fetch_soft_deadline: config.fetch_soft_deadline.get(),
            fetch_hard_deadline: config.fetch_hard_deadline.get(),
            keep_for_validation: config.keep_for_validation.get(),
            show_surrogate_keys: config.show_surrogate_keys,
            show_key: config.show_key,
        })
    }
}

impl Tenant {
    /// A tenant with an empty L1.
    ///
    /// # Errors
    /// When a setting is wrong.
    #[doc(hidden)]
    pub fn new(
        config: &TenantConfig,
        policies: impl Into<Arc<TenantPolicies>>,
        origin: Arc<dyn Origin>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, SettingsError> {
        let settings = Settings::try_from(config)?;
        let (policies, counters) = (policies.into(), Arc::new(Counters::default()));
        let (deadline, seen) = (settings.fetch_hard_deadline, Arc::clone(&counters.origin));
        let origin = Shield::new(&config.name, origin, &config.protect, deadline, Arc::clone(&clock), seen);
        origin.start();
        let class_answers = tallies(&settings);
        let events = Teller::new(&config.name, Arc::clone(&clock), config.l1.bytes());
        Ok(Arc::new(Self {
            name: config.name.as_str().into(),
            key_scope: key_scope(config),
            config: Arc::new(config.clone()),
            settings,
            memory: new_l1(config, &policies, &events),
            barriers: Arc::default(),
            policies,
            origin: Arc::new(origin),
            loads: Arc::default(),
            counters,
            class_answers,
            tunnels: Tunnels::new(&config.tunnels),
            recording_point: Arc::default(),
            events,
            sweeps_wanted: Arc::default(),
            plan_epoch: Arc::default(),
            outbox: Arc::default(),
            unrecorded: Arc::default(),
            unheard: Arc::default(),
            versions: Arc::default(),
            barriers_read: Arc::default(),
            clock,
            edition: Edition::first(),
        }))
    }

    /// The entry that L1 holds under a key, if any. No policy is told of this read.
    #[doc(hidden)]
    pub fn held(&self, key: KeyHash) -> Option<Arc<Cached>> {
        self.memory.peek(key)
    }

    /// Figures of L1.
    pub fn memory_stats(&self) -> MemoryStats {
        self.memory.stats()
    }

    /// Drops all entries in L1.
    pub fn clear_memory(&self) {
        self.memory.clear(self.clock.now());
    }

    /// Has the barriers be read again from where they outlive the process, before L2 is read next.
    pub(crate) fn forget_what_barriers_are_read(&self) {
        self.barriers_read.store(0, Ordering::Release);
    }

    /// Binds a policy while the traffic runs. An eviction policy takes over the entries of the policy before it; where
    /// it can't, nothing changes. If the returned future is dropped, a policy that is not being bound at that moment
    /// will not be.
    ///
    /// # Errors
    /// When the component does not validate, lacks the role, refuses its settings, or takes longer than [`BIND_DEADLINE`]
    /// to be compiled and tried; nothing has changed then, and nothing will.
    pub async fn bind(self: &Arc<Self>, binding: Binding) -> Result<BoundInfo, BindError> {
        self.change(BIND_DEADLINE, move |policies| policies.prepare(binding)).await
    }

    /// Binds the configured policy of a role again, or the native default where none is configured.
    ///
    /// # Errors
    /// When the configured policy can't be bound any more; nothing has changed then.
    pub async fn unbind(self: &Arc<Self>, role: Role) -> Result<BoundInfo, BindError> {
        self.change(BIND_DEADLINE, move |policies| policies.prepare_unbind(role)).await
    }

    /// Binds the policy that a role had before: that of the binding with the number `to` in [`TenantPolicies::history`] or,
    /// without a number, of the last one that differs from the present one.
    ///
    /// # Errors
    /// When there is none, it is not kept, or it can't be bound any more; nothing has changed then.
    pub async fn roll_back(self: &Arc<Self>, role: Role, to: Option<u64>) -> Result<BoundInfo, BindError> {
        self.change(BIND_DEADLINE, move |policies| policies.prepare_rollback(role, to)).await
    }

    /// Prepares a policy off the threads that serve requests, and binds it if it is still wanted then. A policy that is
    /// prepared too late is thrown away, so that the result always says what was done.
    async fn change(
        self: &Arc<Self>,
        deadline: Duration,
        prepare: impl FnOnce(&TenantPolicies) -> Result<Prepared, BindError> + Send + 'static,
    ) -> Result<BoundInfo, BindError> {
        let tenant = Arc::clone(self);
        let (consent, asker) = Consent::new();
        let mut work = tokio::task::spawn_blocking(move || {
            let prepared = prepare(&tenant.policies)?;
            if consent.take() { tenant.commit(prepared) } else { Err(BindError::Withdrawn) }
        });
        let done = match tokio::time::timeout(deadline, &mut work).await {
            Ok(done) => done,
            Err(_) if asker.withdraw() => return Err(BindError::TooSlow { limit_s: deadline.as_secs() }),
            // The policy is being bound, which does not take long.
            Err(_) => work.await,
        };
        done.unwrap_or_else(|error| Err(BindError::Panicked(error.to_string().into())))
    }

    /// Binds a policy; an eviction policy is bound once the memory tier has handed its entries over to it.
    fn commit(&self, prepared: Prepared) -> Result<BoundInfo, BindError> {
        self.policies.commit(prepared, |eviction| match eviction {
            Some(eviction) => {
                let swapped = self.memory.swap_eviction(eviction, self.clock.now())?;
                Ok(swapped.misled.map(|fault| Disinherited { from: swapped.from, fault }))
            }
            None => Ok(None),
        })
    }

    /// Has the bound freshness policy asked again for every entry with the plan of an older one, before that entry is
    /// next used.
    pub fn replan(&self) {
        self.plan_epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this node knows of a newer version than a response has.
    pub(crate) fn knows_newer_than(&self, stored: &StoredResponse) -> bool {
        let Some(version) = stored.version else { return false };
        self.versions.is_outdated(KeyHash::of(&stored.key), version, self.barriers.height(stored))
    }

    /// The tenant's state, for operators.
    pub fn report(&self) -> TenantReport {
        TenantReport {
            name: self.name.clone(),
            counters: self.counters.values(),
            classes: self.class_reports(),
            l1_share_bytes: self.settings.l1_bytes,
            memory: self.memory.stats(),
            origin: self.origin.stats(),
            loads: self.load_stats(),
            origin_at: self.origin.report(),
            tunnels_open: self.tunnels.open() as u64,
            policies: self.policies.list(),
            disk: self.policies.disk_report(),
        }
    }

    /// Counts an answer, and how long it `took`, under the class at that place where one is given.
    pub(crate) fn answered(
        &self,
        (outcome, class): (Outcome, Option<usize>),
        source: Source,
        stored_bytes: u64,
        took: Duration,
    ) {
        if let Some(answers) = class.and_then(|place| self.class_answers.get(place)) {
            answers.count(outcome);
        }
        self.counters.answered(outcome, source, stored_bytes);
        self.counters.latency.note(outcome == Outcome::Hit, took);
    }

    /// What was counted of each class; nothing where the tenant has set up none.
    fn class_reports(&self) -> Vec<ClassReport> {
        if self.class_answers.len() < 2 {
            return Vec::new();
        }
        let classes = self.settings.classes.all().zip(&*self.class_answers);
        classes.map(|(class, answers)| ClassReport { name: class.name.clone(), misses: answers.values() }).collect()
    }
}

/// Counters of the answers of each class.
fn tallies(settings: &Settings) -> Arc<[Tally<Outcome>]> {
    settings.classes.all().map(|_| Tally::default()).collect()
}

/// An empty L1, whose entries' ends are told to `events`.
fn new_l1(config: &TenantConfig, policies: &TenantPolicies, events: &Arc<Teller>) -> Arc<Memory<Arc<Cached>>> {
    let memory =
        MemoryConfig { capacity_bytes: config.l1.bytes(), shards: Some(shards_max(config)), ..MemoryConfig::default() };
    Arc::new(Memory::watched(&memory, policies.eviction(), Arc::clone(events) as _))
}

/// As many shards as L1 may have at most.
fn shards_max(config: &TenantConfig) -> usize {
    shards_of_at_least(check::shard_bytes_min(config), config.l1.bytes())
}

/// The first part of a tenant's keys. Neither what was stored for another making of the tenant is found by it, nor what was
/// stored under other key rules: one URL may have had another meaning there.
fn key_scope(config: &TenantConfig) -> Box<str> {
    let mut scope = config.name.clone();
    if config.incarnation > 0 {
        let _ = write!(scope, "{}{}", CacheKey::AFTER_TENANT, config.incarnation);
    }
    if config.key != KeyRules::default() {
        let _ = write!(scope, "{}{:032x}", CacheKey::AFTER_TENANT, config.key.digest().0);
    }
    scope.into()
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A tenant as an operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct TenantReport {
    /// The tenant's name.
    pub name: Arc<str>,
    /// Counters of its traffic.
    pub counters: CounterValues,
    /// Its classes, and at the end what is in none; empty where it has set up no class.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassReport>,
    /// Its share of L1, in bytes; 0 for a tenant that lives on what the shares of the others leave.
    pub l1_share_bytes: u64,
    /// Figures of its L1.
    pub memory: MemoryStats,
    /// Figures of its origin's protection.
    pub origin: ShieldStats,
    /// Figures of the protection of what its values are loaded from, by their name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub loads: BTreeMap<Box<str>, ShieldStats>,
    /// Where its origin is reached.
    pub origin_at: OriginReport,
    /// Connections that have switched to another protocol and are open now.
    pub tunnels_open: u64,
    /// The policies that are bound to its roles.
    pub policies: Vec<BoundInfo>,
    /// Bindings that the disk refused to keep; `None` where bindings are not kept on disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskReport>,
}

/// A class of a tenant's targets as an operator sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClassReport {
    /// The class's name; empty for targets that are in no class.
    pub name: String,
    /// Answers that were no hits, by what `Cache-Status` said. (Hits are not counted by class: they don't look theirs up.)
    pub misses: BTreeMap<&'static str, u64>,
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use sandbar_base::clock::SystemClock;

    use super::*;
    use crate::origin::loader::Loader;

    fn tenant() -> Arc<Tenant> {
        let origin = Arc::new(Loader::new("nobody", async |_| Err(crate::body::BoxError::from("nobody asks it"))));
        let config = TenantConfig::default();
        Tenant::new(&config, TenantPolicies::native("shop"), origin, Arc::new(SystemClock)).unwrap()
    }

    fn bound(tenant: &Tenant) -> String {
        tenant.policies.eviction().name().to_owned()
    }

    fn lru(policies: &TenantPolicies) -> Result<Prepared, BindError> {
        policies.prepare(Binding::stock(Role::Eviction, "lru").native())
    }

    #[tokio::test]
    async fn what_is_prepared_too_late_is_not_bound() {
        let tenant = tenant();
        let before = bound(&tenant);
        let (go_on, wait) = mpsc::channel::<()>();
        let (done, ended) = tokio::sync::oneshot::channel();
        let changed = tenant.change(Duration::from_millis(1), move |policies| {
            let prepared = wait.recv().map_or_else(|_| lru(policies), |()| lru(policies));
            let _ = done.send(());
            prepared
        });
        assert!(matches!(changed.await, Err(BindError::TooSlow { .. })));
        go_on.send(()).unwrap();
        ended.await.unwrap();
        assert_eq!(bound(&tenant), before);
        tenant.change(BIND_DEADLINE, lru).await.unwrap();
        assert_eq!(bound(&tenant), "lru");
    }

    #[tokio::test]
    async fn nothing_is_bound_for_who_has_gone_away() {
        let tenant = tenant();
        let before = bound(&tenant);
        let (go_on, wait) = mpsc::channel::<()>();
        let changes = Arc::clone(&tenant);
        let asker = tokio::spawn(async move {
            changes
                .change(BIND_DEADLINE, move |policies| wait.recv().map_or_else(|_| lru(policies), |()| lru(policies)))
                .await
        });
        tokio::task::yield_now().await;
        asker.abort();
        assert!(asker.await.unwrap_err().is_cancelled());
        drop(go_on);
        // When the change is done, it has let go of the tenant, whatever its result was.
        while Arc::strong_count(&tenant) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bound(&tenant), before);
    }
}
