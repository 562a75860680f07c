//! The protection of what values are loaded from: a database is not the tenant's origin, and each name may have another one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::Tenant;
use super::config::TenantConfig;
use crate::origin::behind::ServiceBehind;
use crate::origin::shield::{Shield, ShieldStats};

/// The protections of a tenant's loads, by the name of the values. There are as many as the program has names.
#[derive(Default)]
pub(super) struct Loads(Mutex<HashMap<Box<str>, Arc<Shield>>>);

impl Tenant {
    /// The protection of the loads under a name, with the settings of the tenant's origin (`protect`,
    /// `fetch_hard_deadline`).
    pub(crate) fn load_shield(&self, name: &str) -> Arc<Shield> {
        let mut shields = self.loads.0.lock();
        if let Some(shield) = shields.get(name) {
            return Arc::clone(shield);
        }
        let (clock, counters) = (Arc::clone(&self.clock), Arc::clone(&self.counters.origin));
        let (protect, deadline) = (&self.config.protect, self.settings.fetch_hard_deadline);
        // What is loaded comes from the caller's loader: there is no origin to ask.
        let shield = Shield::new(&self.name, Arc::new(ServiceBehind), protect, deadline, clock, counters);
        let shield = Arc::new(shield);
        shields.insert(name.into(), Arc::clone(&shield));
        shield
    }

    /// Figures of the protections, by name.
    pub(super) fn load_stats(&self) -> BTreeMap<Box<str>, ShieldStats> {
        self.loads.0.lock().iter().map(|(name, shield)| (name.clone(), shield.stats())).collect()
    }

    /// The protections for the same tenant with other settings: they go on where theirs have not changed.
    pub(super) fn loads_for(&self, config: &TenantConfig) -> Arc<Loads> {
        let is_same =
            config.protect == self.config.protect && config.fetch_hard_deadline == self.config.fetch_hard_deadline;
        if is_same { Arc::clone(&self.loads) } else { Arc::default() }
    }
}
