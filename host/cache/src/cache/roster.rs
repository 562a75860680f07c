//! The tenants of a cache at one moment, by name and by host. A change makes a new roster; who has taken the old one goes
//! on with that, so what a request sees of the tenants never changes half way.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hosts::{HostError, Hosts};
use crate::tenant::Tenant;

/// The tenants of a cache, as they were when this was asked for.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    all: Vec<Arc<Tenant>>,
    /// Index in `all`.
    by_name: HashMap<Arc<str>, usize>,
    hosts: Hosts<Arc<Tenant>>,
}

/// Why tenants can't be in one roster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// Two tenants have the same name.
    #[error("there are two tenants {0:?}; rename one")]
    SameName(Arc<str>),
    /// A host can't be used, or two tenants have it.
    #[error("the host {0}")]
    Host(HostError),
}

impl Roster {
    /// The roster of these tenants, in this order.
    ///
    /// # Errors
    /// When two of them have the same name or the same host.
    pub fn new(tenants: impl IntoIterator<Item = Arc<Tenant>>) -> Result<Self, RosterError> {
        let mut roster = Self::default();
        for tenant in tenants {
            if roster.named(&tenant.name).is_some() {
                return Err(RosterError::SameName(Arc::clone(&tenant.name)));
            }
            roster.enter(&tenant)?;
        }
        Ok(roster)
    }

    /// All tenants, in the order in which they came.
    pub fn all(&self) -> &[Arc<Tenant>] {
        &self.all
    }

    /// The tenant of that name, if there is one.
    pub fn named(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.all.get(*self.by_name.get(name)?)
    }

    /// The tenants by host.
    pub const fn hosts(&self) -> &Hosts<Arc<Tenant>> {
        &self.hosts
    }

    /// The same roster without the tenants named in `removed`, and with those of `put`, each in the place of the one of its
    /// name if there is one.
    ///
    /// # Errors
    /// When a host can't be used, or two tenants would have it.
    pub(crate) fn with(&self, put: &[Arc<Tenant>], removed: &[Arc<str>]) -> Result<Self, RosterError> {
        let mut next = self.clone();
        for name in removed {
            next.remove(name);
        }
        // First all hosts are left, then all are entered: one may go from a tenant to another.
        for tenant in put {
            next.leave_hosts(&tenant.name);
        }
        for tenant in put {
            next.enter(tenant)?;
        }
        Ok(next)
    }

    fn enter(&mut self, tenant: &Arc<Tenant>) -> Result<(), RosterError> {
        for host in &tenant.settings.hosts {
            self.hosts.add(host, Arc::clone(tenant)).map_err(RosterError::Host)?;
        }
        match self.by_name.get(&tenant.name) {
            Some(place) => self.all[*place] = Arc::clone(tenant),
            None => {
                self.by_name.insert(Arc::clone(&tenant.name), self.all.len());
                self.all.push(Arc::clone(tenant));
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        self.leave_hosts(name);
        let Some(place) = self.by_name.remove(name) else { return };
        self.all.remove(place);
        for index in self.by_name.values_mut().filter(|index| **index > place) {
            *index -= 1;
        }
    }

    fn leave_hosts(&mut self, name: &str) {
        let Some(tenant) = self.named(name).cloned() else { return };
        for host in &tenant.settings.hosts {
            self.hosts.remove(host);
        }
    }
}

impl<'a> IntoIterator for &'a Roster {
    type Item = &'a Arc<Tenant>;
    type IntoIter = std::slice::Iter<'a, Arc<Tenant>>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}
