//! Which tenant answers a request that comes through a layer.

use std::sync::Arc;

use http::request::Parts;
use sandbar_http::key::{Site, check_form, sent_target, uri_at};

use crate::cache::Cache;
use crate::hosts::Hosts;
use crate::tenant::Tenant;

/// How a request's tenant is found.
#[derive(Clone)]
pub(super) enum By {
    /// All requests are this tenant's.
    One(Arc<Tenant>),
    /// The tenant whose hosts match.
    Host(Arc<Hosts<Arc<Tenant>>>),
    /// The tenant with the name that the closure answers with.
    Name(Arc<NameOf>),
}

/// Answers with the name of a tenant.
type NameOf = dyn Fn(&Parts) -> Option<String> + Send + Sync;

impl By {
    pub(super) fn tenant(&self, cache: &Cache, head: &mut Parts) -> Option<Arc<Tenant>> {
        match self {
            Self::One(tenant) => Some(Arc::clone(tenant)),
            Self::Name(name) => cache.tenant(&name(head)?).cloned(),
            Self::Host(hosts) => by_host(hosts, head),
        }
    }
}

/// The tenant that answers for the request's host. A request that does not say clearly which host it is for goes to the
/// tenant that answers for all hosts, which refuses it.
fn by_host(hosts: &Hosts<Arc<Tenant>>, head: &mut Parts) -> Option<Arc<Tenant>> {
    let site = Site::of(&head.uri, &head.headers, "http").ok();
    let host = site.as_ref().map_or("", Site::authority);
    let tenant = hosts.find(host).cloned()?;
    // The cache need not parse again what was parsed here.
    if check_form(&head.method, &head.uri).is_ok()
        && let Some(site) = site
        && let Ok(uri) = uri_at(site.as_str(), &sent_target(&head.uri))
    {
        head.uri = uri;
        head.extensions.insert(site);
    }
    Some(tenant)
}
