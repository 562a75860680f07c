//! Which tenant answers a request that comes through a layer.

use std::sync::Arc;

use http::request::Parts;
use sandbar_http::key::Site;

use crate::cache::Cache;
use crate::tenant::Tenant;

/// How a request's tenant is found.
#[derive(Clone)]
pub(super) enum By {
    /// All requests are this tenant's.
    One(Arc<Tenant>),
    /// The tenant whose hosts match.
    Host,
    /// The tenant with the name that the closure answers with.
    Name(Arc<NameOf>),
}

/// Answers with the name of a tenant.
type NameOf = dyn Fn(&Parts) -> Option<String> + Send + Sync;

impl By {
    /// The tenant of a request on `site`. A request that does not say clearly which site it is for goes to the tenant that
    /// answers for all hosts, which refuses it.
    pub(super) fn tenant(&self, cache: &Cache, site: Option<&Site>, head: &Parts) -> Option<Arc<Tenant>> {
        match self {
            Self::One(tenant) => Some(Arc::clone(tenant)),
            Self::Name(name) => cache.tenant(&name(head)?),
            Self::Host => cache.tenant_at(site.map_or("", Site::authority)),
        }
    }
}
