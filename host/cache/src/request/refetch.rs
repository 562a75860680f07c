//! The request that fetches what a write has left at its target, for those who read it next.

use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName, Request};
use sandbar_http::key::{NoKey, sent_target};

use super::CacheRequest;

/// The fields by which origins choose among representations.
const NEGOTIATED_BY: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE];

impl CacheRequest {
    /// Whether the key holds all of the target that the origin was asked for. Where the key rules leave out parameters, what a
    /// request without them would get may be something else.
    pub(crate) fn is_keyed_whole(&self) -> bool {
        // What they do beside that, sorting, leaves the length as it is.
        sent_target(&self.uri).len() == self.target.len()
    }

    /// Whether something that others may get may be made of what a write brings about: where it is known what it asks for, and it
    /// has no credentials but those in its key.
    pub(crate) fn may_be_for_others(&self) -> bool {
        !self.is_overridden && !self.has_credentials_of_its_own()
    }

    /// Whether the request has credentials that are not part of its key.
    fn has_credentials_of_its_own(&self) -> bool {
        let rules = &self.tenant.settings.key;
        let cookies_are_keyed = || {
            let lines = self.fields.get_all(COOKIE).iter();
            let mut pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
            pairs.all(|pair| {
                let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
                rules.cookies.iter().any(|cookie| cookie.as_bytes() == name)
            })
        };
        self.fields.contains_key(AUTHORIZATION) && !self.keys_by(&AUTHORIZATION)
            || self.fields.contains_key(COOKIE) && !self.keys_by(&COOKIE) && !cookies_are_keyed()
    }

    /// A GET of the target of this write, with the fields that are part of the key or choose among representations: as its
    /// client, or one like it, would read it next.
    pub(crate) fn refetch(&self) -> Result<Arc<Self>, NoKey> {
        let request = Request::get(format!("{}{}", self.site, self.target)).body(());
        let mut head = request.map_err(|_| NoKey::BadTarget)?.into_parts().0;
        head.headers = self.selecting_fields();
        head.extensions = self.extensions_without_client();
        Self::new(&self.tenant, head, true)
    }

    /// Whether the key rules name a field.
    fn keys_by(&self, name: &HeaderName) -> bool {
        self.tenant.settings.key.fields.iter().any(|field| field.eq_ignore_ascii_case(name.as_str()))
    }

    fn selecting_fields(&self) -> HeaderMap {
        let rules = &self.tenant.settings.key;
        let is_wanted = |name: &HeaderName| {
            NEGOTIATED_BY.contains(name) || *name == COOKIE && !rules.cookies.is_empty() || self.keys_by(name)
        };
        let fields = self.fields.iter().filter(|(name, _)| is_wanted(name));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
