//! Applies settings that were read again.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use sandbar::cache::{Cache, TenantChange};
use sandbar::origin::http::{HttpOrigin, OriginConfig};
use sandbar::tenant::Tenant;
use sandbar::tenant::config::TenantConfig;
use sandbar_base::clock::Clock;
use sandbar_policy::{Engine, KeptBelow};

use super::{ReloadError, Reloaded, Reloads, difference};
use crate::config::{ConfigError, GatewayConfig};
use crate::tls::CertificateChanges;
use crate::{assemble, fleet, ready};

impl Reloads {
    pub(super) async fn apply(&self, next: GatewayConfig) -> Result<Reloaded, ReloadError> {
        let _right = self.change()?;
        let mut state = self.state.lock().await;
        let present = self.present();
        let mixed = difference::what_applies(&present, &next);
        let mixed = GatewayConfig { tenants: state.tenants.all(&next.tenants), ..mixed };
        // All of the file is checked, what will not hold before a restart too.
        let whole = GatewayConfig { tenants: mixed.tenants.clone(), ..next.without_tenants() };
        let mut token = None;
        for config in [&whole, &mixed] {
            token = config.validated_token()?;
            config.memory_total_bytes()?;
        }
        let mixed = Arc::new(mixed);
        fleet::keeps_promises_of(&mixed, &self.cache).await?;
        // Files may have changed where the settings that name them have not.
        let (served, config) = (self.served.clone(), next.without_tenants());
        let renewal = ready::blocking(move || served.renewal(&config)).await?;
        let before = self.with_tenants(&present);
        let report = report(&before, &next, &mixed, state.tenants.outranking(&next.tenants));
        let (maker, config) = (self.maker(), Arc::clone(&mixed));
        let change = ready::blocking(move || maker.change(&config)).await?;
        state.tenants.keep_file(&mixed.tenants, self.clock.now())?;
        let told: HashSet<String> = before.notes().into_iter().collect();
        let notes = mixed.notes().into_iter().filter(|note| !told.contains(note)).collect();
        if let Err(error) = self.change_tenants(change, notes).await {
            // As it was; a note that could not be taken back gives a tenant a number more than it need have.
            let _ = state.tenants.keep_file(&before.tenants, self.clock.now());
            return Err(error);
        }
        state.file = next.tenants;
        self.bound_l1(&mixed).await?;
        self.present.store(Arc::new(mixed.without_tenants()));
        self.token.store(token.map(Arc::new));
        self.tell_followers(&mixed);
        let certificates = renewal.serve().iter().flat_map(CertificateChanges::sentences).collect();
        let report = Reloaded { certificates, ..report };
        for note in self.served.notes(self.clock.now()) {
            tracing::warn!("{note}");
        }
        tracing::info!(%report, "reloaded the settings");
        Ok(report)
    }

    /// Makes one tenant, where it differs from the one that there is.
    pub(super) async fn prepare(&self, tenant: &TenantConfig) -> Result<Prepared, ReloadError> {
        let (maker, wanted) = (self.maker(), tenant.clone());
        let prepared = ready::blocking(move || {
            let mut prepared = Prepared::default();
            maker.make(0, &wanted, &mut prepared).map(|()| prepared)
        });
        Ok(prepared.await?)
    }

    fn maker(&self) -> Maker {
        Maker {
            cache: self.cache.clone(),
            engine: Arc::clone(&self.engine),
            clock: Arc::clone(&self.clock),
            data_dir: self.present().data_dir.clone(),
        }
    }

    /// Lets all of L1 have what the settings say.
    async fn bound_l1(&self, config: &GatewayConfig) -> Result<(), ReloadError> {
        let (cache, bytes) = (self.cache.clone(), config.l1_max_bytes()?);
        ready::blocking(move || cache.bound_l1(bytes)).await;
        Ok(())
    }

    /// Settings with the tenants that there are.
    fn with_tenants(&self, settings: &GatewayConfig) -> GatewayConfig {
        let tenants = self.cache.tenants().all().iter().map(|tenant| (*tenant.config).clone()).collect();
        GatewayConfig { tenants, ..settings.without_tenants() }
    }

    /// Changes the tenants, off the threads that serve requests, and tells the notes on what has changed.
    pub(super) async fn change_tenants(&self, change: Prepared, notes: Vec<String>) -> Result<(), ReloadError> {
        let cache = self.cache.clone();
        let Prepared { change, origins } = change;
        if change.put.iter().any(|tenant| tenant.settings.classes.write_behind()) && !cache.has_journal() {
            assemble::open_journal(&cache, &self.present()).await?;
        }
        ready::blocking(move || cache.change_tenants(&change)).await?;
        for (origin, name) in origins {
            assemble::warn_unless_reachable(origin, name);
        }
        for note in notes {
            tracing::warn!("{note}");
        }
        Ok(())
    }
}

/// Makes tenants from settings.
struct Maker {
    cache: Cache,
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    data_dir: PathBuf,
}

/// Tenants that are ready to come, to change, or to go.
#[derive(Default)]
pub(super) struct Prepared {
    change: TenantChange,
    /// New origins, by the names of their tenants.
    origins: Vec<(Arc<HttpOrigin>, String)>,
}

impl Prepared {
    /// A tenant that goes.
    pub(super) fn removal(name: &str) -> Self {
        let change = TenantChange { removed: vec![Arc::from(name)], ..TenantChange::default() };
        Self { change, origins: Vec::new() }
    }

    /// All of these at once.
    pub(super) fn of_all<'a>(several: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let origins = several.clone().flat_map(|one| one.origins.iter().cloned()).collect();
        Self { change: Self::together(several), origins }
    }

    /// What all of these change.
    pub(super) fn together<'a>(several: impl Iterator<Item = &'a Self> + Clone) -> TenantChange {
        TenantChange {
            put: several.clone().flat_map(|one| one.change.put.iter().cloned()).collect(),
            removed: several.flat_map(|one| one.change.removed.iter().cloned()).collect(),
        }
    }
}

impl Maker {
    /// Makes what differs from the tenants that there are. Compiles policies: to be called where blocking is allowed.
    fn change(&self, config: &GatewayConfig) -> Result<Prepared, ReloadError> {
        let mut prepared = Prepared::default();
        for (index, tenant) in config.tenants.iter().enumerate() {
            let made = self.make(index, tenant, &mut prepared);
            made.map_err(|error| error.placed(&config.source))?;
        }
        let names: HashSet<&str> = config.tenants.iter().map(|tenant| &*tenant.name).collect();
        let roster = self.cache.tenants();
        let gone = roster.iter().filter(|tenant| !names.contains(&*tenant.name));
        prepared.change.removed = gone.map(|tenant| Arc::clone(&tenant.name)).collect();
        Ok(prepared)
    }

    /// Makes a tenant, where it differs from the one that there is. `index` is its place in the settings, for errors.
    fn make(&self, index: usize, config: &TenantConfig, prepared: &mut Prepared) -> Result<(), ConfigError> {
        let before = self.cache.tenant(&config.name);
        let old = before.as_ref().filter(|old| old.config.incarnation == config.incarnation);
        let names_files = config.origin.as_ref().is_some_and(OriginConfig::names_files);
        let reads_files = names_files || config.policy.values().any(|choice| choice.file.is_some());
        if old.is_some_and(|old| *old.config == *config) && !reads_files {
            return Ok(());
        }
        let new_origin = || ready::origin(index, config, &self.clock).map(Arc::new);
        let origin = match old {
            Some(old) => old.other_origin(config, new_origin)?,
            None => Some(new_origin()?),
        };
        if let Some(origin) = &origin {
            prepared.origins.push((Arc::clone(origin), config.name.clone()));
        }
        let wrong = |error| ConfigError::of_tenant(index, error);
        let tenant = if let Some(old) = old {
            let policies = ready::policies_after(index, config, old)?;
            if *old.config == *config && origin.is_none() && policies.answer_as(&old.policies) {
                return Ok(());
            }
            old.with(config, Arc::new(policies), origin.map(|origin| origin as _)).map_err(wrong)?
        } else {
            // What was bound for another making of the tenant is not for this one.
            let kept = KeptBelow { dir: &self.data_dir, is_anothers: before.is_some() };
            let policies = ready::policies(index, config, &self.engine, kept, &self.clock)?;
            let origin = origin.expect("one without a predecessor has a new origin");
            Tenant::new(config, policies, origin, Arc::clone(&self.clock)).map_err(wrong)?
        };
        prepared.change.put.push(tenant);
        Ok(())
    }
}

type ByName<'a> = BTreeMap<&'a str, &'a TenantConfig>;

fn by_name(config: &GatewayConfig) -> ByName<'_> {
    config.tenants.iter().map(|tenant| (&*tenant.name, tenant)).collect()
}

fn report(present: &GatewayConfig, next: &GatewayConfig, mixed: &GatewayConfig, outranked: Vec<String>) -> Reloaded {
    let (before, after) = (by_name(present), by_name(mixed));
    let only_in = |one: &ByName<'_>, other: &ByName<'_>| -> Vec<String> {
        one.keys().filter(|name| !other.contains_key(*name)).map(|name| (*name).to_owned()).collect()
    };
    let both = after.iter().filter_map(|(name, after)| Some((name, before.get(name)?, after)));
    let tenants = both.filter(|(_, before, after)| before != after);
    Reloaded {
        changed: difference::settings(present, mixed),
        needs_restart: difference::settings(mixed, next),
        added: only_in(&after, &before),
        removed: only_in(&before, &after),
        tenants: tenants.map(|(name, before, after)| ((*name).to_owned(), difference::of(before, after))).collect(),
        outranked,
        certificates: Vec::new(),
    }
}
