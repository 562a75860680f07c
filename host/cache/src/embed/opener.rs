//! Makes tenants from their settings: their policies and their origins.

use std::path::PathBuf;
use std::sync::Arc;

use sandbar_base::clock::Clock;
use sandbar_policy::{Binding, Engine, KeptBelow, TenantPolicies};

use super::BuildError;
use crate::origin::Origin;
use crate::origin::behind::ServiceBehind;
use crate::tenant::Tenant;
use crate::tenant::config::TenantConfig;

/// What all tenants of a cache are made with.
pub(super) struct Opener {
    pub(super) engine: Option<Arc<Engine>>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) clock: Arc<dyn Clock>,
    /// Policies that the builder was given, by the names of their tenants: as if the settings named them.
    pub(super) bindings: Vec<(String, Binding)>,
}

impl Opener {
    /// A new tenant; where it is `another` making of one that there is, what was bound for that is not for this one. Compiles its
    /// policies: to be called where blocking is allowed.
    pub(super) fn open(&self, config: &TenantConfig, another: bool) -> Result<Arc<Tenant>, BuildError> {
        let policies = TenantPolicies::open(
            self.engine.clone(),
            &config.name,
            &self.bindings_of(config)?,
            config.grants.clone(),
            self.data_dir.as_deref().map(|dir| KeptBelow { dir, is_anothers: another }),
            Arc::clone(&self.clock),
        );
        let policies = policies.map_err(|reason| BuildError::Policy { tenant: config.name.clone(), reason })?;
        Ok(Tenant::new(config, policies, self.origin(config)?, Arc::clone(&self.clock))?)
    }

    /// The tenant `old` with other settings; blocks as [`Self::open`] does.
    pub(super) fn reopen(&self, old: &Tenant, config: &TenantConfig) -> Result<Arc<Tenant>, BuildError> {
        let policies = old.policies.reopen(&self.bindings_of(config)?, config.grants.clone());
        let policies = policies.map_err(|reason| BuildError::Policy { tenant: config.name.clone(), reason })?;
        Ok(old.with(config, Arc::new(policies), old.other_origin(config, || self.origin(config))?)?)
    }

    /// The policies of a tenant's settings, and in their place those that the builder was given for the same role.
    fn bindings_of(&self, config: &TenantConfig) -> Result<Vec<Binding>, BuildError> {
        let wrong = |reason| BuildError::Choice { tenant: config.name.clone(), reason };
        let configured = config.policy.iter().map(|(role, choice)| choice.clone().into_binding(*role).map_err(wrong));
        let mut bindings = configured.collect::<Result<Vec<_>, _>>()?;
        for (_, binding) in self.bindings.iter().filter(|(tenant, _)| *tenant == config.name) {
            bindings.retain(|other| other.role != binding.role);
            bindings.push(binding.clone());
        }
        Ok(bindings)
    }

    /// The origin that a tenant's settings name, else the service behind the layer.
    fn origin(&self, config: &TenantConfig) -> Result<Arc<dyn Origin>, BuildError> {
        let Some(named) = &config.origin else { return Ok(Arc::new(ServiceBehind)) };
        let failed = |reason: String| BuildError::Origin { tenant: config.name.clone(), reason };
        #[cfg(feature = "http-origin")]
        {
            use crate::origin::http::{HttpOrigin, SystemResolver};
            let origin = HttpOrigin::within(named, Arc::clone(&self.clock), Arc::new(SystemResolver));
            Ok(Arc::new(origin.map_err(|error| failed(error.to_string()))?))
        }
        #[cfg(not(feature = "http-origin"))]
        {
            let _ = named;
            Err(failed("the program was built without the feature `http-origin`".to_owned()))
        }
    }
}
