//! Who holds how much, against the bounds.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::error::Bound;
use crate::settings::{Settings, TenantBounds};

/// Where a tenant has used more than one in so many parts of a bound, each client has a part of its own.
const SCARCE_DIVISOR: u64 = 2;
/// That part: one in so many.
const CLIENT_DIVISOR: u64 = 8;

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
    by_client: HashMap<NonZeroU64, Part>,
    pub(super) pending: BTreeSet<u64>,
    pub(super) dead: BTreeSet<u64>,
    pub(super) changed: Arc<Notify>,
}

/// What a client has of a tenant's room.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    bytes: u64,
    writes: usize,
}

impl Accounts {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { bytes_max, writes_max, tenant, .. } = *settings;
        Self { bytes_max, writes_max, tenant_bounds: tenant, bytes: 0, writes: 0, by_tenant: BTreeMap::new() }
    }

    /// Takes room for a write, or says which bound has none.
    pub(super) fn reserve(&mut self, tenant: &Arc<str>, client: Option<NonZeroU64>, bytes: u64) -> Result<(), Bound> {
        // A tenant's bounds come first: it can do something about these.
        self.has_room(tenant, client, bytes)?;
        if self.bytes.saturating_add(bytes) > self.bytes_max {
            return Err(Bound::Bytes);
        }
        if self.writes >= self.writes_max {
            return Err(Bound::Writes);
        }
        self.add(tenant, client, bytes);
        Ok(())
    }

    /// Whether the tenant's bounds, and its client's, have room.
    fn has_room(&self, tenant: &str, client: Option<NonZeroU64>, bytes: u64) -> Result<(), Bound> {
        let fresh = Account::default();
        let account = self.by_tenant.get(tenant).unwrap_or(&fresh);
        let bounds = account.bounds.unwrap_or(self.tenant_bounds);
        let is_over_dead = account.dead_bytes >= bounds.dead_bytes_max || account.dead.len() >= bounds.dead_writes_max;
        if !account.dead.is_empty() && is_over_dead {
            return Err(Bound::DeadLetters);
        }
        let (all_bytes, all_writes) = (account.bytes.saturating_add(bytes), account.writes as u64 + 1);
        let writes_max = bounds.writes_max as u64;
        if all_bytes > bounds.bytes_max {
            return Err(Bound::TenantBytes);
        }
        if all_writes > writes_max {
            return Err(Bound::TenantWrites);
        }
        let is_scarce = all_bytes > bounds.bytes_max / SCARCE_DIVISOR || all_writes > writes_max / SCARCE_DIVISOR;
        let Some(client) = client.filter(|_| is_scarce) else { return Ok(()) };
        let has = account.by_client.get(&client).copied().unwrap_or_default();
        let is_over = has.bytes.saturating_add(bytes) > bounds.bytes_max / CLIENT_DIVISOR
            || has.writes as u64 + 1 > (writes_max / CLIENT_DIVISOR).max(1);
        // Who has nothing yet is not refused for the size of its first write.
        if is_over && has.writes > 0 { Err(Bound::Client) } else { Ok(()) }
    }

    /// Counts a write, whatever the bounds: one that was found on the disk.
    pub(super) fn add(&mut self, tenant: &Arc<str>, client: Option<NonZeroU64>, bytes: u64) {
        let account = self.by_tenant.entry(Arc::clone(tenant)).or_default();
        account.bytes += bytes;
        account.writes += 1;
        if let Some(client) = client {
            let part = account.by_client.entry(client).or_default();
            part.bytes += bytes;
            part.writes += 1;
        }
        self.bytes += bytes;
        self.writes += 1;
    }

    /// Gives back what a write took.
    pub(super) fn release(&mut self, tenant: &str, client: Option<NonZeroU64>, bytes: u64) {
        self.bytes -= bytes;
        self.writes -= 1;
        let Some(account) = self.by_tenant.get_mut(tenant) else { return };
        account.bytes -= bytes;
        account.writes -= 1;
        account.give_back(client, bytes);
        let is_waited_for = Arc::strong_count(&account.changed) > 1;
        if account.writes == 0 && account.bounds.is_none() && !is_waited_for {
            self.by_tenant.remove(tenant);
        }
    }

    /// Notes that a write has another size now.
    pub(super) fn resize(&mut self, tenant: &str, client: Option<NonZeroU64>, is_dead: bool, from: u64, to: u64) {
        let other = |bytes: u64| bytes - from + to;
        self.bytes = other(self.bytes);
        let Some(account) = self.by_tenant.get_mut(tenant) else { return };
        account.bytes = other(account.bytes);
        account.dead_bytes = if is_dead { other(account.dead_bytes) } else { account.dead_bytes };
        if let Some(part) = client.and_then(|client| account.by_client.get_mut(&client)) {
            part.bytes = other(part.bytes);
        }
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

impl Account {
    /// Takes a write off what a client has.
    fn give_back(&mut self, client: Option<NonZeroU64>, bytes: u64) {
        let Some(client) = client else { return };
        let Some(part) = self.by_client.get_mut(&client) else { return };
        part.bytes -= bytes;
        part.writes -= 1;
        if part.writes == 0 {
            self.by_client.remove(&client);
        }
    }
}
