//! What a client asked for: the request as the origin sees it, without its body, and what follows from it.

mod fetch;
mod forward;
mod offer;
mod record;
mod variant;

use std::sync::{Arc, OnceLock};

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Uri};
use sandbar_http::Interim;
use sandbar_http::client::Client;
use sandbar_http::key::{CacheKey, KeyHash, Keyed, NoKey, Target, uri_at};
use sandbar_http::origin_view::{OriginView, ViewRules, origin_view};
use sandbar_http::semantics::request::is_safe;
use sandbar_http::semantics::{RequestDirectives, RequestHead};

pub(crate) use self::fetch::Purpose;
use self::offer::Offer;
pub(crate) use self::variant::{key_for, variant_keys};
use crate::consistency::Consistency;
use crate::tenant::Tenant;
use crate::tenant::class::Class;

/// This cache's name in `Cache-Status` and `Via`.
pub const CACHE: &str = "sandbar";

/// A request, shared between the client's future and the fill's task. Nothing of it is the client's word: all is what the
/// origin sees.
#[derive(Debug)]
pub(crate) struct CacheRequest {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) method: Method,
    /// Absolute, path and query as the client sent them.
    pub(crate) uri: Uri,
    pub(crate) fields: HeaderMap,
    /// What `fields` say to caches.
    pub(crate) directives: RequestDirectives,
    /// The fields under the names by which they select variants; none where that is what they have.
    folded: Option<Box<HeaderMap>>,
    /// The primary key.
    pub(crate) key: CacheKey,
    /// Scheme and authority.
    pub(crate) site: String,
    /// Path and query, as they stand in the key.
    pub(crate) target: String,
    class: OnceLock<Arc<Class>>,
    /// Whether what is stored may answer it, or its response may be stored as one to GET.
    pub(crate) is_answerable: bool,
    /// Whether it has the origin do something else than its method and target say.
    pub(crate) is_overridden: bool,
    /// How often it has come through a cache of this name before.
    pub(crate) times_through: usize,
    /// Who asks, where that is known: whose part of what all share it takes.
    pub(crate) client: Option<Client>,
    /// Where interim responses to it go; none where its client takes none.
    interim: Option<Interim>,
    /// The other protocols that its client offers to speak.
    pub(crate) offer: Option<Offer>,
}

impl CacheRequest {
    /// The request as its tenant's origin sees it; `is_plain` where it has no content.
    pub(crate) fn new(tenant: &Arc<Tenant>, head: http::request::Parts, is_plain: bool) -> Result<Arc<Self>, NoKey> {
        let (client, interim) = (head.extensions.get().copied(), head.extensions.get().cloned());
        let offer = Offer::of(&head);
        let settings = &tenant.settings;
        let rules =
            ViewRules { tenant: &tenant.name, key: &settings.key, forward: &settings.forward, pseudonym: CACHE };
        let OriginView { method, uri, fields, folded, keyed, is_answerable, is_overridden, times_through } =
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
            offer,
        }))
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
    pub(crate) fn collapse_key(&self, key: KeyHash) -> KeyHash {
        let apart = self.fields.contains_key(AUTHORIZATION) || self.directives.no_store;
        if apart { key.apart() } else { key }
    }

    /// The class of its target, settled when it is first asked for: a hit does not need it.
    pub(crate) fn class(&self) -> &Class {
        self.class.get_or_init(|| Arc::clone(self.tenant.settings.classes.of(&self.target)))
    }

    /// What its class promises.
    pub(crate) fn consistency(&self) -> Consistency {
        self.class().consistency
    }

    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead::with_directives(&self.method, &self.uri, &self.fields, self.directives)
    }

    /// The request as one that may have changed something: where another method was asked for by a field, it is not known
    /// to be safe whatever its own is.
    pub(crate) fn head_of_write(&self) -> RequestHead<'_> {
        let method = if self.is_overridden { &Method::POST } else { &self.method };
        RequestHead::with_directives(method, &self.uri, &self.fields, self.directives)
    }

    /// Whether it asks for no change of state.
    pub(crate) fn is_safe(&self) -> bool {
        is_safe(self.head_of_write().method)
    }

    /// The fields that select a variant.
    pub(crate) fn selecting(&self) -> &HeaderMap {
        self.folded.as_deref().unwrap_or(&self.fields)
    }

    /// The target as purges name it.
    pub(crate) fn purged_as(&self) -> Target {
        Target::of_key(&self.site, &self.target)
    }

    /// The target that the origin is asked for: the one that the key holds, wherever something may be stored.
    pub(crate) fn origin_uri(&self) -> Uri {
        if self.is_answerable {
            uri_at(&self.site, &self.target).unwrap_or_else(|_| self.uri.clone())
        } else {
            self.uri.clone()
        }
    }
}
