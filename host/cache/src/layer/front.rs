//! What is known of the URLs of requests before they come to a layer.

use std::sync::Arc;

use http::request::Parts;
use http::uri::Scheme;
use sandbar_http::key::{Site, check_form, sent_target, uri_at};

/// The scheme that clients use, and what was taken off the path.
#[derive(Clone, Default)]
pub(super) struct Front {
    pub(super) scheme: Option<Scheme>,
    pub(super) under: Arc<str>,
}

impl Front {
    /// Makes the URI of a request absolute, as the client sees it, and answers with its site. A request that does not say clearly
    /// what it is for is left as it is, and has none: the cache refuses it.
    pub(super) fn site(&self, head: &mut Parts) -> Option<Site> {
        check_form(&head.method, &head.uri).ok()?;
        let site = match &self.scheme {
            Some(scheme) => Site::under(scheme.as_str(), &head.uri, &head.headers),
            None => Site::of(&head.uri, &head.headers, "http"),
        };
        let site = site.ok()?;
        let target = sent_target(&head.uri);
        let target = if target == "*" { target.into_owned() } else { format!("{}{target}", self.under) };
        head.uri = uri_at(site.as_str(), &target).ok()?;
        Some(site)
    }
}
