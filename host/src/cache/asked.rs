//! What a client asked for: the request without its body, and what follows from it.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Uri};

use super::tunnel::Offer;
use crate::client::Client;
use crate::consistency::Consistency;
use crate::http::Interim;
use crate::http::key::Keyed;
use crate::http::semantics::{RequestDirectives, RequestHead};
use crate::key::{CacheKey, KeyHash};
use crate::tenant::Tenant;

/// A request, shared between the client's future and the fill's task.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) fields: HeaderMap,
    /// What `fields` say to caches.
    pub(crate) directives: RequestDirectives,
    /// The primary key.
    pub(crate) key: CacheKey,
    /// Scheme and authority.
    pub(crate) site: String,
    /// Path and query, as they stand in the key.
    pub(crate) target: String,
    /// Who asks, where that is known: whose part of what all share it takes.
    pub(crate) client: Option<Client>,
    /// Where interim responses to it go; none where its client takes none.
    interim: Option<Interim>,
    /// The other protocols that its client offers to speak.
    pub(super) offer: Option<Offer>,
}

impl Asked {
    pub(crate) fn new(tenant: &Arc<Tenant>, head: http::request::Parts, keyed: Keyed) -> Arc<Self> {
        let Keyed { key, site, target } = keyed;
        let offer = Offer::of(&head);
        Arc::new(Self {
            tenant: Arc::clone(tenant),
            method: head.method,
            uri: head.uri,
            directives: RequestDirectives::of(&head.headers),
            fields: head.headers,
            key,
            site,
            target,
            client: head.extensions.get().copied(),
            interim: head.extensions.get().cloned(),
            offer,
        })
    }

    /// Says of a request that is sent on for this one whose it is, and has interim responses to it go to that client.
    pub(crate) fn on_behalf_of_client<B>(&self, sent_on: &mut Request<B>) {
        if let Some(client) = self.client {
            sent_on.extensions_mut().insert(client);
        }
        if let Some(interim) = &self.interim {
            sent_on.extensions_mut().insert(interim.clone());
        }
    }

    /// The request as a GET: what is stored answers that, whatever was asked (RFC 9111 section 4.3.5).
    pub(crate) fn head_of_get(&self) -> RequestHead<'_> {
        RequestHead::with_directives(&Method::GET, &self.uri, &self.fields, self.directives)
    }

    /// Under which key its fetch is found by those who may wait for it. A response to a request with `Authorization` may be
    /// for that request alone (RFC 9111 section 3.5), and so is one to a request with `no-store`: nobody else waits for
    /// these, so that nobody waits in vain.
    pub(crate) fn flight_key(&self, key: KeyHash) -> KeyHash {
        let apart = self.fields.contains_key(AUTHORIZATION) || self.directives.no_store;
        if apart { key.apart() } else { key }
    }

    /// What its class promises.
    pub(crate) fn consistency(&self) -> Consistency {
        self.tenant.settings.consistency_of(&self.target)
    }

    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead::with_directives(&self.method, &self.uri, &self.fields, self.directives)
    }
}
