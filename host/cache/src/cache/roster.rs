//! The tenants of a cache at one moment, by name and by host. A change makes a new roster; who has taken the old one goes
//! on with that, so what a request sees of the tenants never changes half way.

use std::sync::Arc;

use crate::hosts::{HostError, Hosts};
use crate::parts::Parts;
use crate::tenant::Tenant;

/// The tenants of a cache, as they were when this was asked for. A copy is cheap, however many there are.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    by_name: Parts<Placed>,
    hosts: Hosts<Arc<Tenant>>,
    /// The number of the next tenant that comes.
    next: u64,
    /// The shares of L1 of all of them together, in bytes.
    shares_bytes: u64,
    /// How many have no share of L1.
    shareless: usize,
}

/// A tenant, and its number in the order in which they came.
#[derive(Clone, Debug)]
struct Placed {
    number: u64,
    tenant: Arc<Tenant>,
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
    pub fn all(&self) -> Vec<Arc<Tenant>> {
        let mut all: Vec<&Placed> = self.by_name.values().collect();
        all.sort_unstable_by_key(|placed| placed.number);
        all.into_iter().map(|placed| Arc::clone(&placed.tenant)).collect()
    }

    /// All tenants, in no order; cheaper than [`Self::all`] where there are many.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.by_name.values().map(|placed| &placed.tenant)
    }

    /// How many tenants there are.
    pub const fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is no tenant.
    pub const fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The tenant of that name, if there is one.
    pub fn named(&self, name: &str) -> Option<&Arc<Tenant>> {
        self.by_name.get(name).map(|placed| &placed.tenant)
    }

    /// The shares of L1 of all of them together, in bytes.
    #[doc(hidden)]
    pub const fn shares_bytes(&self) -> u64 {
        self.shares_bytes
    }

    /// How many have no share of L1.
    #[doc(hidden)]
    pub const fn shareless(&self) -> usize {
        self.shareless
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
        let number = match self.by_name.get(&tenant.name) {
            Some(old) => old.number,
            None => self.next,
        };
        self.forget(&tenant.name);
        self.next = self.next.max(number + 1);
        self.shares_bytes = self.shares_bytes.saturating_add(tenant.settings.l1_bytes);
        self.shareless += usize::from(tenant.settings.l1_bytes == 0);
        self.by_name.insert(Arc::clone(&tenant.name), Placed { number, tenant: Arc::clone(tenant) });
        Ok(())
    }

    fn remove(&mut self, name: &str) {
        self.leave_hosts(name);
        self.forget(name);
    }

    fn forget(&mut self, name: &str) {
        let Some(Placed { tenant, .. }) = self.by_name.remove(name) else { return };
        self.shares_bytes = self.shares_bytes.saturating_sub(tenant.settings.l1_bytes);
        self.shareless -= usize::from(tenant.settings.l1_bytes == 0);
    }

    fn leave_hosts(&mut self, name: &str) {
        let Some(tenant) = self.named(name).cloned() else { return };
        for host in &tenant.settings.hosts {
            self.hosts.remove(host);
        }
    }
}
