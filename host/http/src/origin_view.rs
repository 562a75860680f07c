//! The request as the origin sees it. This view is made once, first of all, and everything else is made from it: the
//! cache key, the variant that is selected (RFC 9111 section 4.1), the request that policies are shown, and every
//! request that is sent to the origin. What the origin does not see, the cache does not see either.
//!
//! So no client can change the responses of others by anything that is not in the key: not by a field that `Connection`
//! removes on the way, not by a field that makes origins take another host, scheme, path or method (CVE-2026-2836 and
//! its many relatives), and not by another spelling of such a field's name.

mod names;
mod told;

use std::collections::HashSet;

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, IF_MATCH, IF_UNMODIFIED_SINCE};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use self::names::Kind;
use super::key::{KeyRules, Keyed, NoKey, Site, absolute, check_form, keyed};
use super::semantics::fields::{append_via, connection_named, is_hop_by_hop, times_through};
use super::twin::{has_twin, twin_name};
use crate::client::Client;

pub use told::{ForwardRules, ToldBy};

/// A tenant's settings for the view of its requests.
#[derive(Clone, Copy, Debug)]
pub struct ViewRules<'a> {
    /// The first part of the tenant's cache keys: its name, and what else sets them apart.
    pub tenant: &'a str,
    /// Which fields, cookies and query parameters join its keys.
    pub key: &'a KeyRules,
    /// Which fields are passed on to the origin, and by which the origin is told of the client.
    pub forward: &'a ForwardRules,
    /// The name of this hop in `Via`.
    pub pseudonym: &'a str,
}

/// A request as the origin sees it.
#[derive(Clone, Debug)]
pub struct OriginView {
    /// The method, unchanged.
    pub method: Method,
    /// The absolute URI, path and query as the client sent them.
    pub uri: Uri,
    /// The fields that are sent to the origin.
    pub fields: HeaderMap,
    /// The same fields under their twins' names ([`twin`](crate::twin)); none where all names are their own twins.
    pub folded: Option<Box<HeaderMap>>,
    /// The cache key.
    pub keyed: Keyed,
    /// Whether a stored response may answer the request, or its response may be stored as one to GET.
    pub is_answerable: bool,
    /// Whether a field asks the origin for another method or target. Never true where the request is answerable.
    pub is_overridden: bool,
    /// How often the request has come through a cache of this name before.
    pub times_through: usize,
    /// Its extensions, as they came.
    pub extensions: Extensions,
}

/// The view of a request; `is_plain` where the request has no content. The scheme is the target's, else `http`.
///
/// # Errors
/// When no cache key can be made: host or target are missing, malformed or contradictory.
pub fn origin_view(rules: ViewRules<'_>, head: Parts, is_plain: bool) -> Result<OriginView, NoKey> {
    let Parts { method, uri, headers: mut fields, mut extensions, .. } = head;
    check_form(&method, &uri)?;
    let site = match extensions.remove::<Site>() {
        Some(site) if site.has(&uri) => site,
        _ => Site::of(&uri, &fields, "http")?,
    };
    let uri = absolute(uri, &site)?;
    strip_connection(&mut fields);
    // Content of a GET has no meaning that could join the key (RFC 9110 section 9.3.1).
    let is_answerable = is_plain && matches!(method, Method::GET | Method::HEAD) && !is_for_origin(&fields);
    let is_overridden = strip_told(rules, &mut fields, is_answerable);
    let times_through = times_through(&fields, rules.pseudonym);
    join_lines(&mut fields, is_answerable);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    fields.insert(HOST, HeaderValue::from_str(authority).map_err(|_| NoKey::BadHost)?);
    rules.forward.tell(&uri, extensions.get().map(Client::address), &mut fields);
    append_via(&mut fields, Version::HTTP_11, rules.pseudonym);
    let folded = folded(&fields);
    let keyed = keyed(rules.tenant, rules.key, site.into_string(), &uri, folded.as_deref().unwrap_or(&fields));
    Ok(OriginView { method, uri, fields, folded, keyed, is_answerable, is_overridden, times_through, extensions })
}

impl OriginView {
    /// The fields that select variants and join keys, under their twins' names, by which they are looked up.
    pub fn selecting(&self) -> &HeaderMap {
        self.folded.as_deref().unwrap_or(&self.fields)
    }
}

/// RFC 9111 section 4.3.2: If-Match and If-Unmodified-Since "only apply to an origin server".
fn is_for_origin(fields: &HeaderMap) -> bool {
    fields.contains_key(IF_MATCH) || fields.contains_key(IF_UNMODIFIED_SINCE)
}

/// Removes the fields of the client's connection (RFC 9110 section 7.6.1), and `Expect`: this cache answers it itself,
/// and passes the content on as it comes.
fn strip_connection(fields: &mut HeaderMap) {
    let named: HashSet<_> = connection_named(fields).iter().map(|name| twin_name(name).into_owned()).collect();
    remove_where(fields, |name| {
        let plain = twin_name(name);
        // A twin of `Content-Length` could be taken for the length of the content.
        *plain != *name && *plain == CONTENT_LENGTH
            || *plain == EXPECT
            || is_hop_by_hop(&plain)
            || named.contains(&*plain)
    });
}

/// Removes the fields by which a client could tell the origin what only the gateway knows, or what is not in the key.
/// Fields that ask for another method or target stay where the request is not answerable, as the origin would do
/// something else without them; true if any of them stays.
fn strip_told(rules: ViewRules<'_>, fields: &mut HeaderMap, is_answerable: bool) -> bool {
    let mut is_overridden = false;
    remove_where(fields, |name| {
        let is_keyed = || rules.key.has_field(name.as_str());
        let passes = || rules.forward.passes(name.as_str());
        if name.as_str().contains('_') && !passes() {
            return true;
        }
        let plain = twin_name(name);
        match Kind::of(plain.as_str()) {
            Kind::Ordinary => false,
            // The gateway sets these fields itself.
            _ if rules.forward.told_by.tells(&plain) => true,
            Kind::Client | Kind::Setting => !is_keyed() && !passes(),
            Kind::Place => !is_keyed(),
            Kind::Override if is_answerable => !is_keyed(),
            Kind::Override => {
                is_overridden = true;
                false
            }
        }
    });
    is_overridden
}

fn remove_where(fields: &mut HeaderMap, mut is_unwanted: impl FnMut(&HeaderName) -> bool) {
    let unwanted: Vec<_> = fields.keys().filter(|name| is_unwanted(name)).cloned().collect();
    for name in unwanted {
        fields.remove(name);
    }
}

/// Joins several lines of a name into one: an origin that reads only the first of them would see another request than
/// the cache, which compares all of them.
///
/// RFC 9110 section 5.3: a recipient "MAY combine multiple field lines within a field section that have the same field name
/// into one field line, without changing the semantics of the message". Cookies "MUST be concatenated into a single octet
/// string using the two-octet delimiter of 0x3b, 0x20 (the ASCII string "; ") before being passed into a non-HTTP/2 context"
/// (RFC 9113 section 8.2.3): this is done even where the request is not answerable.
fn join_lines(fields: &mut HeaderMap, is_answerable: bool) {
    let several = |name: &&HeaderName| fields.get_all(*name).iter().nth(1).is_some();
    let is_joined = |name: &&HeaderName| is_answerable || **name == COOKIE;
    let names: Vec<_> = fields.keys().filter(is_joined).filter(several).cloned().collect();
    for name in names {
        let delimiter: &[u8] = if name == COOKIE { b"; " } else { b", " };
        let mut lines: Vec<_> = fields.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        if name == CONTENT_LENGTH {
            // All lines are the same, or the request would have been refused.
            lines.truncate(1);
        }
        // Bytes that are allowed in each line are allowed in the joined line too.
        if let Ok(joined) = HeaderValue::from_bytes(&lines.join(delimiter)) {
            fields.insert(name, joined);
        }
    }
}

/// All fields under their twins' names; none where no name differs from its twin. Lines that had the twin's name
/// already come first, then the renamed ones sorted by their old names, as a map has no order between names.
fn folded(fields: &HeaderMap) -> Option<Box<HeaderMap>> {
    let mut odd: Vec<_> = fields.keys().filter(|name| has_twin(name.as_str())).collect();
    if odd.is_empty() {
        return None;
    }
    odd.sort_unstable_by_key(|name| name.as_str());
    let mut folded = fields.clone();
    for name in odd {
        folded.remove(name);
        for value in fields.get_all(name) {
            folded.append(twin_name(name).into_owned(), value.clone());
        }
    }
    Some(Box::new(folded))
}

#[cfg(test)]
mod tests;
