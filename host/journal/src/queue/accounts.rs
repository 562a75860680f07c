//! Who holds how much, against the bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::error::Bound;
use crate::settings::{Settings, TenantBounds};

/// The accounts of all tenants.
#[derive(Debug)]
pub(super) struct Accounts {
    bytes_max: u64,
    writes_max: usize,
    tenant_bounds: TenantBounds,
    bytes: u64,
    writes: usize,
    by_tenant: BTreeMap<Arc<str>, Account>,
}

/// The account of one tenant. What is on its way to the disk is counted in `bytes` and `writes` already.
#[derive(Debug, Default)]
pub(super) struct Account {
    bounds: Option<TenantBounds>,
    pub(super) bytes: u64,
    pub(super) dead_bytes: u64,
    writes: usize,
    pub(super) pending: BTreeSet<u64>,
    pub(super) dead: BTreeSet<u64>,
    pub(super) changed: Arc<Notify>,
}

impl Accounts {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { bytes_max, writes_max, tenant, .. } = *settings;
        Self { bytes_max, writes_max, tenant_bounds: tenant, bytes: 0, writes: 0, by_tenant: BTreeMap::new() }
    }

    /// Takes room for a write, or says which bound has none.
    pub(super) fn reserve(&mut self, tenant: &Arc<str>, bytes: u64) -> Result<(), Bound> {
        let account = self.by_tenant.get(tenant);
        let bounds = account.and_then(|account| account.bounds).unwrap_or(self.tenant_bounds);
        let (its_bytes, its_dead_bytes) = account.map_or((0, 0), |account| (account.bytes, account.dead_bytes));
        // A tenant's bounds come first: it can do something about these.
        if its_dead_bytes > 0 && its_dead_bytes >= bounds.dead_bytes_max {
            Err(Bound::DeadLetters)
        } else if its_bytes.saturating_add(bytes) > bounds.bytes_max {
            Err(Bound::TenantBytes)
        } else if self.bytes.saturating_add(bytes) > self.bytes_max {
            Err(Bound::Bytes)
        } else if self.writes >= self.writes_max {
            Err(Bound::Writes)
        } else {
            self.add(tenant, bytes);
            Ok(())
        }
    }

    /// Counts a write, whatever the bounds: one that was found on the disk.
    pub(super) fn add(&mut self, tenant: &Arc<str>, bytes: u64) {
        let account = self.by_tenant.entry(Arc::clone(tenant)).or_default();
        account.bytes += bytes;
        account.writes += 1;
        self.bytes += bytes;
        self.writes += 1;
    }

    /// Gives back what a write took.
    pub(super) fn release(&mut self, tenant: &str, bytes: u64) {
        self.bytes -= bytes;
        self.writes -= 1;
        let Some(account) = self.by_tenant.get_mut(tenant) else { return };
        account.bytes -= bytes;
        account.writes -= 1;
        let is_waited_for = Arc::strong_count(&account.changed) > 1;
        if account.writes == 0 && account.bounds.is_none() && !is_waited_for {
            self.by_tenant.remove(tenant);
        }
    }

    /// Notes that a write has another size now.
    pub(super) fn resize(&mut self, tenant: &str, is_dead: bool, from: u64, to: u64) {
        let other = |bytes: u64| bytes - from + to;
        self.bytes = other(self.bytes);
        let Some(account) = self.by_tenant.get_mut(tenant) else { return };
        account.bytes = other(account.bytes);
        account.dead_bytes = if is_dead { other(account.dead_bytes) } else { account.dead_bytes };
    }

    pub(super) fn bound(&mut self, tenant: &str, bounds: TenantBounds) {
        self.entry(tenant).bounds = Some(bounds);
    }

    /// A tenant's account, to be changed.
    pub(super) fn entry(&mut self, tenant: &str) -> &mut Account {
        if !self.by_tenant.contains_key(tenant) {
            self.by_tenant.insert(tenant.into(), Account::default());
        }
        self.by_tenant.get_mut(tenant).expect("it is there, or was put there")
    }

    pub(super) fn of(&self, tenant: &str) -> Option<&Account> {
        self.by_tenant.get(tenant)
    }

    /// All tenants' accounts, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Account)> {
        self.by_tenant.iter()
    }

    /// Bytes of all writes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }
}
