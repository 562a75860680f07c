//! A client's request as the origin sees it, without its body, and what follows from it: keys, class, forwarded
//! request.

mod content;
mod forward;
mod offer;
mod origin_request;
mod record;
mod refetch;
mod variant;

use std::sync::{Arc, OnceLock};

use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, Method, Request, Uri};
use hyper::upgrade::OnUpgrade;
use sandbar_http::Interim;
use sandbar_http::client::Client;
use sandbar_http::key::{CacheKey, KeyHash, Keyed, NoKey, Target, uri_at};
use sandbar_http::origin_view::{OriginView, ViewRules, origin_view};
use sandbar_http::purge::{Purge, PurgeMode, Scope};
use sandbar_http::semantics::request::is_safe;
use sandbar_http::semantics::{RequestDirectives, RequestHead};

pub(crate) use self::content::{content_fields, reads_encoding};
use self::offer::Offer;
pub(crate) use self::origin_request::Purpose;
pub(crate) use self::variant::{key_for, variant_key, variant_keys};
use crate::cached::Form;
use crate::consistency::Consistency;
use crate::events::Unstored;
use crate::not_stored::NotStored;
use crate::origin::behind::Behind;
use crate::strategy::Strategy;
use crate::tenant::Tenant;
use crate::tenant::class::Class;

/// This cache's name in `Cache-Status` and `Via`.
pub const CACHE: &str = "sandbar";

/// A request, used both by the client's future and by the fill's task. All of it is what the origin sees, which need
/// not be what the client sent.
#[derive(Debug)]
pub(crate) struct CacheRequest {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) method: Method,
    /// Absolute, path and query as the client sent them.
    pub(crate) uri: Uri,
    pub(crate) fields: HeaderMap,
    /// The directives to caches in `fields`.
    pub(crate) directives: RequestDirectives,
    /// The fields under the names by which they select variants; `None` where `fields` has these names already.
    folded: Option<Box<HeaderMap>>,
    /// The primary key.
    pub(crate) key: CacheKey,
    /// Scheme and authority.
    pub(crate) site: String,
    /// Path and query, as they stand in the key.
    pub(crate) target: String,
    class: OnceLock<Arc<Class>>,
    /// Whether a stored response may answer the request, or its response may be stored as one to GET.
    pub(crate) is_answerable: bool,
    /// Whether a field asks the origin for another method or target than the request's own.
    pub(crate) is_overridden: bool,
    /// How often the request has come through a cache of this name before.
    pub(crate) times_through: usize,
    /// The client, where it is known: what the request takes of common resources counts as that client's.
    pub(crate) client: Option<Client>,
    /// Where interim (1xx) responses go; `None` where the client takes none.
    interim: Option<Interim>,
    /// The other protocols that the client offers to switch to.
    pub(crate) offer: Option<Offer>,
    /// The request's extensions where it came through a layer: the service behind that layer is among them, and so may be
    /// what that service needs. None else.
    extensions: Extensions,
    /// How a value is read from what is stored; `None` for requests over HTTP.
    pub(crate) form: Option<Arc<dyn Form>>,
}

impl CacheRequest {
    /// The request as its tenant's origin sees it; `is_plain` says that it has no content.
    pub(crate) fn new(tenant: &Arc<Tenant>, head: http::request::Parts, is_plain: bool) -> Result<Arc<Self>, NoKey> {
        let (client, interim) = (head.extensions.get().copied(), head.extensions.get().cloned());
        let (offer, is_layered) = (Offer::of(&head), head.extensions.get::<Behind>().is_some());
        let settings = &tenant.settings;
        let rules =
            ViewRules { tenant: &tenant.key_scope, key: &settings.key, forward: &settings.forward, pseudonym: CACHE };
        let OriginView { method, uri, fields, folded, keyed, is_answerable, is_overridden, times_through, extensions } =
            origin_view(rules, head, is_plain)?;
        let Keyed { key, site, target } = keyed;
        let tenant = Arc::clone(tenant);
        Ok(Arc::new(Self {
            tenant,
            method,
            uri,
            directives: RequestDirectives::of(&fields),
            fields,
            folded,
            key,
            site,
            target,
            class: OnceLock::new(),
            is_answerable,
            is_overridden,
            times_through,
            client,
            interim,
            extensions: if is_layered { extensions } else { Extensions::new() },
            offer,
            form: None,
        }))
    }

    /// What asks for a value: a GET without header fields, under a key that no request over HTTP has.
    pub(crate) fn of_value(tenant: &Arc<Tenant>, key: CacheKey, form: Arc<dyn Form>) -> Arc<Self> {
        let (site, target) = (key.site().to_owned(), key.target().to_owned());
        Arc::new(Self {
            tenant: Arc::clone(tenant),
            method: Method::GET,
            uri: uri_at(&site, &target).unwrap_or_default(),
            fields: HeaderMap::new(),
            directives: RequestDirectives::default(),
            folded: None,
            key,
            site,
            target,
            class: OnceLock::new(),
            is_answerable: true,
            is_overridden: false,
            times_through: 0,
            client: None,
            interim: None,
            offer: None,
            extensions: Extensions::new(),
            form: Some(form),
        })
    }

    /// A GET for `target` on `site` without header fields, which no client has sent.
    pub(crate) fn get(tenant: &Arc<Tenant>, site: &str, target: &str) -> Result<Arc<Self>, NoKey> {
        let request = Request::get(format!("{site}{target}")).body(()).map_err(|_| NoKey::BadTarget)?;
        Self::new(tenant, request.into_parts().0, true)
    }

    /// Has a request that is sent on for this one go to the service behind the layer, with the extensions that came with
    /// this one; not with those by which a service could reach the client, which may have gone, past the cache.
    fn to_service_behind<B>(&self, to_origin: &mut Request<B>) {
        to_origin.extensions_mut().extend(self.extensions_without_client());
    }

    fn extensions_without_client(&self) -> Extensions {
        let mut extensions = self.extensions.clone();
        extensions.remove::<OnUpgrade>();
        extensions.remove::<Client>();
        extensions.remove::<Interim>();
        extensions
    }

    /// Marks a request to the origin as made for this one's client, and has interim responses go to that client.
    pub(crate) fn on_behalf_of_client<B>(&self, sent_on: &mut Request<B>) {
        if let Some(client) = self.client {
            sent_on.extensions_mut().insert(client);
        }
        if let Some(interim) = &self.interim {
            sent_on.extensions_mut().insert(interim.clone());
        }
    }

    /// Notes that the response to this request is not stored, once that is final: counts it, and tells the readers of events.
    pub(crate) fn withheld(&self, why: NotStored) {
        self.tenant.counters.withheld(why);
        self.unstored(why.into());
    }

    /// Tells the readers of events that the response to this request is not stored.
    pub(crate) fn unstored(&self, why: Unstored) {
        self.tenant.events.tell_unstored(&self.key, why);
    }

    /// The request as a GET: stored responses answer that, whatever method was asked for (RFC 9111 section 4.3.5).
    pub(crate) fn head_of_get(&self) -> RequestHead<'_> {
        RequestHead::with_directives(&Method::GET, &self.uri, &self.fields, self.directives)
    }

    /// The key under which requests find a fetch that they may wait for. A response to a request with `Authorization`
    /// may be for that request alone (RFC 9111 section 3.5), and so is one to a request with `no-store`: their fetches
    /// have a key of their own, so that no other request waits for them in vain.
    pub(crate) fn collapse_key(&self, key: KeyHash) -> KeyHash {
        let apart = self.fields.contains_key(AUTHORIZATION) || self.directives.no_store;
        if apart { key.apart() } else { key }
    }

    /// The class of the request's target, looked up when it is first needed: a hit does not need it.
    pub(crate) fn class(&self) -> &Class {
        self.class.get_or_init(|| Arc::clone(self.tenant.settings.classes.of(&self.target)))
    }

    /// What becomes of stored responses when this request writes something.
    pub(crate) fn strategy(&self) -> Strategy {
        self.class().writes.strategy(self.head_of_write().method, &self.fields)
    }

    /// What the request's class promises.
    pub(crate) fn consistency(&self) -> Consistency {
        self.class().consistency
    }

    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead::with_directives(&self.method, &self.uri, &self.fields, self.directives)
    }

    /// The request as one that may have changed something: as a POST where a field asks for another method, since then
    /// it is not known to be safe, whatever its own method is.
    pub(crate) fn head_of_write(&self) -> RequestHead<'_> {
        let method = if self.is_overridden { &Method::POST } else { &self.method };
        RequestHead::with_directives(method, &self.uri, &self.fields, self.directives)
    }

    /// Whether the request is safe: it asks for no change of state.
    pub(crate) fn is_safe(&self) -> bool {
        is_safe(self.head_of_write().method)
    }

    /// The fields that select a variant.
    pub(crate) fn selecting(&self) -> &HeaderMap {
        self.folded.as_deref().unwrap_or(&self.fields)
    }

    /// A purge of the target.
    pub(crate) fn purge(&self, mode: PurgeMode) -> Purge {
        Purge { scope: Scope::Target(self.purged_as()), mode }
    }

    /// The target as purges name it.
    pub(crate) fn purged_as(&self) -> Target {
        Target::of_key(&self.site, &self.target)
    }

    /// The target that the origin is asked for: the one that the key holds, wherever the response may be stored.
    pub(crate) fn origin_uri(&self) -> Uri {
        if self.is_answerable {
            uri_at(&self.site, &self.target).unwrap_or_else(|_| self.uri.clone())
        } else {
            self.uri.clone()
        }
    }
}
