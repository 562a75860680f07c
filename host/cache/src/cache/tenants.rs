//! The tenants of a cache, with an index by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::events::Hub;
use crate::tenant::Tenant;

pub(super) struct Tenants {
    all: Vec<Arc<Tenant>>,
    by_name: HashMap<Box<str>, usize>,
}

impl Tenants {
    /// Of several tenants with the same name the first is found by it. What happens to their entries is told in `events`.
    pub(super) fn new(all: Vec<Arc<Tenant>>, events: &Arc<Hub>) -> Self {
        let mut by_name = HashMap::with_capacity(all.len());
        for (index, tenant) in all.iter().enumerate() {
            tenant.events.join(events);
            by_name.entry(tenant.name.clone()).or_insert(index);
        }
        Self { all, by_name }
    }

    pub(super) fn all(&self) -> &[Arc<Tenant>] {
        &self.all
    }

    pub(super) fn named(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.all.get(*self.by_name.get(name)?)
    }
}
