//! Tenants that are made, changed and removed over the admin API, one at a time.

use std::sync::Arc;

use sandbar::tenant::config::TenantConfig;

use super::apply::Prepared;
use super::{ReloadError, Reloads, to_its_end};
use crate::config::{GatewayConfig, Source};
use crate::fleet;

impl Reloads {
    /// Makes a tenant, or gives the one of that name other settings. It is kept, and outranks one of the file's. True where
    /// there was none of that name.
    ///
    /// # Errors
    /// When its settings are wrong, or another tenant has one of its hosts; nothing has changed then.
    pub(crate) async fn make_tenant(self: &Arc<Self>, tenant: TenantConfig) -> Result<bool, ReloadError> {
        let reloads = Arc::clone(self);
        to_its_end(async move { reloads.make(tenant).await }).await
    }

    async fn make(&self, mut tenant: TenantConfig) -> Result<bool, ReloadError> {
        let _right = self.change()?;
        let mut state = self.state.lock().await;
        tenant.incarnation = state.tenants.incarnation(&tenant.name);
        self.check(&tenant).await?;
        let prepared = self.prepare(&tenant).await?;
        let mut config = (*self.present()).clone();
        let is_new = match config.tenants.iter_mut().find(|other| other.name == tenant.name) {
            Some(place) => {
                *place = tenant.clone();
                false
            }
            None => {
                config.tenants.push(tenant.clone());
                true
            }
        };
        let before = state.tenants.made(&tenant.name).cloned();
        state.tenants.make(tenant.clone())?;
        if let Err(error) = self.change_tenants(prepared, &config).await {
            match before {
                Some(before) => state.tenants.make(before)?,
                None => state.tenants.unmake(&tenant.name, !is_new, self.clock.now())?,
            }
            return Err(error);
        }
        self.present.store(Arc::new(config));
        tracing::info!(tenant = tenant.name, is_new, "a tenant was made or changed over the admin API");
        Ok(is_new)
    }

    /// Removes a tenant that was made over the admin API; where the file has one of that name, that is back, and the answer is
    /// true.
    ///
    /// # Errors
    /// When none of that name was made over the API, or the file's can't be brought back; nothing has changed then.
    pub(crate) async fn remove_tenant(self: &Arc<Self>, name: &str) -> Result<bool, ReloadError> {
        let (reloads, name) = (Arc::clone(self), name.to_owned());
        to_its_end(async move { reloads.unmake(&name).await }).await
    }

    async fn unmake(&self, name: &str) -> Result<bool, ReloadError> {
        let _right = self.change()?;
        let mut state = self.state.lock().await;
        let of_file = state.file.iter().find(|tenant| tenant.name == name).cloned();
        let Some(made) = state.tenants.made(name).cloned() else {
            return Err(match of_file {
                Some(_) => ReloadError::OfFile(name.to_owned()),
                None => ReloadError::NotMade(name.to_owned()),
            });
        };
        let back = of_file.map(|tenant| TenantConfig { incarnation: made.incarnation, ..tenant });
        let mut config = (*self.present()).clone();
        let prepared = if let Some(back) = &back {
            self.check(back).await?;
            let places = config.tenants.iter_mut().filter(|other| other.name == name);
            places.for_each(|place| place.clone_from(back));
            self.prepare(back).await?
        } else {
            config.tenants.retain(|other| other.name != name);
            Prepared::removal(name)
        };
        state.tenants.unmake(name, back.is_some(), self.clock.now())?;
        if let Err(error) = self.change_tenants(prepared, &config).await {
            state.tenants.make(made)?;
            return Err(error);
        }
        self.present.store(Arc::new(config));
        tracing::info!(tenant = name, is_back = back.is_some(), "a tenant was removed over the admin API");
        Ok(back.is_some())
    }

    /// Checks a tenant by itself, and its share against those of the others; the hosts of others are compared when it takes
    /// its place.
    async fn check(&self, tenant: &TenantConfig) -> Result<(), ReloadError> {
        let present = self.present();
        let others = present.tenants.iter().filter(|other| other.name != tenant.name);
        let shares = others.map(|other| TenantConfig { l1: other.l1, ..TenantConfig::named(&other.name) });
        let source = Source::default();
        let alone = GatewayConfig { tenants: vec![tenant.clone()], source, ..present.without_tenants() };
        alone.validate()?;
        fleet::keeps_promises_of(&alone, &self.cache).await?;
        let all = GatewayConfig { tenants: shares.chain([tenant.clone()]).collect(), ..alone };
        Ok(all.validate_shares()?)
    }
}
