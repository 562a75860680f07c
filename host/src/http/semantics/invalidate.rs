//! What a write makes invalid (RFC 9111 section 4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderName, Uri};

use super::{RequestHead, ResponseHead, request};

/// The targets (site, path and query) whose stored responses are invalid after this exchange; none where the method is
/// safe or the response is an error. `site` is the scheme and authority of the request.
///
/// "A cache MUST invalidate the target URI (Section 7.1 of HTTP) when it receives a non-error status code in response to
/// an unsafe request method", where "A non-error status code is one with a 2xx (Successful) or 3xx (Redirection) status
/// code"; and it "MAY invalidate other URIs [...] In particular, the URI(s) in the Location and Content-Location response
/// header fields (if present) are candidates for invalidation", but not where "the origin (per Section 4.3.2 of HTTP) of
/// the URI to be invalidated differs from that of the target URI".
pub fn invalidated(request: &RequestHead<'_>, site: &str, response: &ResponseHead<'_>) -> Vec<(String, String)> {
    if request::is_safe(request.method) || !matches!(response.status.as_u16(), 200..=399) {
        return Vec::new();
    }
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut targets = vec![target.to_owned()];
    for name in [LOCATION, CONTENT_LOCATION] {
        if let Some(named) = same_origin_target(&name, site, request.uri, response)
            && !targets.contains(&named)
        {
            targets.push(named);
        }
    }
    targets.into_iter().map(|target| (site.to_owned(), target)).collect()
}

fn same_origin_target(name: &HeaderName, site: &str, base: &Uri, response: &ResponseHead<'_>) -> Option<String> {
    let reference = response.fields.get(name)?.to_str().ok()?.trim();
    let reference = reference.split('#').next().unwrap_or_default();
    let local = match reference.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => after_authority(rest, &format!("{scheme}://"), site)?,
        _ => match reference.strip_prefix("//") {
            Some(rest) => after_authority(rest, &format!("{}://", scheme_of(site)), site)?,
            None => reference.to_owned(),
        },
    };
    Some(resolve(base, &local))
}

/// What follows the authority of `rest`, where `scheme` and authority are those of `site`.
fn after_authority(rest: &str, scheme: &str, site: &str) -> Option<String> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, local) = rest.split_at(end);
    (origin(&format!("{scheme}{authority}")) == origin(site)).then(|| match local {
        "" => "/".to_owned(),
        query if query.starts_with('?') => format!("/{query}"),
        path => path.to_owned(),
    })
}

/// Scheme, host and port in one form: lower case, without the port that the scheme implies.
fn origin(site: &str) -> String {
    let site = site.to_ascii_lowercase();
    let port = if site.starts_with("https:") { ":443" } else { ":80" };
    site.strip_suffix(port).map_or(site.clone(), str::to_owned)
}

fn scheme_of(site: &str) -> &str {
    site.split_once("://").map_or("http", |(scheme, _)| scheme)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Path and query of a relative reference (RFC 3986 section 5.2), dot segments removed.
fn resolve(base: &Uri, reference: &str) -> String {
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    let path = match path {
        "" => base.path().to_owned(),
        absolute if absolute.starts_with('/') => remove_dots(absolute),
        relative => {
            let parent = base.path().rfind('/').map_or("/", |slash| &base.path()[..=slash]);
            remove_dots(&format!("{parent}{relative}"))
        }
    };
    let query = if reference.is_empty() { base.query() } else { query };
    query.map_or(path.clone(), |query| format!("{path}?{query}"))
}

/// RFC 3986 section 5.2.4, for a path that begins with a slash.
fn remove_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let ends_in_dots = path.ends_with("/.") || path.ends_with("/..");
    let tail = if ends_in_dots && !kept.is_empty() { "/" } else { "" };
    format!("/{}{tail}", kept.join("/"))
}
