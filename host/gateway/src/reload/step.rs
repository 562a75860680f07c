//! One tenant that is made, changed or removed by itself: what it is to be, checked and ready to take its place.

use std::collections::HashSet;
use std::sync::Arc;

use sandbar::cache::TenantChangeError;
use sandbar::tenant::config::TenantConfig;

use super::apply::Prepared;
use super::{ReloadError, Reloads, State};
use crate::config::{GatewayConfig, L1Shares, Source, tenant_note};
use crate::fleet;
use crate::tenants::KeptError;

/// What becomes of a tenant.
#[derive(Debug)]
pub(super) enum To {
    /// It was made over an API, and outranks one of the file.
    Made(TenantConfig),
    /// It was removed, as that making of its name; where the file has one, that is `back`.
    Gone { incarnation: u32, back: Option<TenantConfig> },
}

/// A tenant that is ready to come, to change, or to go.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) to: To,
    pub(super) prepared: Prepared,
    /// What is to be told of its settings.
    note: Option<String>,
}

impl Step {
    /// Its settings from now on; none where it is gone.
    fn settings(&self) -> Option<&TenantConfig> {
        settings(&self.to)
    }
}

const fn settings(to: &To) -> Option<&TenantConfig> {
    match to {
        To::Made(settings) => Some(settings),
        To::Gone { back, .. } => back.as_ref(),
    }
}

impl Reloads {
    /// Checks one tenant by itself, and makes it where it differs from the one that there is.
    pub(super) async fn step(&self, name: &str, to: To) -> Result<Step, ReloadError> {
        let Some(settings) = settings(&to) else {
            return Ok(Step { name: name.to_owned(), to, prepared: Prepared::removal(name), note: None });
        };
        let present = self.present();
        let alone =
            GatewayConfig { tenants: vec![settings.clone()], source: Source::default(), ..present.without_tenants() };
        alone.validate()?;
        fleet::keeps_promises_of(&alone, &self.cache).await?;
        let prepared = self.prepare(settings).await?;
        let before = self.cache.tenant(name).and_then(|before| tenant_note(&before.config));
        let note = tenant_note(settings).filter(|note| before.as_ref() != Some(note));
        Ok(Step { name: name.to_owned(), to, prepared, note })
    }

    /// Checks that the shares of tenants fit into the memory beside those of the others.
    pub(super) fn fits(&self, steps: &[Step]) -> Result<(), ReloadError> {
        let roster = self.cache.tenants();
        let mut shares = L1Shares { bytes: roster.shares_bytes(), shareless: roster.shareless() };
        let changed: HashSet<&str> = steps.iter().map(|step| &*step.name).collect();
        changed.iter().filter_map(|name| roster.named(name)).for_each(|old| shares.less(old.settings.l1_bytes));
        steps.iter().filter_map(Step::settings).for_each(|new| shares.more(new.l1.bytes()));
        Ok(self.present().validate_shares(shares)?)
    }

    /// Checks that the hosts of tenants are no others', before a fleet is told of them. Where nobody is told, [`Self::take`] finds
    /// that out.
    pub(super) fn hosts_fit(&self, steps: &[Step]) -> Result<(), ReloadError> {
        let change = Prepared::together(steps.iter().map(|step| &step.prepared));
        Ok(self.cache.could_change(&change).map_err(TenantChangeError::Roster)?)
    }

    /// Has tenants take their places, all at once or none.
    pub(super) async fn take(&self, steps: &[Step]) -> Result<(), ReloadError> {
        let prepared = Prepared::of_all(steps.iter().map(|step| &step.prepared));
        self.change_tenants(prepared, steps.iter().filter_map(|step| step.note.clone()).collect()).await
    }

    /// Keeps what has become of a tenant; `version` is that of its record in the fleet, 0 where there is none.
    pub(super) fn keep(&self, state: &mut State, step: &Step, version: u64) -> Result<(), KeptError> {
        match &step.to {
            To::Made(settings) => state.tenants.make(settings.clone(), version),
            To::Gone { incarnation, back } => {
                state.tenants.unmake(&step.name, *incarnation, back.as_ref(), version, self.clock.now())
            }
        }
    }

    /// What the file has under a name, as that making of it.
    pub(super) fn of_file(state: &State, name: &str, incarnation: u32) -> Option<TenantConfig> {
        let of_file = state.file.iter().find(|tenant| tenant.name == name)?;
        Some(TenantConfig { incarnation, ..of_file.clone() })
    }

    /// The settings that a tenant has at present, shared with the cache.
    pub(super) fn settings_of(&self, name: &str) -> Option<Arc<TenantConfig>> {
        self.cache.tenant(name).map(|tenant| Arc::clone(&tenant.config))
    }
}
