//! URI references in response fields, resolved against the target of the request (RFC 3986 section 5.2, RFC 9110
//! sections 8.7 and 10.2.2).

use http::Uri;

use crate::key::{site_of, without_dots};

/// Path and query that a reference names on the origin `site` (scheme and authority); none where it names another
/// origin. `base` is the target that a relative reference is resolved against.
pub fn same_origin_target(reference: &str, site: &str, base: &Uri) -> Option<String> {
    let reference = reference.trim().split('#').next().unwrap_or_default();
    let local = match reference.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => after_authority(rest, scheme, site)?,
        _ => match reference.strip_prefix("//") {
            Some(rest) => after_authority(rest, scheme_of(site), site)?,
            // Another scheme without an authority (`urn:x`) is never the same origin.
            None if reference.split(['/', '?']).next().is_some_and(|first| first.contains(':')) => return None,
            None => reference.to_owned(),
        },
    };
    Some(resolve(base, &local))
}

/// The path and query that follow the authority in `rest`; none where `scheme` and authority are not those of `site`.
fn after_authority(rest: &str, scheme: &str, site: &str) -> Option<String> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, local) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let same = site_of(&format!("{scheme}://{host}")).is_ok_and(|of| site_of(site) == Ok(of));
    same.then(|| if local.starts_with('/') { local.to_owned() } else { format!("/{local}") })
}

fn scheme_of(site: &str) -> &str {
    site.split_once("://").map_or("http", |(scheme, _)| scheme)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Path and query of a relative reference, resolved against `base`, dot segments removed.
fn resolve(base: &Uri, reference: &str) -> String {
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let query = if reference.is_empty() { base.query() } else { query };
    let base = if base.path().is_empty() { "/" } else { base.path() };
    let path = match path {
        "" => base.to_owned(),
        absolute if absolute.starts_with('/') => without_dots(absolute),
        relative => {
            let parent = base.rfind('/').map_or("/", |slash| &base[..=slash]);
            without_dots(&format!("{parent}{relative}"))
        }
    };
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}
