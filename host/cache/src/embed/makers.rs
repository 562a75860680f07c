//! What makes the tenants of a cache that runs, one change at a time.

use std::sync::Arc;

use parking_lot::Mutex;

use super::opener::Opener;
use super::{BuildError, UnknownTenant};
use crate::cache::{Cache, Roster, TenantChange, TenantChangeError};
use crate::commons::{l1_needed, shares_fit};
use crate::tenant::config::TenantConfig;

/// What tenants are made with, and what is to be known of those that were there.
pub(super) struct Makers {
    pub(super) opener: Opener,
    /// All memory that the cache may have, where that is bounded.
    pub(super) memory_bytes: Option<u64>,
    /// The incarnation of the next tenant: rises with every one that is removed. Held while a tenant is made and put in its
    /// place.
    next: Mutex<u32>,
}

impl Makers {
    pub(super) const fn new(opener: Opener, memory_bytes: Option<u64>) -> Self {
        Self { opener, memory_bytes, next: Mutex::new(0) }
    }

    /// Makes a tenant, or gives the one of that name other settings.
    pub(super) fn put(&self, cache: &Cache, mut config: TenantConfig) -> Result<(), BuildError> {
        let next = self.next.lock();
        let roster = cache.tenants();
        check_shares(shares_with(&roster, &config), self.memory_bytes)?;
        let tenant = match roster.named(&config.name) {
            Some(old) if config.incarnation <= old.config.incarnation => {
                config.incarnation = old.config.incarnation;
                self.opener.reopen(old, &config)?
            }
            Some(_) => self.opener.open(&config, true)?,
            None => {
                config.incarnation = config.incarnation.max(*next);
                self.opener.open(&config, false)?
            }
        };
        cache.change_tenants(&TenantChange { put: vec![tenant], removed: Vec::new() })?;
        Ok(())
    }

    /// Takes a tenant out.
    pub(super) fn remove(&self, cache: &Cache, name: &str) -> Result<(), UnknownTenant> {
        let mut next = self.next.lock();
        let roster = cache.tenants();
        let tenant = roster.named(name).ok_or_else(|| UnknownTenant::among(&roster, name))?;
        *next = (*next).max(tenant.config.incarnation + 1);
        let change = TenantChange { put: Vec::new(), removed: vec![Arc::clone(&tenant.name)] };
        cache.change_tenants(&change).expect("a tenant that goes is in nobody's way");
        Ok(())
    }
}

/// What the tenants' L1 need if one of them comes, or takes the place of the one of its name: their shares, and a rest where one has
/// none.
fn shares_with(roster: &Roster, config: &TenantConfig) -> u64 {
    let old = roster.named(&config.name).map(|old| old.settings.l1_bytes);
    let others = roster.shares_bytes().saturating_sub(old.unwrap_or(0));
    let has_shareless = roster.shareless() > usize::from(old == Some(0)) || config.l1.bytes() == 0;
    l1_needed(others.saturating_add(config.l1.bytes()), has_shareless)
}

/// Checks that the tenants' shares leave enough of the memory, where that is bounded.
pub(super) const fn check_shares(l1_bytes: u64, memory_bytes: Option<u64>) -> Result<(), BuildError> {
    let Some(total_bytes) = memory_bytes else { return Ok(()) };
    if shares_fit(l1_bytes, total_bytes) { Ok(()) } else { Err(BuildError::Shares { l1_bytes, total_bytes }) }
}

impl From<TenantChangeError> for BuildError {
    fn from(error: TenantChangeError) -> Self {
        match error {
            TenantChangeError::Roster(crate::cache::RosterError::Host(host)) => Self::Hosts(host),
            other => Self::Change(other),
        }
    }
}
